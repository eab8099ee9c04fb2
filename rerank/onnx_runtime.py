"""The forward pass of a cross-encoder on ONNX Runtime, and what its forms are tried on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scisearch.index.onnx_drift import ranking_drift
from scisearch.index.onnx_prepare import Trial
from scisearch.index.onnx_sample import sample_lists
from scisearch.index.onnx_session import Floats, OnnxModel, TokenRow
from scisearch.index.onnx_store import Stored
from scisearch.rerank.batches import Batch
from scisearch.rerank.pair_model import PairModel
from scisearch.rerank.scoring import Pending

# A batch is what the cores share; its padding is cut off again before anything is computed.
BATCH_TOKENS = 65536


class OnnxRuntime:
    """A cross-encoder in its ONNX form. Satisfies `Runtime` (rerank/scoring.py)."""

    in_flight = 1  # every core computes already
    length_step = 1

    def __init__(self, model: PairModel, stored: Stored, batch_tokens: int | None = None) -> None:
        """Open the form that is kept of the model.

        Raises:
            ModelError: ONNX Runtime does not open it.
        """
        self._pairs = model
        self._model = OnnxModel(stored.content, model.name)
        self.batch_tokens = BATCH_TOKENS if batch_tokens is None else batch_tokens

    def start(self, batch: Batch) -> Pending:
        """The batch's logits, computed at once."""
        logits = self.forward(batch)
        return lambda: logits

    def forward(self, batch: Batch) -> NDArray[np.float32]:
        """The batch's raw logits, (rows,) float32; a pair's logit depends on no other pair."""
        ends = batch.attention_mask.sum(axis=1).tolist()
        rows = [
            _row(self._pairs, ids[:end], type_ids[:end])
            for ids, type_ids, end in zip(batch.input_ids, batch.token_type_ids, ends, strict=True)
        ]
        return _logits(self._model.run(rows))


def pair_trial(model: PairModel) -> Trial:
    """What a cross-encoder's forms are tried on: queries with abstracts, against PyTorch."""
    lists = sample_lists()
    rows = [row for query, texts in lists for row in _sample_rows(model, query, texts)]
    shape = (len(lists), len(lists[0][1]))

    def reference() -> Floats:
        from scisearch.rerank.torch_runtime import TorchRuntime

        runtime = TorchRuntime(model, "cpu")
        logits = [
            runtime.forward(Batch(ids[None], np.ones_like(ids[None]), type_ids[None]))
            for ids, type_ids in rows
        ]
        return np.concatenate(logits).reshape(shape)

    return Trial(
        output="logit",
        has_segments=model.has_segments,
        rows=rows,
        finish=lambda outputs: _logits(outputs).reshape(shape),
        reference=reference,
        drift=ranking_drift,
    )


def _sample_rows(model: PairModel, query: str, texts: Sequence[str]) -> list[TokenRow]:
    query_ids, *documents = model.tokenizer.encode([query, *texts])
    pairs = [model.template.assemble(query_ids, ids, model.max_length) for ids in documents]
    return [_row(model, pair.ids, pair.type_ids) for pair in pairs]


def _row(model: PairModel, ids: NDArray[np.int64], type_ids: NDArray[np.int64]) -> TokenRow:
    return TokenRow(ids, type_ids if model.has_segments else np.zeros_like(type_ids))


def _logits(outputs: Sequence[Floats]) -> NDArray[np.float32]:
    return np.array([output.reshape(-1)[0] for output in outputs], np.float32)
