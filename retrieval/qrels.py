"""Judgements in: TREC qrels and BEIR's tab-separated ones, and lists of pairs to leave out."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Qrels
from scisearch.retrieval.textfile import numbered_lines, read_bytes, shown

Pairs = Mapping[str, frozenset[str]]  # query_id -> doc_ids

_GAIN = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?", re.ASCII)
_HEADER_FIRST = re.compile(r"(query|topic|q)[-_]?(id)?", re.IGNORECASE)
_HEADER_LAST = re.compile(
    r"score|gain|rel|relevance|relevancy|label|grade|judge?ment|((doc|corpus)[-_]?id|docno)",
    re.IGNORECASE,
)
# No collection grades so high; a document id in the gain's place does.
_LARGEST_GAIN = 1_000_000


def read_qrels(path: Path) -> Qrels:
    """Query id -> document id -> gain, in the order of the file.

    Takes 'query_id 0 doc_id gain' (TREC) and 'query_id doc_id gain' (BEIR, with or without its
    header), separated by any white space. Gains are whole numbers; TREC's negative ones are kept
    (measures take them as not relevant). A pair may be repeated with the same gain only.

    Raises:
        RankingError: a malformed line, a gain that is no whole number, two gains for one pair, or
            no judgement at all.
    """
    path = Path(path)
    judged: dict[str, dict[str, int]] = {}
    width: int | None = None
    for position, (number, line) in enumerate(numbered_lines(path, read_bytes(path))):
        columns = line.split()
        if position == 0 and _is_header(columns):
            continue
        width = width or len(columns)
        if len(columns) != width or width not in (3, 4):
            raise RankingError(
                f"{path}:{number}: found {len(columns)} columns in {shown(line)}, expected"
                f" {_expected(width)}"
            )
        query_id, doc_id = columns[0], columns[-2]
        gain = _gain(columns[-1], f"{path}:{number}")
        known = judged.setdefault(query_id, {}).setdefault(doc_id, gain)
        if known != gain:
            raise RankingError(
                f"{path}:{number}: found gain {gain} for query {query_id} and document {doc_id},"
                f" expected {known} as on an earlier line; keep one of the two"
            )
    if not judged:
        raise RankingError(f"{path}: found no judgement, expected lines 'query_id 0 doc_id gain'")
    return judged


def read_pairs(path: Path) -> Pairs:
    """Query id -> document ids of a file of 'query_id doc_id' lines, such as pairs to leave out.

    Raises:
        RankingError: a line has not two columns, or there is none.
    """
    path = Path(path)
    pairs: dict[str, set[str]] = {}
    for position, (number, line) in enumerate(numbered_lines(path, read_bytes(path))):
        columns = line.split()
        if position == 0 and _is_header(columns):
            continue
        if len(columns) != 2:
            raise RankingError(
                f"{path}:{number}: found {len(columns)} columns in {shown(line)}, expected"
                " 'query_id doc_id'"
            )
        pairs.setdefault(columns[0], set()).add(columns[1])
    if not pairs:
        raise RankingError(f"{path}: found no pair, expected lines 'query_id doc_id'")
    return {query_id: frozenset(doc_ids) for query_id, doc_ids in pairs.items()}


def _is_header(columns: Sequence[str]) -> bool:
    return bool(_HEADER_FIRST.fullmatch(columns[0]) and _HEADER_LAST.fullmatch(columns[-1]))


def _expected(width: int) -> str:
    if width == 3:
        return "'query_id doc_id gain' on every line as on the first"
    return "'query_id 0 doc_id gain'"


def _gain(text: str, where: str) -> int:
    match = _GAIN.fullmatch(text)
    if match is None:
        raise RankingError(
            f"{where}: found gain {shown(text)}, expected a whole number such as 0, 1 or 2"
        )
    gain = int(match[1])
    if abs(gain) > _LARGEST_GAIN:
        raise RankingError(
            f"{where}: found gain {gain}, expected at most {_LARGEST_GAIN}; are document id and"
            " gain in each other's column?"
        )
    return gain
