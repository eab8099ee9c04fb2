"""Lists drawn for steps on a GPU: their queries here, beside it; their texts there.

Imports torch at the top: import it inside functions only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from scisearch.benchmarks.science_training.draw import (
    ASKING_TOKENS,
    LABEL_SHARE,
    LABEL_SHARES,
    UNTITLED,
    WITHOUT_OFFSET,
)
from scisearch.benchmarks.science_training.gpu.mining import Mined
from scisearch.benchmarks.science_training.gpu.token_store import Pairs, TokenStore, padded
from scisearch.benchmarks.science_training.list_order import ListOrder
from scisearch.benchmarks.science_training.mixtures import GPU_MIXTURE, Mixture
from scisearch.benchmarks.science_training.packed import PackedLists
from scisearch.benchmarks.science_training.ranks import TOP
from scisearch.benchmarks.science_training.settings import RELEVANT, Clock
from scisearch.benchmarks.science_training.variation import Rewording
from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.sharpness import Sharpness

OF_TOP, OF_REST, UNRELATED = 6, 5, 2  # texts of a list after the relevant ones, in this order
# Of the lists' texts: all cut to a title's length, all to a few lines, each to its own, a part of
# each; the others are whole.
TO_TITLES, TO_LINES, TO_OWN, TO_PARTS = 0.08, 0.14, 0.08, 0.04


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """The queries of a step: rows of packed lists, ids (lists, longest) int32, their lengths.

    `titled` (lists,) bool: the documents stand with their titles. `seed` is of the texts' draw.
    """

    rows: NDArray[np.int64]
    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    titled: NDArray[np.bool_]
    seed: int


class Asking(IterableDataset[Asked]):
    """Queries for step after step, for ever, made by a loader's workers."""

    def __init__(
        self,
        packed: PackedLists,
        clock: Clock,
        *,
        lists: int,
        seed: int,
        mixture: Mixture = GPU_MIXTURE,
    ) -> None:
        """`lists` of a step; `clock` says how far the mixture of kinds has moved."""
        self._packed, self._clock, self._lists, self._seed = packed, clock, lists, seed
        self._mixture = mixture

    def __iter__(self) -> Iterator[Asked]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        draw = np.random.default_rng([self._seed, 11, worker])
        shuffled = np.random.default_rng(1).permutation(len(self._packed))
        order = ListOrder(
            self._packed, shuffled, self._mixture, draw, worker=worker, workers=workers
        )
        rewording = Rewording(self._packed.words)
        while True:
            done = self._clock.done()
            lists = [order.next(done) for _ in range(self._lists)]
            ids, lengths = padded([self._query(rewording, *one, draw) for one in lists])
            titled = np.array([kind != "title" for kind, _ in lists]) & (
                draw.random(len(lists)) > UNTITLED
            )
            rows = np.array([row for _, row in lists], np.int64)
            yield Asked(rows, ids, lengths, titled, int(draw.integers(2**62)))

    def _query(self, rewording: Rewording, kind: str, row: int, draw: Any) -> NDArray[Any]:
        packed, asking = self._packed, int(self._packed.asking[row])
        if asking >= 0 and draw.random() < 0.5:
            return packed.document(asking)[: int(draw.integers(*ASKING_TOKENS))]
        return rewording.of(packed.queries[row], kind, draw)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """The texts of a step; numbers are (lists, texts) float32 or (lists,).

    A place without a text has the correction ABSENT. `pairs` are those of all places, in order;
    `there` says which are to be computed.
    """

    pairs: Pairs
    there: Tensor
    offsets: Tensor
    corrections: Tensor
    relevant: Tensor
    has_offset: Tensor
    label_share: Tensor


class Drawing:
    """Draws the texts of a step on the device."""

    def __init__(
        self,
        packed: PackedLists,
        store: TokenStore,
        mined: Mined,
        sharpness: Sharpness,
        *,
        relevant: int = RELEVANT,
    ) -> None:
        """Put what a kind of query says beside what the first stages say of each list.

        `relevant` texts of a list at most.
        """
        self._store, self._mined, self._most = store, mined, relevant
        device = store.tokens.device
        self._n_documents = len(packed.titles)

        def by_kind(of: Any, dtype: torch.dtype) -> Tensor:
            values = torch.tensor([of(kind) for kind in packed.kinds], dtype=dtype)
            return values[torch.from_numpy(packed.kind.astype(np.int64))].to(device)

        self._sharpness = by_kind(sharpness.of, torch.float32)
        self._label_share = by_kind(lambda k: LABEL_SHARES.get(k, LABEL_SHARE), torch.float32)
        self._has_offset = by_kind(lambda k: k not in WITHOUT_OFFSET, torch.bool)
        self._is_question = by_kind(lambda k: k == "question", torch.bool)
        self._replaced = torch.from_numpy(np.diff(packed.instead.starts) > 0).to(device)

    def draw(self, asked: Asked) -> Drawn:
        """Relevant texts of each list, some negatives of its top, some of those below, others.

        Without the last, which are unrelated, a model learns to tell candidates from each other
        and nothing else (benchmarks/LOG.md, 2026-11-28). Their fused score is 0.
        """
        device = self._store.tokens.device
        random = torch.Generator(device=device).manual_seed(asked.seed)
        rows = torch.from_numpy(asked.rows).to(device)
        relevant, relevant_scores, candidates = self._relevant(rows, random)
        n_relevant = (relevant >= 0).sum(dim=1, keepdim=True)
        top, below = (
            _some(self._mined, rows, span, count, random)
            for span, count in ((slice(0, TOP), OF_TOP), (slice(TOP, None), OF_REST))
        )
        unrelated = self._unrelated(rows, relevant[:, 0], random)
        none = torch.zeros(unrelated.shape, device=device)
        documents = torch.cat([relevant, top[0], below[0], unrelated], dim=1)
        scores = torch.cat([relevant_scores.nan_to_num(), top[1], below[1], none], dim=1)
        rates = torch.cat(
            [
                (candidates / n_relevant).clamp(min=1).log().expand_as(relevant_scores),
                top[2].expand_as(top[1]),
                below[2].expand_as(below[1]),
                none,
            ],
            dim=1,
        )
        there = documents >= 0
        has_offset = self._has_offset[rows] & ~relevant_scores[:, 0].isnan()
        is_relevant = torch.zeros_like(scores)
        is_relevant[:, : self._most] = (relevant >= 0).float()
        return Drawn(
            pairs=self._pairs(rows, documents.clamp(min=0), asked, random),
            there=there,
            offsets=self._sharpness[rows][:, None] * scores,
            corrections=torch.where(there, rates, ABSENT),
            relevant=is_relevant,
            has_offset=has_offset.float(),
            label_share=self._label_share[rows],
        )

    def _relevant(self, rows: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Documents, scores, and how many candidates they are drawn from, at least 1."""
        documents = self._mined.positives[rows].long()
        scores = self._mined.positive_scores[rows].float()
        found = ~scores.isnan()
        pool = torch.where(found.any(dim=1, keepdim=True), found, documents >= 0)
        keys = torch.rand(pool.shape, generator=random, device=pool.device).masked_fill(~pool, -1.0)
        width = min(self._most, keys.shape[1])
        keys, order = keys.topk(width, dim=1)
        wanted = torch.randint(
            1, self._most + 1, (len(rows), 1), generator=random, device=rows.device
        )
        wanted = torch.where(self._has_offset[rows][:, None], wanted, 1)
        chosen = (keys >= 0) & (torch.arange(width, device=rows.device)[None] < wanted)
        padding = (0, self._most - width)
        documents = torch.where(chosen, documents.gather(1, order), -1)
        scores = torch.where(chosen, scores.gather(1, order), torch.nan)
        return (
            torch.nn.functional.pad(documents, padding, value=-1),
            torch.nn.functional.pad(scores, padding, value=torch.nan),
            found.sum(dim=1, keepdim=True).clamp(min=1),
        )

    def _unrelated(self, rows: Tensor, relevant: Tensor, random: torch.Generator) -> Tensor:
        """What answers another list of the step, and any document; -1 where it answers this one."""
        shape = (len(rows), 1)
        any_one = torch.randint(self._n_documents, shape, generator=random, device=rows.device)
        places = torch.randperm(len(rows), generator=random, device=rows.device)
        found = torch.cat([relevant[places.roll(1)][places.argsort()][:, None], any_one], dim=1)
        own = self._mined.positives[rows].long()
        return found.masked_fill((found[:, :, None] == own[:, None, :]).any(dim=2), -1)

    def _pairs(
        self, rows: Tensor, documents: Tensor, asked: Asked, random: torch.Generator
    ) -> Pairs:
        device, texts = rows.device, documents.shape[1]
        # the abstract that a sentence was taken out of, without it
        documents[:, 0] = torch.where(
            self._replaced[rows], self._n_documents + rows, documents[:, 0]
        )
        skipped = torch.where(
            torch.from_numpy(asked.titled).to(device)[:, None], 0, self._store.titles[documents]
        )
        start, length = self._store.starts[documents] + skipped, self._store.lengths[documents]
        start, length = _varied(start, length - skipped, self._is_question[rows], random)
        query = torch.arange(len(rows), device=device).repeat_interleave(texts)
        lengths = torch.from_numpy(asked.lengths).to(device)
        return Pairs(
            queries=torch.from_numpy(asked.ids).to(device),
            query=query,
            query_length=lengths[query],
            start=start.reshape(-1),
            length=length.reshape(-1),
        )


def _some(
    mined: Mined, rows: Tensor, span: slice, count: int, random: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """`count` negatives of some ranks, their scores, and -ln of the share that was drawn."""
    documents = mined.negatives[rows, span].long()
    scores = mined.scores[rows, span].float()
    keys = torch.rand(documents.shape, generator=random, device=rows.device)
    _, order = keys.masked_fill(documents < 0, -1.0).topk(count, dim=1)
    there = (documents >= 0).sum(dim=1, keepdim=True)
    rate = (there / count).clamp(min=1).log()
    return documents.gather(1, order), scores.gather(1, order), rate


def _varied(
    start: Tensor, length: Tensor, is_question: Tensor, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Where the texts begin and how long they are, (lists, texts), once some are cut."""
    device = start.device

    def between(low: int, high: int, shape: tuple[int, ...]) -> Tensor:
        return torch.randint(low, high, shape, generator=random, device=device)

    n, whole = len(start), tuple(start.shape)
    chance = torch.rand((n, 1), generator=random, device=device)
    # a question's answer is seldom in a title
    chance = torch.where(is_question[:, None], TO_TITLES + (1 - TO_TITLES) * chance, chance)
    to_titles = chance < TO_TITLES
    to_lines = ~to_titles & (chance < TO_TITLES + TO_LINES)
    to_own = (chance >= TO_TITLES + TO_LINES) & (chance < TO_TITLES + TO_LINES + TO_OWN)
    to_parts = chance >= 1 - TO_PARTS
    most = torch.full(whole, 1 << 20, device=device)
    most = torch.where(to_titles, between(10, 26, (n, 1)), most)
    most = torch.where(to_lines, between(30, 90, (n, 1)), most)
    most = torch.where(to_own, between(20, 250, whole), most)
    most = torch.where(to_parts, between(40, 120, whole), most)
    share = torch.rand(whole, generator=random, device=device) / 2
    moved = torch.where(to_parts & (length >= 60), (share * length).long(), 0)
    return start + moved, torch.minimum(length - moved, most)
