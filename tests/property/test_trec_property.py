import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.index.errors import RankingError
from scisearch.retrieval.qrels import read_qrels
from scisearch.retrieval.ranking import Hit, RankedList, strictly_decreasing
from scisearch.retrieval.run_writer import RunWriter
from scisearch.retrieval.topics import read_topics
from scisearch.retrieval.trec import format_run, read_run, write_run

IDS = st.text(min_size=1, max_size=6).filter(lambda s: len(s.split()) == 1 and s == s.strip())
SCORES = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100))


@st.composite
def ranked_lists(draw: st.DrawFn) -> RankedList:
    query_id = draw(IDS)
    scores = draw(st.dictionaries(IDS, SCORES, max_size=8))
    ordered = RankedList.from_scores(query_id, scores).hits
    strict = strictly_decreasing(np.array([hit.score for hit in ordered], np.float32))
    hits = tuple(Hit(hit.doc_id, float(s)) for hit, s in zip(ordered, strict, strict=True))
    return RankedList(query_id, hits)


RUNS = st.lists(ranked_lists(), min_size=1, max_size=6, unique_by=lambda ranked: ranked.query_id)


@settings(deadline=None)
@given(RUNS.filter(lambda run: any(ranked.hits for ranked in run)))
def test_what_is_written_reads_back_equal(run: list[RankedList]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.run")
        write_run(path, run, tag="t")
        read = read_run(path)
        assert [hits_of(read[r.query_id]) for r in run if r.hits] == [
            hits_of(r) for r in run if r.hits
        ]


def hits_of(ranked: RankedList) -> list[tuple[str, np.float32]]:
    return [(hit.doc_id, np.float32(hit.score)) for hit in ranked.hits]


@settings(deadline=None, max_examples=60)
@given(RUNS, st.lists(st.floats(0, 1), max_size=4), st.booleans())
def test_a_run_cut_at_any_bytes_ends_byte_identical(
    run: list[RankedList], cuts: list[float], garbage: bool
) -> None:
    whole = b"".join(format_run(r.query_id, r.hits, tag="t").encode() for r in run)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.run")
        partial = Path(folder, "x.run.partial")
        for cut in cuts:
            writer = RunWriter(path, tag="t", fingerprint={"n": 1})
            append_missing(writer, run)
            writer.__exit__(KeyboardInterrupt, None, None)
            content = partial.read_bytes()
            end = round(cut * len(content))
            partial.write_bytes(content[:end] + (b"\0" * (len(content) - end) if garbage else b""))
        with RunWriter(path, tag="t", fingerprint={"n": 1}) as writer:
            order = [ranked.query_id for ranked in run]
            assert list(writer.completed) == order[: len(writer.completed)]
            append_missing(writer, run)
        assert path.read_bytes() == whole
        assert [p.name for p in Path(folder).iterdir()] == ["x.run"]


def append_missing(writer: RunWriter, run: list[RankedList]) -> None:
    for ranked in run[len(writer.completed) :]:
        writer.write(ranked.query_id, ranked.hits)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet='<>/ \t\n{}":1aTtopicnumle=&;[]', max_size=80))
def test_any_file_is_read_or_refused_in_one_line(content: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        for read in (read_topics, read_run, read_qrels):
            try:
                outcome: object = read(path)
            except RankingError as error:
                outcome = str(error)
                lines = str(error).splitlines()
            else:
                lines = ["no error"]
            assert outcome
            assert len(lines) == 1
