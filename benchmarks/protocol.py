"""By which rules a collection is judged: pairs that are left out, and queries with own pools.

The pairs of an ignore file (a query's source document, say) are taken out of the judgements and of
every run, as `search evaluate --ignore` does. Where only a pool of documents was judged for each
query, ranking that pool is the task, and what stands outside is not known to be wrong.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scisearch.benchmarks.evaluation import without_judged_pairs, without_pairs
from scisearch.benchmarks.findings import examples
from scisearch.index.errors import ConfigError
from scisearch.retrieval.pools import Pools
from scisearch.retrieval.qrels import Pairs, read_pairs
from scisearch.retrieval.ranking import Qrels, RankedList, Run


@dataclass(frozen=True, slots=True)
class Protocol:
    """The rules; without any, every document may be an answer to every query."""

    ignored: Pairs = field(default_factory=dict)  # left out of judgements and runs
    ignore_sha256: str | None = None  # of the file that names them
    judgements_left_out: int = 0
    judged_pool: bool = False  # each query ranks the documents that are judged for it

    def pools(self, qrels: Qrels) -> Pools | None:
        """The documents that each query ranks; None: all of them."""
        if not self.judged_pool:
            return None
        return {query_id: frozenset(gains) for query_id, gains in qrels.items()}

    def asked_for(self, cutoff: int) -> int:
        """How many hits a search must give, so that `cutoff` are left of every list."""
        return cutoff + max(map(len, self.ignored.values()), default=0)

    def applied(self, run: Run, cutoff: int) -> tuple[dict[str, RankedList], int]:
        """The run as it is judged, `cutoff` hits a query, and how many hits were left out."""
        kept, left_out = without_pairs(run, self.ignored)
        return {query_id: ranked.cut(cutoff) for query_id, ranked in kept.items()}, left_out

    def judged(self, pairs: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        """Query_id -> doc_id -> value of each pair that is judged, without those left out."""
        return {
            query_id: {one: of[one] for one in of if one not in self.ignored.get(query_id, ())}
            for query_id, of in pairs.items()
        }

    def to_json(self) -> dict[str, object]:
        """The rules as JSON values."""
        return {
            "ignored_pairs": sum(map(len, self.ignored.values())),
            "ignore_sha256": self.ignore_sha256,
            "judgements_left_out": self.judgements_left_out,
            "judged_pool": self.judged_pool,
        }


def judged_by(
    qrels: Qrels, *, ignore: Path | None = None, judged_pool: bool = False
) -> tuple[Protocol, Qrels]:
    """The rules, and the judgements that they leave.

    Raises:
        ConfigError: the pairs are of other queries, or pools would hold right documents only.
        RankingError: the file of pairs is malformed.
    """
    pairs = read_pairs(ignore) if ignore is not None else {}
    if ignore is not None and not any(query_id in qrels for query_id in pairs):
        raise ConfigError(
            f"{ignore}: none of its queries is judged: found {examples(pairs)}, expected some of"
            f" {examples(qrels)}; are they of one collection?"
        )
    judged = without_judged_pairs(qrels, pairs)
    if judged_pool and not any(gain <= 0 for gains in judged.values() for gain in gains.values()):
        raise ConfigError(
            "judged pool: every judged document is relevant, so that any order would be right;"
            " expected judgements that also list what is not relevant, with gain 0"
        )
    return Protocol(pairs, _sha256(ignore), _size(qrels) - _size(judged), judged_pool), judged


def _size(qrels: Mapping[str, Mapping[str, int]]) -> int:
    return sum(map(len, qrels.values()))


def _sha256(path: Path | None) -> str | None:
    return None if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
