"""The built-in bi-encoder: rows, rounding, silence, and texts of any length."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scisearch.index.encoder import SentenceTransformerEncoder
from scisearch.index.errors import ModelError
from scisearch.index.models import ResolvedModel, resolve_model

pytestmark = pytest.mark.slow

LOAD = """
from scisearch.index.encoder import SentenceTransformerEncoder
from scisearch.index.models import resolve_model
encoder = SentenceTransformerEncoder(resolve_model("all-MiniLM-L6-v2", kind="bi-encoder"))
encoder.encode_documents(["one", "two"])
"""


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    model = resolve_model("all-MiniLM-L6-v2", kind="bi-encoder")
    return SentenceTransformerEncoder(model, device="cpu")


def test_what_it_says_of_itself(encoder: SentenceTransformerEncoder) -> None:
    assert encoder.name == "sentence-transformers/all-MiniLM-L6-v2"
    assert (encoder.dimension, encoder.max_tokens, encoder.device) == (384, 256, "cpu")
    assert encoder.sha256.startswith("53aa51172d142c89")


def test_unit_rows_in_order_that_mean_something(encoder: SentenceTransformerEncoder) -> None:
    texts = ["Gene expression in yeast", "Galaxies and dark matter " * 40, "", "Yeast genes"]
    vectors = encoder.encode_documents(texts)
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    cosines = vectors @ vectors[0]
    assert cosines[3] > 0.7 > 0.3 > cosines[1]


def test_nothing_in_nothing_out(encoder: SentenceTransformerEncoder) -> None:
    assert encoder.encode_queries([]).shape == (0, 384)
    assert np.isfinite(encoder.encode_queries([""])).all()


def test_text_beyond_the_models_length_is_not_seen(encoder: SentenceTransformerEncoder) -> None:
    long = "enzyme " * 10_000
    vectors = encoder.encode_queries([long, "enzyme " * 254, long + "galaxy"])
    assert vectors[0].tobytes() == vectors[2].tobytes()
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_the_same_texts_give_the_same_bytes(encoder: SentenceTransformerEncoder) -> None:
    texts = [f"protein number {i} " * (i + 1) for i in range(20)]
    assert encoder.encode_documents(texts).tobytes() == encoder.encode_documents(texts).tobytes()


def test_the_batch_moves_a_vector_by_rounding_only(encoder: SentenceTransformerEncoder) -> None:
    texts = [f"protein number {i} " * (i + 1) for i in range(20)]
    alone = np.vstack([encoder.encode_documents([text]) for text in texts])
    np.testing.assert_allclose(encoder.encode_documents(texts), alone, atol=2e-6)


def test_loading_and_encoding_print_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_model_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no such thing"}))
    (tmp_path / "model.safetensors").write_bytes(b"")
    model = ResolvedModel("broken", tmp_path, "0" * 64, "folder")
    with pytest.raises(
        ModelError, match=r"^broken: does not load as a bi-encoder on cpu"
    ) as caught:
        SentenceTransformerEncoder(model, device="cpu")
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_here_is_one_line(encoder: SentenceTransformerEncoder) -> None:
    model = resolve_model(encoder.name, kind="bi-encoder")
    with pytest.raises(ModelError, match="does not load as a bi-encoder on abacus"):
        SentenceTransformerEncoder(model, device="abacus")
