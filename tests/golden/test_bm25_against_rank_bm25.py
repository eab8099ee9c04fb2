"""Our scores against rank_bm25's: the reference that DESIGN names."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from scisearch.index.analyzer import Analyzer
from scisearch.index.lexical import BM25Parameters, LexicalIndex, LexicalWriter
from scisearch.retrieval.bm25 import BM25Retriever, RankBM25Retriever
from scisearch.retrieval.ranking import Retriever, Scored

ROOT = Path(__file__).resolve().parents[2]
CRANFIELD = ROOT.parent / "shared" / "collections" / "cranfield"
ANALYZER = Analyzer()
TEXTS = [
    "Attention alone is enough: a network of attention layers translates text",
    "Protein structure prediction with attention over residue pairs",
    "Hematite (Fe2O3) grain-boundary diffusion measured by 57Fe tracers",
    "Grain boundary segregation in steels",
    "",
    "TNF-alpha and IL-6 after BRCA1 knock-down in a cell line",
    "The cell cycle, the cell wall, and the cell membrane of a plant cell",
    "A text about a cell",
    "Another text about diffusion in a cell",
    "Sparse retrieval with BM25 and dense retrieval with attention",
]
QUERIES = [
    "attention",
    "cell",
    "grain-boundary diffusion in Fe2O3",
    "tnf\u03b1 cell cell",
    "text about text",
]


class LuceneOracle(BM25Okapi):  # type: ignore[misc]
    """rank_bm25 with the idf of Lucene, which is never negative."""

    def _calc_idf(self, nd: dict[str, int]) -> None:
        n = self.corpus_size
        self.idf = {term: math.log(1 + (n - df + 0.5) / (df + 0.5)) for term, df in nd.items()}


def build(folder: Path, texts: list[str], parameters: BM25Parameters) -> LexicalIndex:
    writer = LexicalWriter(folder, ANALYZER, parameters)
    writer.add(texts)
    writer.finish()
    return LexicalIndex.open(folder)


def same(found: Scored, oracle: np.ndarray, *, depth: int) -> None:
    """The list is the oracle's top `depth` but for ties, its scores within 1e-5 of them."""
    expected = np.sort(oracle[oracle > 1e-9])[::-1][:depth]
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.scores, oracle[found.ordinals], rtol=1e-5, atol=1e-5)


def compare(folder: Path, texts: list[str], queries: list[str]) -> None:
    """Both variants and the classic engine against rank_bm25, over any texts and queries."""
    corpus = [ANALYZER.terms(text) for text in texts]
    ranks = np.arange(len(texts), dtype=np.int32)
    okapi = build(folder / "okapi", texts, BM25Parameters(1.5, 0.75, "okapi"))
    lucene = build(folder / "lucene", texts, BM25Parameters(1.2, 0.75, "lucene"))
    cases: list[tuple[Retriever, BM25Okapi, float]] = [
        (BM25Retriever(okapi, ANALYZER, ranks), BM25Okapi(corpus, k1=1.5, b=0.75), 1.0),
        (RankBM25Retriever(okapi, ANALYZER, ranks), BM25Okapi(corpus, k1=1.5, b=0.75), 1.0),
        (BM25Retriever(lucene, ANALYZER, ranks), LuceneOracle(corpus, k1=1.2, b=0.75), 2.2),
    ]
    for searcher, oracle, factor in cases:
        found = searcher.retrieve(queries, depth=100)
        for query, scored in zip(queries, found, strict=True):
            same(scored, oracle.get_scores(ANALYZER.terms(query)) / factor, depth=100)


def test_small_texts(tmp_path: Path) -> None:
    compare(tmp_path, TEXTS, QUERIES)


def test_a_hand_worked_score(tmp_path: Path) -> None:
    # N = 3, "gene" in 2 documents, lengths 2, 1, 3, mean 2; the first document has it once:
    # ln(1 + 1.5 / 2.5) * 1 / (1 + 1.2 * (0.25 + 0.75 * 2 / 2)) = 0.470004 / 2.2
    index = build(tmp_path, ["gene cell", "cell", "gene gene acid"], BM25Parameters())
    searcher = BM25Retriever(index, ANALYZER, np.arange(3, dtype=np.int32))
    (found,) = searcher.retrieve(["gene"], depth=3)
    assert found.ordinals.tolist() == [2, 0]
    assert found.scores.tolist() == pytest.approx([0.470004 * 2 / (2 + 1.65), 0.2136380], abs=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not CRANFIELD.is_dir(), reason="no ../shared/collections/cranfield here")
def test_cranfield(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    rows = pq.read_table(CRANFIELD / "corpus.parquet", columns=["title", "text"]).to_pylist()
    texts = [f"{row['title'] or ''} {row['text'] or ''}".strip() for row in rows]
    lines = (CRANFIELD / "queries.jsonl").read_text().splitlines()
    compare(tmp_path, texts, [json.loads(line)["text"] for line in lines][::15])
