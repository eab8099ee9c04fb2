"""The whole pipeline on tiny models: every stage is the real one, only the weights are random."""

import socket
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scisearch.cli import main
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ConfigError, ModelError
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import MODES, Mode, SearchConfig
from scisearch.retrieval.fusion import Fusion
from scisearch.retrieval.ranking import Query, RankedList
from scisearch.tests.toy_pipeline import CORPUS, WORDS, build, config, numbered

pytestmark = pytest.mark.slow

rows = st.lists(
    st.tuples(
        st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join),
        st.integers(2016, 2019),
    ),
    min_size=2,
    max_size=14,
)
queries = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    return build(tmp_path_factory.mktemp("index"), CORPUS, tiny_encoder)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=rows, query=queries, fusion=st.sampled_from([Fusion(), Fusion("rrf")]))
def test_a_filtered_search_is_the_search_of_the_filtered_corpus(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_encoder: Path,
    tiny_cross_encoder: Path,
    texts: Sequence[tuple[str, int]],
    query: str,
    fusion: Fusion,
) -> None:
    """Same documents and same scores, in every mode, to float noise."""
    corpus = numbered(texts)
    kept = [row for row in corpus if isinstance(row["year"], int) and row["year"] >= 2018]
    folder = tmp_path_factory.mktemp("filtered")
    (folder / "all").mkdir()
    (folder / "kept").mkdir()
    whole = build(folder / "all", corpus, tiny_encoder)
    if not kept:
        pipeline = SearchPipeline.open(whole, config("hybrid", tiny_cross_encoder))
        assert not pipeline.search(query, filters=["year>=2018"]).hits
        return
    part = build(folder / "kept", kept, tiny_encoder)
    for mode in MODES:
        settings_of = config(mode, tiny_cross_encoder, fusion=fusion)
        filtered = SearchPipeline.open(whole, settings_of).search(query, filters=["year>=2018"])
        alone = SearchPipeline.open(part, settings_of).search(query)
        assert_same(filtered.ranked_list(), alone.ranked_list())


def assert_same(one: RankedList, other: RankedList) -> None:
    """Equal scores place by place; equal documents, unless float noise decides between two."""
    assert [hit.score for hit in one.hits] == pytest.approx(
        [hit.score for hit in other.hits], abs=2e-5
    )
    scores = {hit.doc_id: hit.score for hit in other.hits}
    for hit, place in zip(one.hits, other.hits, strict=True):
        assert hit.doc_id == place.doc_id or scores.get(
            hit.doc_id, other.hits[-1].score
        ) == pytest.approx(place.score, abs=2e-5)


@pytest.mark.parametrize("mode", MODES)
def test_opened_again_an_index_gives_the_same_hits(
    index: Path, tiny_cross_encoder: Path, mode: Mode
) -> None:
    first, second = (
        SearchPipeline.open(index, config(mode, tiny_cross_encoder)).search("beta cells")
        for _ in range(2)
    )
    assert first.ranked_list() == second.ranked_list()
    scores = [hit.score for hit in first.hits]
    assert all(a > b for a, b in pairwise(scores))


def test_the_reranker_permutes_its_candidates_and_says_what_each_stage_gave(
    index: Path, tiny_cross_encoder: Path
) -> None:
    hybrid = SearchPipeline.open(index, config("hybrid", tiny_cross_encoder, depth=10, cutoff=6))
    rerank = SearchPipeline.open(
        index, config("rerank", tiny_cross_encoder, depth=10, cutoff=6, rerank_depth=4)
    )
    fused = [hit.document.doc_id for hit in hybrid.search("beta cells").hits]
    found = rerank.search("beta cells")
    final = [hit.document.doc_id for hit in found.hits]
    assert set(final[:4]) == set(fused[:4])
    assert final[4:] == fused[4:]
    stages = found.hits[0].stages
    assert set(stages) >= {"fused", "cross-encoder", "final"}
    assert stages["final"].rank == 1
    assert "cross-encoder" not in found.hits[5].stages
    assert {"load", "assemble pairs", "cross-encoder"} <= set(found.milliseconds)


def test_phrases_count_before_the_cross_encoder_and_not_without_it(
    tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> None:
    corpus = numbered([("cells of the beta gene", 2016), ("beta cells of the gene", 2016)])
    path = build(tmp_path, corpus, tiny_encoder)
    heard, not_heard = (
        SearchPipeline.open(
            path, config("rerank", tiny_cross_encoder, rerank_weight=0.0, phrase_weight=weight)
        ).search("beta cells")
        for weight in (9.0, 0.0)
    )
    assert heard.hits[0].document.doc_id == "d01"
    assert heard.hits[0].stages["phrases"].rank == 1
    assert "phrases" in heard.milliseconds
    hybrid = SearchPipeline.open(path, config("hybrid", tiny_cross_encoder)).search("beta cells")
    order = [hit.document.doc_id for hit in hybrid.hits]
    assert [hit.document.doc_id for hit in not_heard.hits] == order
    for found in (hybrid, not_heard):
        assert not any("phrases" in hit.stages for hit in found.hits)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_phrase_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"phrase weight .*; expected a number of at least 0"):
        SearchConfig(phrase_weight=weight)


def test_truncation_is_counted_and_shown(
    tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> None:
    corpus = numbered([("gene " * 100, 2016), ("gene", 2016)])
    path = build(tmp_path, corpus, tiny_encoder)
    pipeline = SearchPipeline.open(path, config("rerank", tiny_cross_encoder))
    (note,) = pipeline.search("gene").notes
    assert note.startswith("the cross-encoder saw 1 of 2 documents only in part (limit 64 tokens;")


def test_the_default_mode_reranks_where_a_cross_encoder_is_named(
    index: Path, tiny_cross_encoder: Path
) -> None:
    without = SearchPipeline.open(index, SearchConfig(offline=True)).search("gene")
    assert without.mode == "hybrid"
    # the tiny encoder's vectors: how alike documents are is known of the default one's alone
    assert without.notes[0].startswith("not reranked: the index gives back no vectors of the")
    named = SearchPipeline.open(
        index, SearchConfig(offline=True, reranker=str(tiny_cross_encoder))
    ).search("gene")
    assert named.mode == "rerank"


def test_similar_candidates_count_where_the_vectors_can_be_had(
    tmp_path: Path, tiny_encoder: Path
) -> None:
    words = [(" ".join(WORDS[i % 9 : i % 9 + 3]) + f" {i}", 2016) for i in range(300)]
    corpus = tmp_path / "corpus.parquet"
    pq.write_table(pa.Table.from_pylist(numbered(words)), corpus)
    config = SearchConfig(mode="hybrid", offline=True)
    plain = replace(config, fusion=Fusion(neighbour_weight=0))
    for factory in ("IVF4,Flat", "IVF4,PQ8x4fs"):
        build_index(
            corpus,
            tmp_path / factory,
            BuildConfig(encoder=str(tiny_encoder), offline=True, vectors=factory),
        )
    drawn = SearchPipeline.open(tmp_path / "IVF4,Flat", config).search("gene folding")
    scores = [hit.score for hit in drawn.hits]
    found = SearchPipeline.open(tmp_path / "IVF4,Flat", plain).search("gene folding")
    assert scores != [hit.score for hit in found.hits]
    assert drawn.notes == found.notes == ()
    without = SearchPipeline.open(tmp_path / "IVF4,PQ8x4fs", config).search("gene folding")
    (note,) = without.notes
    assert note.startswith("fused scores are not drawn towards those of similar candidates")


def test_the_built_in_cross_encoder_answers_when_asked(index: Path) -> None:
    asked = SearchConfig(mode="rerank", cutoff=5, depth=4, offline=True)
    result = SearchPipeline.open(index, asked).search("gene")
    assert result.mode == "rerank"
    assert result.hits[0].probability is not None  # ours is calibrated


def test_an_empty_query_has_no_hits_and_says_why(index: Path, tiny_cross_encoder: Path) -> None:
    pipeline = SearchPipeline.open(index, config("rerank", tiny_cross_encoder))
    results = pipeline.search_many([Query("a", " "), Query("b", "gene"), Query("c", "")])
    assert [len(result.hits) > 0 for result in results] == [False, True, False]
    assert results[0].notes == ("the query is empty",)


@pytest.mark.parametrize("text", ["word " * 10_000, "NUL \x00", "\ud800", "🧬", "$\\alpha_{i}$ {"])
def test_any_query_text_is_legal_in_every_stage(
    index: Path, tiny_cross_encoder: Path, text: str
) -> None:
    assert SearchPipeline.open(index, config("rerank", tiny_cross_encoder)).search(text).hits


def test_a_reader_keeps_its_generation_while_a_new_one_is_published(
    tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> None:
    path = build(tmp_path, CORPUS[:4], tiny_encoder)
    reader = SearchPipeline.open(path, config("hybrid", tiny_cross_encoder))
    build(tmp_path, numbered([("something else entirely", 2020)]), tiny_encoder)
    assert reader.search("gene").hits[0].document.doc_id == "d00"
    fresh = SearchPipeline.open(path, config("bm25", tiny_cross_encoder))
    assert not fresh.search("gene").hits


def test_another_model_than_the_one_that_built_the_index_is_refused(
    index: Path, tiny_cross_encoder: Path
) -> None:
    options = config("dense", tiny_cross_encoder, encoder="all-MiniLM-L6-v2")
    with pytest.raises(ModelError, match=r"but the index was built with .*--encoder"):
        SearchPipeline.open(index, options).search("gene")


def test_a_rerank_weight_outside_its_range_is_refused(tiny_cross_encoder: Path) -> None:
    """Before an index is opened or a model loaded."""
    with pytest.raises(ConfigError, match=r"rerank weight 2.0; expected a number from 0"):
        config("rerank", tiny_cross_encoder, rerank_weight=2.0)


def test_build_query_and_run_need_no_network(
    tmp_path: Path,
    tiny_encoder: Path,
    tiny_cross_encoder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every way to a socket raises, and nothing notices."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was asked")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    corpus, topics = tmp_path / "corpus.parquet", tmp_path / "topics.tsv"
    pq.write_table(pa.Table.from_pylist(CORPUS[:6]), corpus)
    topics.write_text("q1\tgene\nq2\tprotein folding\n")
    at = ["--index", str(tmp_path / "index")]
    for encoder in ([], ["--encoder", str(tiny_encoder)]):
        for command in (
            ["build-index", str(corpus), *at, *encoder],
            ["query", "gene", *at, "--reranker", str(tiny_cross_encoder)],
            ["run", str(topics), "-o", str(tmp_path / "out.run"), *at, "--mode", "hybrid"],
        ):
            result = CliRunner().invoke(main, command)
            assert result.exit_code == 0, result.output + repr(result.exception)
