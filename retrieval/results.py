"""What a search gives back: hits with their documents, and where the time went."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple, get_args

from scisearch.index.documents import Document
from scisearch.index.opened import OpenIndex
from scisearch.retrieval.ranking import Hit, RankedList, Scored, strictly_decreasing
from scisearch.retrieval.snippets import Snippet, snippet


class StageScore(NamedTuple):
    """What one stage gave a document: its rank from 1, and the stage's own score."""

    rank: int
    score: float


StoppedBy = Literal["end", "bound", "time", "cascade"]
STOPPED_EARLY: tuple[StoppedBy, ...] = tuple(one for one in get_args(StoppedBy) if one != "end")


@dataclass(frozen=True, slots=True)
class RerankEffort:
    """How much of a query's candidates the cross-encoder scored, and why not more.

    `stopped_by` is "end" where all were scored, "bound" where the top was not expected to change,
    "time" where the time was up, "cascade" where a small cross-encoder chose them. `agreement` is
    the share of the top that is expected to be that of a rerank of all, 0 to 1; None where nothing
    is known of it.
    """

    scored: int
    candidates: int
    stopped_by: StoppedBy
    agreement: float | None
    from_cache: int = 0  # of the scored ones, those whose logits were computed before

    def to_json(self) -> dict[str, object]:
        """The effort as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ranking:
    """One query's way through the stages: each stage's list by name, the last one final."""

    stages: Mapping[str, Scored]
    notes: tuple[str, ...]
    probabilities: Mapping[int, float] = field(default_factory=dict)  # by ordinal, if calibrated
    effort: RerankEffort | None = None  # None: not reranked

    @property
    def final(self) -> Scored:
        """The last stage's list."""
        return list(self.stages.values())[-1]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One result. `stages` holds what each stage that had the document gave it, by stage name.

    `probability` of relevance is None where no calibrated cross-encoder scored the document.
    """

    score: float
    document: Document
    snippet: Snippet
    stages: Mapping[str, StageScore]
    probability: float | None = None

    def to_json(self, rank: int, *, explain: bool) -> dict[str, object]:
        """The hit as JSON values."""
        content: dict[str, object] = {
            "rank": rank,
            "doc_id": self.document.doc_id,
            "score": self.score,
            "title": self.document.title,
            "text": self.document.text,
            "metadata": dict(self.document.metadata),
            "snippet": self.snippet.text,
        }
        if self.probability is not None:
            content["probability"] = self.probability
        if explain:
            content["stages"] = {name: given._asdict() for name, given in self.stages.items()}
        return content


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer to one query, best hit first; scores are float32 values and strictly decrease."""

    query_id: str
    query: str
    mode: str  # the mode that was used: bm25, dense, hybrid or rerank
    hits: tuple[SearchHit, ...]
    milliseconds: Mapping[str, float]  # wall time by stage
    notes: tuple[str, ...] = field(default=())  # what the reader of the answer should know
    effort: RerankEffort | None = None  # None: nothing was reranked

    def ranked_list(self) -> RankedList:
        """Only the ids and scores."""
        hits = tuple(Hit(hit.document.doc_id, hit.score) for hit in self.hits)
        return RankedList(self.query_id, hits)

    def to_json(self, *, explain: bool = False) -> dict[str, object]:
        """The result as JSON values."""
        effort = {} if self.effort is None else {"reranking": self.effort.to_json()}
        return {
            "query_id": self.query_id,
            "query": self.query,
            "mode": self.mode,
            "notes": list(self.notes),
            **effort,
            "milliseconds": {name: round(ms, 3) for name, ms in self.milliseconds.items()},
            "hits": [
                hit.to_json(rank, explain=explain) for rank, hit in enumerate(self.hits, start=1)
            ],
        }


def search_hits(
    index: OpenIndex,
    query: str,
    stages: Mapping[str, Scored],
    *,
    cutoff: int,
    probabilities: Mapping[int, float],
) -> tuple[SearchHit, ...]:
    """The best `cutoff` documents of the last stage's list, read from the index.

    `probabilities` is ordinal -> probability of relevance, of those that have one.
    """
    final = list(stages.values())[-1].cut(cutoff)
    given = _stage_scores(stages, set(final.ordinals.tolist()))
    terms = frozenset(index.analyzer.terms(query))
    hits = []
    scores = strictly_decreasing(final.scores).tolist()
    for ordinal, score in zip(final.ordinals.tolist(), scores, strict=True):
        document = index.documents.get(ordinal)
        marked = snippet(document.text, terms, index.analyzer)
        chance = probabilities.get(ordinal)
        hits.append(SearchHit(score, document, marked, given[ordinal], chance))
    return tuple(hits)


def _stage_scores(
    stages: Mapping[str, Scored], wanted: set[int]
) -> dict[int, dict[str, StageScore]]:
    """For each wanted ordinal, the rank and score that every stage gave it."""
    given: dict[int, dict[str, StageScore]] = {ordinal: {} for ordinal in wanted}
    for name, scored in stages.items():
        pairs = zip(scored.ordinals.tolist(), scored.scores.tolist(), strict=True)
        for rank, (ordinal, score) in enumerate(pairs, start=1):
            if ordinal in given:
                given[ordinal][name] = StageScore(rank, score)
    return given
