from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.index.analyzer import Analyzer, AnalyzerConfig
from scisearch.index.lexical import BM25Parameters, LexicalIndex, LexicalWriter
from scisearch.retrieval.bm25 import BM25Retriever, RankBM25Retriever

ANALYZER = Analyzer(AnalyzerConfig(stop_words=False))
WORD = st.sampled_from(["cell", "gene", "il-6", "fold", "brca1", "x-ray", "acid", "tnf", "β-sheet"])
TEXT = st.lists(WORD, max_size=12).map(" ".join)
CORPUS = st.lists(st.tuples(TEXT, st.booleans()), min_size=1, max_size=12)


def build(folder: Path, texts: list[str], parameters: BM25Parameters) -> LexicalIndex:
    writer = LexicalWriter(folder, ANALYZER, parameters)
    writer.add(texts)
    writer.finish()
    return LexicalIndex.open(folder)


@pytest.mark.parametrize("engine", [BM25Retriever, RankBM25Retriever])
@pytest.mark.parametrize("variant", ["lucene", "okapi"])
@settings(max_examples=40, deadline=None)
@given(corpus=CORPUS, query=TEXT, k1=st.floats(0, 3), b=st.floats(0, 1), depth=st.integers(0, 9))
def test_filtered_search_is_search_of_the_filtered_corpus(
    engine: type[BM25Retriever | RankBM25Retriever],
    variant: str,
    corpus: list[tuple[str, bool]],
    query: str,
    k1: float,
    b: float,
    depth: int,
) -> None:
    texts = [text for text, _ in corpus]
    allowed = np.array([keep for _, keep in corpus])
    kept = np.flatnonzero(allowed)
    parameters = BM25Parameters(k1, b, variant)  # type: ignore[arg-type]
    with TemporaryDirectory() as folder:
        whole = build(Path(folder, "whole"), texts, parameters)
        small = build(Path(folder, "small"), [texts[i] for i in kept], parameters)
        ranks = np.arange(len(texts), dtype=np.int32)[::-1]
        (found,) = engine(whole, ANALYZER, ranks).retrieve([query], depth=depth, allowed=allowed)
        (expected,) = engine(small, ANALYZER, ranks[kept]).retrieve([query], depth=depth)
    assert found.ordinals.tolist() == kept[expected.ordinals].tolist()
    if engine is BM25Retriever:
        assert found.scores.tolist() == expected.scores.tolist()  # to the bit
    else:
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
