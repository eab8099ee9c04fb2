"""An index with a static encoder, from the build to the query; the teacher is a tiny model."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from scisearch.cli import main
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ModelError
from scisearch.index.generations import live_generation
from scisearch.index.manifest import file_sha256
from scisearch.index.verification import verify_index
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.search_config import SearchConfig

pytestmark = pytest.mark.slow

TEXTS = ["protein folding", "attention layers predict contacts", "embryos of mice", "vectors"]


@pytest.fixture
def corpus(tmp_path: Path, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("scisearch.index.build_encoder.DEFAULT_BI_ENCODER", str(tiny_encoder))
    path = tmp_path / "corpus.jsonl"
    rows = [{"doc_id": f"d{i}", "text": f"{TEXTS[i % 4]} {TEXTS[i // 4]}"} for i in range(16)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def build(corpus: Path, index: Path) -> Path:
    build_index(corpus, index, BuildConfig(encoder="static", runtime="torch", offline=True))
    return index


def test_a_static_index_is_whole_repeatable_and_answers(corpus: Path, tmp_path: Path) -> None:
    one, two = build(corpus, tmp_path / "one"), build(corpus, tmp_path / "two")
    live = live_generation(one)
    assert live.manifest.files == live_generation(two).manifest.files
    entry = live.manifest.encoder
    assert entry is not None
    assert entry["name"] == "static"
    assert entry["sha256"] == file_sha256(live.folder / "encoder" / "model.safetensors")
    assert verify_index(one).sound
    for encoder in (None, "static"):
        config = SearchConfig(mode="dense", cutoff=3, encoder=encoder, offline=True)
        result = SearchPipeline.open(one, config).search("protein folding protein folding")
        assert result.hits[0].document.doc_id == "d0"
        assert result.hits[0].score == pytest.approx(1, abs=1e-5)


def test_another_encoder_is_refused_in_one_line(corpus: Path, tmp_path: Path) -> None:
    index = build(corpus, tmp_path / "index")
    config = SearchConfig(mode="dense", encoder="all-MiniLM-L6-v2", offline=True)
    with pytest.raises(ModelError, match="built with --encoder static, found --encoder all-MiniLM"):
        SearchPipeline.open(index, config).search("protein")


def test_the_command_builds_and_tells_of_it(corpus: Path, tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    options = ["--encoder", "static", "--runtime", "torch", "--offline", "--index", index]
    result = CliRunner().invoke(main, ["build-index", str(corpus), *options])
    assert result.exit_code == 0, result.output
    told = json.loads(CliRunner().invoke(main, ["info", "--index", index, "--json"]).stdout)
    assert told["encoder"]["teacher"]["runtime"] == "torch cpu"
    assert told["runtimes"]["bi-encoder"].startswith("numpy")
