"""Training lists drawn from packed ones: which kind, which positive, which negatives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.science_training.list_order import ListOrder
from scisearch.benchmarks.science_training.mixtures import MIXTURE, Mixture
from scisearch.benchmarks.science_training.neighbours import Neighbours
from scisearch.benchmarks.science_training.packed import PackedLists
from scisearch.benchmarks.science_training.settings import RELEVANT
from scisearch.benchmarks.science_training.twisting import TWISTED, TWISTED_CHANCE, Twisting
from scisearch.benchmarks.science_training.variation import Rewording, shortened
from scisearch.index.errors import TrainingError
from scisearch.rerank.training.sharpness import ScoredRow, Sharpness, fit_by_kind

# The judged texts' share of the target: low where a list's relevant texts are found, not complete.
LABEL_SHARES: Mapping[str, float] = {
    "qkeywords": 0.5,
    "citation": 0.3,
    "context": 0.4,
    "cocitation": 0.3,
    "keywords": 0.4,
    "heading": 0.3,
}
LABEL_SHARE = 0.6  # of the other kinds
# The first stage matched these queries with the very text they are from: its scores of them tell
# nothing of those it gives to what people type.
WITHOUT_OFFSET = frozenset({"sentence", "title"})
_TRIES = 50  # for a document that is not the list's own
UNTITLED = 0.08  # share of the lists whose documents stand without their titles
ASKING_TOKENS = (30, 140)  # of a document that asks


@dataclass(frozen=True, slots=True, eq=False)
class DrawnList:
    """A query and n texts as token ids, `relevant` ones first; numbers are (n,) float32.

    Texts that are no candidates of the query stand last, with offsets and corrections of 0.
    `offsets` are sharpness times fused score, `corrections` -ln of each inclusion rate;
    `has_offset` is false where the offsets mean nothing. `twisted`: the last text is the first one
    turned round, with its offset and correction.
    """

    kind: str
    query: NDArray[np.uint16]
    texts: list[NDArray[np.uint16]]
    offsets: NDArray[np.float32]
    corrections: NDArray[np.float32]
    has_offset: bool
    relevant: int
    label_share: float  # of the target
    twisted: bool = False


@dataclass(frozen=True, slots=True)
class DrawOptions:
    """What a list is made of."""

    top: int = 4  # negatives of the top ranks; all but one give way to further relevant texts first
    rest: int = 3  # negatives of the ranks below
    relevant: int = RELEVANT  # texts, at most
    unrelated: int = 0  # documents of other lists; of two or more, one is two steps away
    seed: int = 1
    mixture: Mixture = field(default_factory=lambda: MIXTURE)
    varied: bool = True  # other words in queries, texts of other lengths, some turned round


class ListSource:
    """Draws lists for one of several workers, which share no list; a list again after all others.

    The same lists, options, sharpness, worker and calls give the same draws.
    """

    def __init__(
        self,
        packed: PackedLists,
        sharpness: Sharpness,
        options: DrawOptions,
        *,
        worker: int = 0,
        workers: int = 1,
        stream: int = 0,
    ) -> None:
        """Share the lists out; `stream` tells a continued training's draws from the first's.

        Raises:
            TrainingError: no list has enough negatives, or no kind is in the mixture.
        """
        self._packed, self._sharpness, self._options = packed, sharpness, options
        self._generator = np.random.default_rng([options.seed, worker, stream])
        mixture = options.mixture
        enough = np.diff(packed.negatives.starts) >= options.top + options.rest
        shuffled = np.random.default_rng(options.seed).permutation(np.flatnonzero(enough))
        self._order = ListOrder(
            packed, shuffled, mixture, self._generator, worker=worker, workers=workers
        )
        if not len(self._order):
            raise TrainingError(
                f"none of {len(packed)} lists has {options.top + options.rest} negatives and a kind"
                f" of the mixture ({', '.join(mixture)}); prepare more documents"
            )
        self._rewording, self._twisting = Rewording(packed.words), Twisting(packed.words)
        self._neighbours = Neighbours(packed) if options.unrelated > 1 else None
        self._rows = {kind: np.flatnonzero(packed.kind == i) for i, kind in enumerate(packed.kinds)}

    def draw(self, done: float) -> DrawnList:
        """The next list when a share `done` (0 to 1) of the training is done."""
        return self._list(*self._order.next(done))

    def _list(self, kind: str, row: int) -> DrawnList:
        packed, draw = self._packed, self._generator
        titled = kind != "title" and draw.random() > UNTITLED
        positives, positive_scores = self._positives(kind, row)
        negatives, scores, corrections = self._negatives(row, len(positives))
        some = (*positives.tolist(), *negatives.tolist())
        texts = [packed.document(one, with_title=titled) for one in some]
        instead = packed.instead[row]
        if len(instead):
            head = packed.titles[int(positives[0])] if titled else packed.titles.values[:0]
            texts[0] = np.concatenate([head, instead])
        query = self._query(kind, row)
        fused = np.nan_to_num(np.concatenate([positive_scores, scores]).astype(np.float32))
        offsets = np.float32(self._sharpness.of(kind)) * fused
        has_offset = kind not in WITHOUT_OFFSET and not np.isnan(positive_scores).any()
        turned = self._turned_round(kind, row, texts[0])
        if turned is not None:
            texts[-1], offsets[-1], corrections[-1] = turned, offsets[0], corrections[0]
        unrelated = self._unrelated(kind, row) if self._options.unrelated else []
        texts += [packed.document(one, with_title=titled) for one in unrelated]
        if self._options.varied:
            texts = shortened(texts, kind, draw)
        return DrawnList(
            kind=kind,
            query=query,
            texts=texts,
            offsets=np.pad(offsets, (0, len(unrelated))),
            corrections=np.pad(corrections, (0, len(unrelated))),
            has_offset=has_offset,
            relevant=len(positives),
            label_share=LABEL_SHARES.get(kind, LABEL_SHARE),
            twisted=turned is not None,
        )

    def _query(self, kind: str, row: int) -> NDArray[Any]:
        """The query as it was found, in other words, or the beginning of the paper that asks."""
        packed, draw = self._packed, self._generator
        asking = int(packed.asking[row])
        if asking >= 0 and draw.random() < 0.5:
            return packed.document(asking)[: int(draw.integers(*ASKING_TOKENS))]
        if not self._options.varied:
            return packed.queries[row]
        return self._rewording.of(packed.queries[row], kind, draw)

    def _turned_round(self, kind: str, row: int, text: NDArray[Any]) -> NDArray[Any] | None:
        draw = self._generator
        if not self._options.varied or kind not in TWISTED or draw.random() >= TWISTED_CHANCE:
            return None
        return self._twisting.of(self._packed.queries[row], text, draw)

    def _positives(self, kind: str, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """One or several of the relevant documents, candidates where one is."""
        documents, scores = self._packed.of_positives(row)
        found = np.flatnonzero(~np.isnan(scores))
        count = 1
        if len(found) > 1 and kind not in WITHOUT_OFFSET:
            count = min(len(found), 1 + int(self._generator.integers(self._options.relevant)))
        pool = found if len(found) else np.arange(len(documents))
        places = self._generator.choice(pool, count, replace=False)
        return documents[places], scores[places]

    def _unrelated(self, kind: str, row: int) -> list[int]:
        """None of this list's own: one two steps away where there is one, among several.

        The others are relevant documents of other lists, some half of them of this kind.
        """
        packed, draw = self._packed, self._generator
        own = {*packed.of_positives(row)[0].tolist(), *packed.of_negatives(row)[0].tolist()}
        wanted = self._options.unrelated
        near = self._neighbours.of(row, own, draw) if self._neighbours else None
        found: list[int] = [] if near is None else [near]
        for attempt in range(_TRIES * wanted):
            if len(found) == wanted:
                break
            of_kind = attempt % 2 == 0
            other = int(draw.choice(self._rows[kind]) if of_kind else draw.integers(len(packed)))
            document = int(draw.choice(packed.of_positives(other)[0]))
            if document not in own:
                found.append(document)
        if len(found) < wanted:
            raise TrainingError(
                f"a list of kind {kind} has the documents of all others; prepare more lists"
            )
        return found

    def _negatives(
        self, row: int, relevant: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float32]]:
        """Documents and scores: some of the top ranks, some of those below; and all corrections."""
        documents, scores = self._packed.of_negatives(row)
        n_top = int(self._packed.n_top[row])
        n_below = len(documents) - n_top
        wanted = self._options.top + self._options.rest - (relevant - 1)
        top = min(n_top, max(1, self._options.top - (relevant - 1), wanted - n_below))
        rest = wanted - top
        draw = self._generator
        chosen = np.concatenate(
            [
                draw.choice(n_top, top, replace=False),
                n_top + draw.choice(n_below, rest, replace=False),
            ]
        ).astype(np.int64)
        candidates = int((~np.isnan(self._packed.of_positives(row)[1])).sum())
        corrections = [log(max(1, candidates) / relevant)] * relevant
        below = float(self._packed.rate[row]) * rest / max(1, n_below)
        corrections += [-log(top / n_top)] * top if top else []
        corrections += [-log(below)] * rest if rest else []
        return documents[chosen], scores[chosen], np.array(corrections, np.float32)


def packed_sharpness(packed: PackedLists, *, seed: int = 1) -> Sharpness:
    """The first stage's sharpness by kind, on all kept negatives of every list it has a score for.

    Raises:
        TrainingError: the first stage found no positive of any list.
    """
    draw = np.random.default_rng(seed)
    rows: list[ScoredRow] = []
    for row in range(len(packed)):
        _, found = packed.of_positives(row)
        found = found[~np.isnan(found)]
        _, scores = packed.of_negatives(row)
        if not len(found) or not len(scores):
            continue
        corrections = np.zeros(1 + len(scores))
        n_top = int(packed.n_top[row])
        if len(scores) > n_top:
            corrections[1 + n_top :] = -log(float(packed.rate[row]))
        values = np.concatenate([[draw.choice(found)], scores]).astype(np.float64)
        rows.append(ScoredRow(values, corrections, packed.kinds[packed.kind[row]]))
    if not rows:
        raise TrainingError(
            f"the first stage found no positive of {len(packed)} lists; prepare them again"
        )
    return fit_by_kind(rows)
