"""The static encoder, and how it is distilled from a bi-encoder (here one that counts letters)."""

from collections.abc import Sequence
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scisearch.index.documents import Documents, DocumentWriter
from scisearch.index.errors import CorruptIndexError
from scisearch.index.progress import NoProgress
from scisearch.index.static_distil import distil, fit
from scisearch.index.static_encoder import WEIGHTS_NAME, StaticEncoder, write_static_encoder
from scisearch.index.static_words import UNKNOWN, WordIds, WordSplitter, count_words, word_tokenizer

SIGNS = "aBz019-+/'.,@:^_\\{}$ \u03b1\u03a3\u0130\u00df\ufb01\u00b2\u91cf\u0301\u2013\ud800\0"
TEXT = st.one_of(st.text(), st.text(SIGNS), st.text(st.characters(codec=None)))


class Letters:
    """A bi-encoder whose vectors are letter counts; counts its calls."""

    name, runtime_name, dimension = "letters", "python", 26

    def __init__(self) -> None:
        self.texts = 0

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += len(texts)
        rows = [[text.lower().count(chr(97 + i)) for i in range(26)] for text in texts]
        vectors = np.array(rows, np.float32)
        lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
        unit: NDArray[np.float32] = vectors / lengths
        return unit

    encode_queries = encode_documents


def documents(folder: Path, count: int = 40) -> Documents:
    words = ["gene", "protein", "folding", "attention", "beta", "cells", "vectors", "mice", "of"]
    random = np.random.default_rng(5)
    rows = [
        {
            "doc_id": f"d{i}",
            "title": " ".join(random.choice(words, 2)) if i % 3 else "",
            "text": " ".join(random.choice(words, 12)),
        }
        for i in range(count)
    ]
    table = pa.Table.from_pylist(
        rows, pa.schema([(name, pa.string()) for name in ("doc_id", "title", "text")])
    )
    folder.mkdir()
    with DocumentWriter(folder / "documents.arrow", table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    return Documents.open(folder / "documents.arrow")


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@settings(deadline=None)  # the first one imports the library
@given(TEXT)
def test_the_tokenizer_splits_as_python_does(text: str) -> None:
    words = WordSplitter().words(text)
    vocabulary = [UNKNOWN, *dict.fromkeys(words)]
    legal = text.encode(errors="replace").decode()
    ids = word_tokenizer(vocabulary).encode(legal, add_special_tokens=False).ids
    assert ids == WordIds(vocabulary).ids(text).tolist()
    assert 0 not in ids


def test_words_meet_across_case_accents_and_ligatures() -> None:
    assert WordSplitter().words("The E\ufb03cient Na\u00efve-T \u03a3\u03b1 x\u2013y") == [
        *("the", "efficient", "naive", "t", "\u03c3\u03b1", "x", "y")
    ]


def test_words_are_counted_by_occurrence_and_by_text() -> None:
    occurrences, texts = count_words(["a b a", "b c", ""])
    assert occurrences == {"a": 2, "b": 2, "c": 1}
    assert texts == {"a": 1, "b": 2, "c": 1}


def test_a_vector_is_the_sum_of_its_words(tmp_path: Path) -> None:
    vectors = np.array([[0, 0], [3, 0], [0, 2]], np.float32)
    write_static_encoder(tmp_path, [UNKNOWN, "gene", "cell"], vectors)
    encoder = StaticEncoder.open(tmp_path)
    assert encoder.dimension == 2
    found = encoder.encode_documents(["Gene", "cell, gene; cell!", "nothing known", ""])
    expected = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert encoder.encode_queries(["cell, gene; cell!"]).tobytes() == found[1].tobytes()


def test_the_fit_is_the_ridge_solution_by_hand() -> None:
    # Two words, one text of both, target 1: both words become 1/2 by the turn alone, and nothing
    # is left to change.
    first, ready = np.ones((2, 1)), np.ones(2)
    fitted = fit(first, [np.array([0, 1])], np.ones((1, 1)), ready)
    assert fitted.ravel() == pytest.approx([0.5, 0.5], abs=1e-5)
    # Texts "0" and "1" with targets 1 and 0: M is 1/2, so both rows are scaled by 2, then M is
    # 1/4 and the residuals are 1/2 and -1/2; A A' + s I is (4 + 4) I, and the words change by
    # 2 (1/2) / 8.
    rows, targets = [np.array([0]), np.array([1])], np.array([[1.0], [0.0]])
    fitted = fit(first, rows, targets, ready)
    assert fitted.ravel() == pytest.approx([0.25 + 0.125, 0.25 - 0.125], abs=1e-5)
    # A word that is not ready stays; the other has 4 + 2 instead of 4 + 4.
    fitted = fit(first, rows, targets, np.array([1.0, 0.0]))
    assert fitted.ravel() == pytest.approx([0.25 + 1 / 6, 0.25], abs=1e-5)


def test_without_a_known_word_there_is_nothing_to_fit() -> None:
    first = np.ones((2, 1))
    fitted = fit(first, [np.array([], np.int64)], np.ones((1, 1)), np.ones(2))
    assert fitted.tolist() == first.tolist()


def test_the_distilled_vectors_are_near_the_teachers(tmp_path: Path) -> None:
    corpus = documents(tmp_path / "corpus")
    distil(corpus, tmp_path / "work", tmp_path / "encoder", [Letters], NoProgress())
    texts = corpus.full_texts(range(len(corpus)))
    found = StaticEncoder.open(tmp_path / "encoder").encode_documents(texts)
    cosines = (found * Letters().encode_documents(texts)).sum(axis=1)
    assert cosines.min() > 0.9


def test_equal_documents_give_equal_bytes_also_when_stopped(tmp_path: Path) -> None:
    corpus = documents(tmp_path / "corpus")
    distil(corpus, tmp_path / "work", tmp_path / "one", [Letters], NoProgress())
    copytree(tmp_path / "work", tmp_path / "stopped")
    sorted((tmp_path / "stopped").iterdir())[-1].unlink()
    teacher = Letters()
    distil(corpus, tmp_path / "stopped", tmp_path / "two", [lambda: teacher], NoProgress())
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert 0 < teacher.texts <= 256  # the one shard that was missing
    distil(corpus, tmp_path / "work", tmp_path / "three", [pytest.fail], NoProgress())
    assert files(tmp_path / "one") == files(tmp_path / "three")


@pytest.mark.parametrize("name", ["tokenizer.json", WEIGHTS_NAME])
def test_a_missing_or_damaged_file_is_one_line(name: str, tmp_path: Path) -> None:
    write_static_encoder(tmp_path, [UNKNOWN, "gene"], np.eye(2, dtype=np.float32))
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(CorruptIndexError, match=r"not the static encoder .* build the index again"):
        StaticEncoder.open(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CorruptIndexError, match="not the static encoder"):
        StaticEncoder.open(tmp_path)


@pytest.mark.slow
def test_sentence_transformers_reads_the_folder(tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    vectors = np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)
    vectors[0] = 0
    write_static_encoder(tmp_path, [UNKNOWN, "gene", "cell", "\u03b1"], vectors)
    texts = ["gene and cell", "Cell GENE gene", "TNF \u0391", "cell"]
    model = SentenceTransformer(str(tmp_path), device="cpu")
    np.testing.assert_allclose(
        StaticEncoder.open(tmp_path).encode_documents(texts), model.encode(texts), atol=1e-6
    )
