from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from scisearch.benchmarks.bm25_speed import compare_speed
from scisearch.benchmarks.demo import write_demo
from scisearch.benchmarks.scale import growth, measure_scale
from scisearch.benchmarks.scale_corpus import Row, grown, write_grown
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.corpus import open_corpus
from scisearch.index.errors import ConfigError
from scisearch.index.lexical import BM25Parameters
from scisearch.index.opened import open_index
from scisearch.retrieval.topics import read_topics

TEXT = "sleep loss impairs memory consolidation in young adults " * 20
ROWS = [Row(f"d{i}", f"title {i}", f"{TEXT}{i}") for i in range(10)]


def test_a_smaller_corpus_is_a_sample_spread_over_the_rows() -> None:
    assert list(grown(ROWS, 10)) == ROWS
    assert [row.doc_id for row in grown(ROWS, 4)] == ["d0", "d3", "d6", "d9"]


def test_a_larger_corpus_is_all_rows_and_perturbed_repetitions() -> None:
    rows = list(grown(ROWS, 25))
    assert rows[:10] == ROWS
    ids = [row.doc_id for row in rows]
    assert ids[10:12] == ["d0~1", "d1~1"]
    assert ids[20:22] == ["d0~2", "d1~2"]
    assert len(set(ids)) == 25
    for row in rows[10:]:
        own = ROWS[int(row.doc_id[1])].text.split(" ")
        words = row.text.split(" ")
        assert len(words) == len(own)
        same = sum(a == b for a, b in zip(own, words, strict=True)) / len(own)
        assert 0.75 < same < 0.95  # a replaced word may be the same one again
    assert rows == list(grown(ROWS, 25))
    assert rows[10:] != list(grown(ROWS, 25, seed=1))[10:]


def test_the_vocabulary_grows_with_the_corpus() -> None:
    def terms(count: int) -> int:
        return len(Counter(word for row in grown(ROWS, count) for word in row.text.split()))

    assert terms(400) > terms(100) > terms(10)


def test_nothing_cannot_grow() -> None:
    with pytest.raises(ConfigError, match="the corpora hold no document"):
        list(islice(grown([], 3), 1))


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    write_grown(ROWS, 15, tmp_path / "corpus.parquet")
    batches = open_corpus(tmp_path / "corpus.parquet").batches()
    ids = [doc_id for batch in batches for doc_id in batch.rows.column("doc_id").to_pylist()]
    assert ids == [row.doc_id for row in grown(ROWS, 15)]


def test_growth_is_the_exponent_from_size_to_size() -> None:
    sizes = {str(n): {"documents": n, "build": {"s": s}} for n, s in ((10, 1), (100, 10), (40, 4))}
    assert growth(sizes, "build", "s") == [1.0, 1.0]
    sizes = {str(n): {"documents": n, "s": s} for n, s in ((1, 3.0), (100, 30.0))}
    assert growth(sizes, "s") == [0.5]


def test_bm25s_and_rank_bm25_agree_on_the_demo(tmp_path: Path) -> None:
    demo = write_demo(tmp_path / "demo")
    parameters = BM25Parameters(1.5, 0.75, "okapi")
    config = BuildConfig(encoder=None, bm25=parameters)
    build_index(demo.corpus, tmp_path / "index", config)
    topics = read_topics(demo.topics)[:30]
    result = compare_speed(open_index(tmp_path / "index"), topics, repeats=1)
    assert result["agrees"] == {"scisearch": True, "bm25s": True, "rank-bm25": True}
    assert all(ms >= 0 for ms in result["milliseconds"].values())


@pytest.mark.slow
def test_growth_is_measured_once_a_size(tmp_path: Path) -> None:
    demo = write_demo(tmp_path / "demo")
    topics = read_topics(demo.topics)
    first = measure_scale([demo.corpus], topics, [100], tmp_path / "out", n_queries=8)
    both = measure_scale([demo.corpus], topics, [100, 400], tmp_path / "out", n_queries=8)
    assert both["sizes"]["100"] == first["sizes"]["100"]
    assert both["sizes"]["400"]["real"] == 317
    assert both["sizes"]["400"]["build"]["peak_rss_bytes"] > 10_000_000
    assert both["sizes"]["400"]["query"]["n"] == 8
    assert len(both["growth"]["build cpu"]) == 1
    assert not list((tmp_path / "out").glob("*.parquet"))
