"""Vectors of every document and query, by the model that the training begins with.

Imports torch at the top: import it inside functions only.
"""

import torch
from torch import Tensor
from torch.nn import functional

from scisearch.benchmarks.science_training.fast_bert import FastBert
from scisearch.benchmarks.science_training.gpu.token_store import TokenStore, batches_of

_LONGEST = 256  # tokens that all-MiniLM-L6-v2 reads
_BATCH_TOKENS = 131_072


def document_vectors(model: FastBert, store: TokenStore, count: int) -> Tensor:
    """The unit vectors of the first `count` documents, (count, width) float16."""
    lengths = store.lengths[:count]
    return _vectors(model, store, store.tokens, store.starts[:count], lengths)


def query_vectors(model: FastBert, store: TokenStore, queries: Tensor, starts: Tensor) -> Tensor:
    """The unit vectors of queries, rows of ids one after another; `starts` has one more."""
    return _vectors(model, store, queries, starts[:-1], starts.diff())


def _vectors(
    model: FastBert, store: TokenStore, tokens: Tensor, starts: Tensor, lengths: Tensor
) -> Tensor:
    found = torch.empty(
        len(starts), model.shape.width, dtype=torch.float16, device=store.tokens.device
    )
    lengths = lengths.clamp(max=min(_LONGEST, model.shape.positions) - 2)
    for places, longest in batches_of(lengths + 2, _BATCH_TOKENS):
        begin, length = starts[places], lengths[places]
        place = torch.arange(-(-longest // 8) * 8, device=found.device)[None]
        ids = tokens[(begin[:, None] + place - 1).clamp(0, max(0, len(tokens) - 1))]
        ids[:, 0] = store.cls_id
        ids = torch.where(place == length[:, None] + 1, store.sep_id, ids)
        there = place < length[:, None] + 2
        found[places] = _encode(model, torch.where(there, ids, 0), there).to(found.dtype)
    return found


def _encode(model: FastBert, ids: Tensor, there: Tensor) -> Tensor:
    """Mean of the tokens' last states, of length 1; (rows, width) float32."""
    with torch.no_grad():
        mask = torch.where(there, 0.0, -1e4).to(model.output.weight.dtype)
        states = model.states(ids, torch.zeros_like(ids), mask).float()
        weight = there[..., None].float()
        mean = (states * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        return functional.normalize(mean, dim=1)
