"""Both models against sentence-transformers, on tiny ones: what is compared, and that it agrees."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from scisearch.benchmarks.model_speed import main
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index

pytestmark = pytest.mark.slow


def test_the_same_weights_on_the_same_texts(
    tmp_path: Path, tiny_encoder: Path, tiny_cross_encoder: Path
) -> None:
    words = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")
    rows = [{"doc_id": f"d{i}", "text": f"{words[i % 8]} of {words[i // 8]}"} for i in range(40)]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "topics.tsv").write_text("q1\tgene folding\nq2\tmice\nq3\tcells of mice\n")
    build = BuildConfig(encoder=str(tiny_encoder), offline=True)
    build_index(tmp_path / "corpus.jsonl", tmp_path / "index", build)
    call = ["--index", tmp_path / "index", "--topics", tmp_path / "topics.tsv", "--queries", "3"]
    call += ["--reranker", _in_half(tiny_cross_encoder, tmp_path / "half"), "--documents", "40"]
    call += ["--offline"]
    call += ["--device", "cpu"]
    done = CliRunner().invoke(main, list(map(str, call)), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["reranking"]["turns"] == 3
    assert found["reranking"]["pairs"] == 3 * 40
    assert found["reranking"]["correlation"] > 0.97
    rates = found["reranking"]["pairs_per_second"]
    assert min(rates.values()) > 0
    assert "scisearch, all queries at once" in rates
    assert found["device"] == "cpu"
    assert found["precision_of_sentence_transformers"] == ["float32", "float32"]
    shares = found["reranking"]["share_of_matrix_rate"]
    assert shares.keys() == {"scisearch", "sentence-transformers"}
    assert found["embedding"]["documents"] == 40
    assert found["embedding"]["least_cosine"] > 0.98
    assert set(found["query"]["seconds_wall_processor"]) == {"scisearch", "sentence-transformers"}
    assert all(found[name]["times_ours_processor"] > 0 for name in ("reranking", "query"))


def _in_half(model: Path, folder: Path) -> Path:
    """The model with a weights' file of float16, as the built-in one's is."""
    shutil.copytree(model, folder)
    weights = load_file(folder / "model.safetensors")
    halves = {name: w.half() if w.is_floating_point() else w for name, w in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": "float16"}))
    return folder


def test_no_index_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("q1\tgene\n")
    call = ["--index", str(tmp_path / "none"), "--topics", str(tmp_path / "topics.tsv")]
    done = CliRunner().invoke(main, call)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {tmp_path / 'none'}")
