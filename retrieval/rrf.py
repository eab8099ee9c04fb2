"""Fuse the lists of several first stages by reciprocal rank."""

from collections.abc import Sequence

import numpy as np

from scisearch.index.errors import ConfigError
from scisearch.retrieval.convex import add_scores
from scisearch.retrieval.ranking import IdRank, Scored, rank


def rrf(lists: Sequence[Scored], id_rank: IdRank, *, k: float = 60) -> Scored:
    """Fuse the lists of one query: score(d) = sum over lists of 1 / (k + rank of d in the list).

    Ranks count from 1; a list without d adds nothing. Cormack, Clarke and Büttcher, SIGIR 2009,
    doi:10.1145/1571941.1572114, with their k = 60.

    Raises:
        ConfigError: k is negative.
    """
    if k < 0:
        raise ConfigError(f"RRF with k = {k}; expected at least 0")
    parts = [
        (one.ordinals, 1.0 / (k + np.arange(1, len(one) + 1, dtype=np.float64))) for one in lists
    ]
    return rank(*add_scores(parts), id_rank)
