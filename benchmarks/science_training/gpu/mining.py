"""The dense list beside BM25's: every list's candidates with fused scores, found on the device.

The fused score follows the engine's (retrieval/fusion.py) without its last step, the neighbours:
half of BM25's min-max score and half of the cosine's, the latter by how far the first cosine is
above the tenth. Imports torch at the top: import it inside functions only.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from scisearch.benchmarks.science_training.packed import PackedLists, Ragged
from scisearch.benchmarks.science_training.ranks import (
    COMPLETE_ENOUGH,
    DEPTH,
    INCOMPLETE,
    MARGIN,
)
from scisearch.index.errors import TrainingError
from scisearch.rerank.training.sharpness import ScoredRow, Sharpness, fit_by_kind

KEPT = 64  # candidates of a list
_DENSE = 48  # of the dense list, beside all of BM25's that are packed
_SPAN, _HEAD = 0.12, 10  # as encoder_fusion.py knows them for all-MiniLM-L6-v2
SAME_WORK = 0.95  # cosine: a candidate that is another copy of a relevant text is no negative
_ROWS = 1024  # lists at once
_FITTED = 800  # lists of a kind that its sharpness is fitted on
_QUESTIONS = frozenset({"question", "qkeywords", "claim", "definition"})
_NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class Mined:
    """What the first stages say of n lists, on the device.

    `negatives` (n, KEPT) int32, best first, -1 where there is none; `scores` (n, KEPT) float16 in
    [0, 1]. `positives` (n, p) int32, -1 padded; `positive_scores` (n, p) float16, NaN where it is
    no candidate.
    """

    negatives: Tensor
    scores: Tensor
    positives: Tensor
    positive_scores: Tensor


def mine(
    packed: PackedLists, documents: Tensor, queries: Tensor, *, same_work: float = SAME_WORK
) -> Mined:
    """The candidates of every list; `documents` and `queries` are their unit vectors, float16.

    A candidate whose cosine to a relevant text is above `same_work` is left out.
    """
    device = documents.device
    lexical = _padded(packed.negatives, packed.negative_scores, device)
    known = _padded(packed.positives, packed.positive_scores, device)
    corpus_of_list = _corpora(packed)
    corpus = _corpus_of_documents(packed, corpus_of_list, len(documents))
    asking = torch.from_numpy(packed.asking.astype(np.int64)).to(device)
    incomplete = np.isin(packed.kind, [packed.kinds.index(k) for k in INCOMPLETE & {*packed.kinds}])
    guarded = torch.from_numpy(incomplete).to(device)
    n = len(packed)
    negatives = torch.full((n, KEPT), _NONE, dtype=torch.int32, device=device)
    scores = torch.zeros((n, KEPT), dtype=torch.float16, device=device)
    positive_scores = torch.full_like(known[1], torch.nan, dtype=torch.float16)
    for one in np.unique(corpus_of_list).tolist():
        members = torch.from_numpy(np.flatnonzero(corpus == one)).to(device)
        pool = _Pool(documents, members, same_work)
        for rows in np.array_split(
            np.flatnonzero(corpus_of_list == one), 1 + (corpus_of_list == one).sum() // _ROWS
        ):
            at = torch.from_numpy(rows).to(device)
            found = _fused(
                pool,
                queries[at],
                (lexical[0][at], lexical[1][at]),
                (known[0][at], known[1][at]),
                (asking[at], guarded[at]),
            )
            negatives[at], scores[at], positive_scores[at] = found
    return Mined(negatives, scores, known[0].int(), positive_scores)


@dataclass(frozen=True, slots=True, eq=False)
class _Pool:
    """The documents of a corpus."""

    documents: Tensor  # of all corpora
    members: Tensor
    same_work: float

    def nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Documents and cosines of the best of the corpus, (rows, DEPTH + 1)."""
        cosines = queries @ self.documents[self.members].T
        best, places = cosines.topk(min(DEPTH + 1, len(self.members)), dim=1)
        return self.members[places], best.float()

    def cosines(self, queries: Tensor, documents: Tensor) -> Tensor:
        """The cosine of each row's query and documents; any for -1."""
        vectors = self.documents[documents.clamp(min=0)]
        return torch.einsum("rw,rdw->rd", queries.float(), vectors.float())


def _fused(
    pool: _Pool,
    queries: Tensor,
    lexical: tuple[Tensor, Tensor],
    known: tuple[Tensor, Tensor],
    told: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Negatives, their scores, and the scores of the positives, of some lists of one corpus."""
    asking, guarded = told
    nearest, cosines = pool.nearest(queries)
    cosines = cosines.masked_fill(nearest == asking[:, None], -1.0)
    cosines, order = cosines.sort(dim=1, descending=True)
    nearest = nearest.gather(1, order)
    high, low = cosines[:, :1], cosines[:, [min(DEPTH, cosines.shape[1]) - 1]].clamp(min=-0.5)
    head = cosines[:, [min(_HEAD, cosines.shape[1]) - 1]]
    dense_weight = (high - head) / _SPAN
    share = dense_weight / (1 + dense_weight)

    def fuse(lexical_scores: Tensor, own: Tensor) -> Tensor:
        scaled = ((own - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
        return (1 - share) * lexical_scores + share * scaled

    found = nearest[:, :_DENSE]
    same = found[:, :, None] == lexical[0][:, None, :]
    of_found = (same * lexical[1].nan_to_num()[:, None, :]).sum(dim=2)
    fresh = (lexical[0] >= 0) & ~same.any(dim=1)
    own = pool.cosines(queries, lexical[0])
    candidates = torch.cat([found, lexical[0]], dim=1)
    scores = torch.cat([fuse(of_found, cosines[:, :_DENSE]), fuse(lexical[1].nan_to_num(), own)], 1)
    allowed = torch.cat([torch.ones_like(found, dtype=torch.bool), fresh], dim=1)
    relevant, relevant_lexical = known
    relevant_cosines = pool.cosines(queries, relevant)
    relevant_scores = fuse(relevant_lexical.nan_to_num(), relevant_cosines)
    is_found = (relevant >= 0) & (~relevant_lexical.isnan() | (relevant_cosines >= low))
    relevant_scores = torch.where(is_found, relevant_scores, torch.nan)
    best = torch.where(allowed, scores, 0).amax(dim=1, keepdim=True)
    best = torch.maximum(best, relevant_scores.nan_to_num().amax(dim=1, keepdim=True))
    scores, relevant_scores = scores / best.clamp(min=1e-6), relevant_scores / best.clamp(min=1e-6)
    allowed &= ~(candidates[:, :, None] == relevant[:, None, :]).any(dim=2)
    allowed &= candidates != asking[:, None]
    allowed &= ~_same_work(pool, candidates, relevant)
    highest = relevant_scores.nan_to_num().amax(dim=1, keepdim=True)
    highest = torch.where(is_found.any(dim=1, keepdim=True), highest, 1.0)
    limit = (MARGIN * highest).clamp(min=COMPLETE_ENOUGH)
    allowed &= ~guarded[:, None] | (scores <= limit)
    ranked, order = torch.where(allowed, scores, -1.0).sort(dim=1, descending=True)
    width = min(KEPT, ranked.shape[1])
    ranked, order = ranked[:, :width], order[:, :width]
    negatives = torch.where(ranked >= 0, candidates.gather(1, order), _NONE)
    padding = (0, KEPT - width)
    return (
        torch.nn.functional.pad(negatives, padding, value=_NONE).int(),
        torch.nn.functional.pad(ranked.clamp(min=0), padding).half(),
        relevant_scores.half(),
    )


def _same_work(pool: _Pool, candidates: Tensor, relevant: Tensor) -> Tensor:
    """Which candidates are (nearly) another copy of a relevant text, (rows, candidates)."""
    ours = pool.documents[candidates.clamp(min=0)]
    theirs = pool.documents[relevant.clamp(min=0)]
    alike = torch.einsum("rcw,rpw->rcp", ours, theirs) > pool.same_work
    return (alike & (relevant >= 0)[:, None, :]).any(dim=2)


def mined_sharpness(packed: PackedLists, mined: Mined, *, seed: int) -> Sharpness:
    """The fused list's sharpness by kind, on some lists of each whose relevant text it found.

    Raises:
        TrainingError: there is none.
    """
    draw = np.random.default_rng(seed)
    rows: list[ScoredRow] = []
    for number, kind in enumerate(packed.kinds):
        some = draw.permutation(np.flatnonzero(packed.kind == number))[:_FITTED]
        at = torch.from_numpy(some).to(mined.scores.device)
        found = mined.positive_scores[at].float().cpu().numpy()
        scores, there = mined.scores[at].float().cpu().numpy(), (mined.negatives[at] >= 0).cpu()
        for positive, negative, is_there in zip(found, scores, there.numpy(), strict=True):
            positive = positive[~np.isnan(positive)]
            if len(positive) and is_there.any():
                values = np.concatenate([[draw.choice(positive)], negative[is_there]])
                rows.append(ScoredRow(values.astype(np.float64), np.zeros(len(values)), kind))
    if not rows:
        raise TrainingError(f"the first stages found no positive of {len(packed)} lists")
    return fit_by_kind(rows)


def _padded(
    ragged: Ragged, scores: NDArray[np.float16], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rows of documents with their scores side by side: -1 and NaN where a row has no more."""
    lengths = np.diff(ragged.starts)
    width = int(lengths.max(initial=1))
    there = np.arange(width)[None] < lengths[:, None]
    documents = np.full(there.shape, _NONE, np.int64)
    padded = np.full(there.shape, np.nan, np.float32)
    documents[there], padded[there] = ragged.values, scores
    return torch.from_numpy(documents).to(device), torch.from_numpy(padded).to(device)


def _corpora(packed: PackedLists) -> NDArray[np.int64]:
    """Which corpus a list's documents are from: papers 0, questions 1, SciFact 2."""
    of_kind = [2 if kind == "scifact" else int(kind in _QUESTIONS) for kind in packed.kinds]
    return np.array(of_kind, np.int64)[packed.kind]


def _corpus_of_documents(
    packed: PackedLists, of_list: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    found = np.full(count, _NONE, np.int64)
    for ragged in (packed.positives, packed.negatives):
        found[ragged.values.astype(np.int64)] = np.repeat(of_list, np.diff(ragged.starts))
    return found
