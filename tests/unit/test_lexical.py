import json
import logging
from pathlib import Path

import numpy as np
import pytest

from scisearch.index.analyzer import Analyzer
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ConfigError, CorruptIndexError, IndexFormatError
from scisearch.index.lexical import BM25Parameters, LexicalIndex, LexicalWriter
from scisearch.index.opened import open_index
from scisearch.index.stopwatch import Stopwatch
from scisearch.retrieval.bm25 import BM25Retriever, RankBM25Retriever

TEXTS = [
    "Protein folding with attention",
    "",
    "Folding of folding proteins: folding",
    "A grain-boundary in Fe2O3",
    "Attention is all you need, and protein attention",
]
ANALYZER = Analyzer()


def build(folder: Path, texts: list[str] = TEXTS, batch: int = 2) -> LexicalIndex:
    writer = LexicalWriter(folder, ANALYZER, BM25Parameters())
    for i in range(0, len(texts), batch):
        writer.add(texts[i : i + batch])
    writer.finish()
    return LexicalIndex.open(folder)


def retriever(index: LexicalIndex) -> BM25Retriever:
    return BM25Retriever(index, ANALYZER, np.arange(index.n_docs, dtype=np.int32))


def test_an_index_holds_counts_lengths_and_sorted_terms(tmp_path: Path) -> None:
    index = build(tmp_path)
    assert index.n_docs == 5
    assert index.lengths.tolist() == [len(ANALYZER.terms(text)) for text in TEXTS]
    terms = [index.vocabulary.term(i) for i in range(index.n_terms)]
    assert terms == sorted({t for text in TEXTS for t in ANALYZER.terms(text)}, key=str.encode)
    fold = index.vocabulary.find("fold")
    assert fold is not None
    assert index.indices[index.column(fold)].tolist() == [0, 2]
    assert index.tf[index.column(fold)].tolist() == [1, 3]
    assert index.tf.dtype == np.uint16
    assert index.vocabulary.find("absent") is None
    assert index.vocabulary.find("zzz\ud800") is None


@pytest.mark.parametrize("weight", [1, 3])
def test_the_words_of_a_title_count_as_often_as_asked(tmp_path: Path, weight: int) -> None:
    rows = [
        {"doc_id": "a", "title": "Protein folding", "text": "Folding in mice"},
        {"doc_id": "b", "title": "", "text": "protein"},
    ]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = BuildConfig(encoder=None, bm25=BM25Parameters(title_weight=weight))
    build_index(corpus, tmp_path / "index", config)
    index = open_index(tmp_path / "index")
    assert index.documents.full_texts([0]) == ["Protein folding Folding in mice"]
    lexical = index.lexical
    tf = {
        word: lexical.tf[lexical.column(term)].tolist()
        for word in ("fold", "protein", "mice")
        if (term := lexical.vocabulary.find(word)) is not None
    }
    assert tf == {"fold": [weight + 1], "protein": [weight, 1], "mice": [1]}
    assert lexical.lengths.tolist() == [2 * weight + len(ANALYZER.terms("Folding in mice")), 1]
    assert lexical.parameters.title_weight == weight


def test_an_index_that_does_not_say_has_titles_counted_once(tmp_path: Path) -> None:
    build(tmp_path)
    path = tmp_path / "lexical.json"
    header = json.loads(path.read_text())
    del header["bm25"]["title_weight"]
    path.write_text(json.dumps(header))
    assert LexicalIndex.open(tmp_path).parameters == BM25Parameters(title_weight=1)


def test_an_index_knows_how_many_documents_have_a_term_and_which(tmp_path: Path) -> None:
    index = build(tmp_path, ["gene cell", "cell", "gene gene", "mouse"])
    assert [index.document_frequency(term) for term in ("gene", "mous", "quasar")] == [2, 1, 0]
    allowed = np.array([True, True, False, False])
    assert [index.document_frequency(t, allowed) for t in ("gene", "mous", "quasar")] == [1, 0, 0]
    asked = np.array([3, 2, 0, 1])
    assert index.having("gene", asked).tolist() == [False, True, True, False]
    assert index.having("mous", asked).tolist() == [True, False, False, False]
    assert not index.having("quasar", asked).any()
    assert not len(index.having("gene", np.empty(0, np.int64)))


def test_the_bytes_do_not_depend_on_batches(tmp_path: Path) -> None:
    build(tmp_path / "one", batch=1)
    build(tmp_path / "all", batch=99)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "all").iterdir())
    assert "postings.spill" not in names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()


def test_many_blocks_give_the_same_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(tmp_path / "one")
    monkeypatch.setattr("scisearch.index.postings._BLOCK_TOKENS", 3)
    monkeypatch.setattr("scisearch.index.lexical._CHUNK_POSTINGS", 2)
    build(tmp_path / "many")
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()


def test_a_term_of_more_than_65535_repeats_is_counted(tmp_path: Path) -> None:
    index = build(tmp_path, ["gene " * 70_000, "cell"])
    assert index.tf.dtype == np.uint32
    assert sorted(index.tf.tolist()) == [1, 70_000]


@pytest.mark.parametrize("texts", [[], [""], ["the of", ""]])
@pytest.mark.parametrize("engine", [BM25Retriever, RankBM25Retriever])
def test_an_index_without_terms_answers_nothing(
    tmp_path: Path, texts: list[str], engine: type[BM25Retriever | RankBM25Retriever]
) -> None:
    index = build(tmp_path, texts)
    searcher = engine(index, ANALYZER, np.arange(len(texts), dtype=np.int32))
    allowed = np.zeros(len(texts), np.bool_)
    assert [len(one) for one in searcher.retrieve(["protein", ""], depth=10)] == [0, 0]
    assert len(searcher.retrieve(["protein"], depth=10, allowed=allowed)[0]) == 0


@pytest.mark.parametrize("query", ["", "the of", "unknownword", "\ud800\0", "(((\"'", "AND OR NOT"])
def test_a_query_without_known_terms_finds_nothing(tmp_path: Path, query: str) -> None:
    (found,) = retriever(build(tmp_path)).retrieve([query], depth=10)
    assert len(found) == 0


def test_only_documents_with_a_query_term_are_returned_ties_by_id(tmp_path: Path) -> None:
    index = build(tmp_path, ["cell", "gene", "cell", "", "cell"])
    id_rank = np.array([4, 3, 2, 1, 0], np.int32)
    (found,) = BM25Retriever(index, ANALYZER, id_rank).retrieve(["cell"], depth=2)
    assert found.ordinals.tolist() == [4, 2]
    assert found.scores.dtype == np.float32
    (found,) = BM25Retriever(index, ANALYZER, id_rank).retrieve(["cell"], depth=10)
    assert found.ordinals.tolist() == [4, 2, 0]


def test_a_repeated_query_term_counts_as_often_and_order_does_not_matter(tmp_path: Path) -> None:
    searcher = retriever(build(tmp_path))
    queries = ["folding", "folding " * 3, "attention folding folding", "folding attention folding"]
    once, thrice, mixed, turned = searcher.retrieve(queries, depth=10)
    np.testing.assert_allclose(thrice.scores, 3 * once.scores, rtol=1e-6)
    assert mixed.scores.tolist() == turned.scores.tolist()


def test_explained_scores_add_up(tmp_path: Path) -> None:
    searcher = retriever(build(tmp_path))
    query = "protein attention attention folding unknownword"
    (found,) = searcher.retrieve([query], depth=10)
    for ordinal, score in zip(found.ordinals, found.scores, strict=True):
        terms = searcher.explain(query, int(ordinal))
        assert sum(term.score for term in terms) == pytest.approx(float(score), rel=1e-6)
    best = {term.term: (term.tf, term.df) for term in searcher.explain(query, 4)}
    assert best == {"attent": (2, 2), "protein": (1, 3)}
    assert searcher.explain(query, 1) == []


def test_a_query_of_ten_thousand_words_is_answered(tmp_path: Path) -> None:
    (found,) = retriever(build(tmp_path)).retrieve(["folding attention x1 " * 5000], depth=3)
    assert len(found) == 3


def test_stages_are_timed_and_logging_is_left_alone(tmp_path: Path) -> None:
    logging.getLogger("bm25s").setLevel(logging.NOTSET)
    watch = Stopwatch()
    retriever(build(tmp_path)).retrieve(["folding"], depth=3, watch=watch)
    assert list(watch.milliseconds()) == ["analyse", "bm25"]
    assert logging.getLogger("bm25s").level == logging.NOTSET


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"k1": -1.0}, "k1 is -1.0"),
        ({"k1": float("nan")}, "k1 is nan"),
        ({"b": 1.5}, "b is 1.5"),
        ({"variant": "bm25f"}, "variant is 'bm25f', expected 'lucene' or 'okapi'"),
        ({"title_weight": 0}, "title weight is 0, expected at least 1"),
    ],
)
def test_parameters_without_meaning_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BM25Parameters(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["data", "indices", "indptr", "tf", "lengths", "terms", "term_offsets"]
)
def test_a_missing_or_damaged_array_is_reported(tmp_path: Path, name: str) -> None:
    build(tmp_path)
    path = tmp_path / f"{name}.npy"
    whole = path.read_bytes()
    for content in (whole[:90], whole[: len(whole) // 2], b"", b"nonsense"):
        path.write_bytes(content)
        with pytest.raises(CorruptIndexError, match="build the index again"):
            LexicalIndex.open(tmp_path)
    np.save(path, np.zeros(3, np.float64))
    with pytest.raises(CorruptIndexError, match="holds float64"):
        LexicalIndex.open(tmp_path)
    path.unlink()
    with pytest.raises(CorruptIndexError, match="no such file"):
        LexicalIndex.open(tmp_path)


def test_arrays_of_another_index_are_reported(tmp_path: Path) -> None:
    build(tmp_path)
    build(tmp_path / "other", TEXTS[:2])
    (tmp_path / "other" / "lengths.npy").replace(tmp_path / "lengths.npy")
    with pytest.raises(CorruptIndexError, match="documents, terms and postings"):
        LexicalIndex.open(tmp_path)


@pytest.mark.parametrize(
    ("header", "error", "message"),
    [
        ("{", CorruptIndexError, "not JSON"),
        ("[]", IndexFormatError, "not lexical format 1"),
        (json.dumps({"format": 2}), IndexFormatError, "not lexical format 1"),
        (json.dumps({"format": 1, "bm25": {"k9": 1}}), CorruptIndexError, "not what was written"),
    ],
)
def test_a_header_of_another_kind_is_reported(
    tmp_path: Path, header: str, error: type[IndexFormatError], message: str
) -> None:
    build(tmp_path)
    (tmp_path / "lexical.json").write_text(header)
    with pytest.raises(error, match=message):
        LexicalIndex.open(tmp_path)
