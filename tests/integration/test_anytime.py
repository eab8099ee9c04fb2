"""Stopping early and remembered scores through the commands, on a tiny random model."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from scisearch.benchmarks.benchmark_request import BenchmarkRequest
from scisearch.cli import main
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ConfigError
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.anytime import LogitBound
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import (
    ModelSettings,
    read_model_settings,
    write_model_settings,
)
from scisearch.rerank.search_config import SearchConfig

pytestmark = pytest.mark.slow

WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")
TEXTS = [
    f"{a} {b} of {c} {d}"
    for a in WORDS
    for b in WORDS
    for c, d in zip(WORDS, WORDS[3:], strict=False)
]
TOPICS = [f"{a} {b}" for a in WORDS for b in WORDS[:3]]
# the logits of a random model lie close together around 0
BOUND = LogitBound((0.0, 0.0, 0.0, 0.0), (0.0, 0.5, 1.0), (0.5, 1e-3, 1e-4), 0.2)


def search(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def build(folder: Path, texts: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps({"doc_id": id_of(text), "title": "", "text": text}) + "\n" for text in texts
    ]
    (folder / "corpus.jsonl").write_text("".join(lines))
    build_index(folder / "corpus.jsonl", folder / "index", BuildConfig(encoder=None))
    return folder / "index"


def id_of(text: str) -> str:
    """The same for a document wherever it stands."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("anytime"), TEXTS)


@pytest.fixture
def model(cross_encoder_with: Callable[[ModelSettings], Path]) -> Path:
    return cross_encoder_with(ModelSettings(Interpolation(0.5, "logit"), None, BOUND))


@pytest.fixture
def topics(tmp_path: Path) -> Path:
    path = tmp_path / "topics.tsv"
    path.write_text("".join(f"q{i}\t{text}\n" for i, text in enumerate(TOPICS)))
    return path


def config(model: Path, **options: object) -> SearchConfig:
    fields = {"mode": "rerank", "reranker": str(model), "offline": True, "device": "cpu"}
    return SearchConfig(**{**fields, **options})  # type: ignore[arg-type]


def test_a_query_says_how_much_was_reranked(index: Path, model: Path) -> None:
    at = ["--index", index, "--reranker", model, "--offline"]
    found = json.loads(
        search("query", "gene folding", *at, "--rerank", "auto", "--json", "--explain").output
    )
    told = found["reranking"]
    assert 20 <= told["scored"] < told["candidates"] == 100
    assert told["stopped_by"] == "bound"
    assert 0.9 < told["agreement"] < 1
    assert all("cross-encoder" in hit["stages"] for hit in found["hits"])
    shown = search("query", "gene folding", *at, "--rerank", "auto").output
    assert f"note: {told['scored']} of 100 candidates were reranked" in shown
    full = json.loads(search("query", "gene folding", *at, "--json").output)
    assert full["reranking"]["scored"] == 100
    assert [hit["doc_id"] for hit in full["hits"]] == [hit["doc_id"] for hit in found["hits"]]
    scores = [hit["score"] for hit in full["hits"]]
    assert [hit["score"] for hit in found["hits"]] == pytest.approx(scores, abs=1e-5)


def test_a_larger_cutoff_is_a_larger_top(index: Path, model: Path) -> None:
    at = ["--index", index, "--reranker", model, "--offline", "--rerank", "auto", "--json"]
    scored = [
        json.loads(search("query", "gene folding", *at, "--cutoff", cutoff).output)["reranking"][
            "scored"
        ]
        for cutoff in (5, 10, 40)
    ]
    assert scored == sorted(scored)
    assert scored[2] >= 40


def test_a_run_is_the_same_every_time_and_says_what_it_saved(
    index: Path, model: Path, topics: Path, tmp_path: Path
) -> None:
    at = ["run", topics, "--index", index, "--reranker", model, "--offline", "--rerank", "auto"]
    outputs = [tmp_path / "one.run", tmp_path / "other.run"]
    shown = [search(*at, "-o", path).output for path in outputs]
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    assert f"; stopped: {len(TOPICS)} topics by the bound); expected agreement" in shown[0]


def test_a_budget_says_that_it_is_not_the_same_every_time(
    index: Path, model: Path, topics: Path, tmp_path: Path
) -> None:
    at = ["run", topics, "-o", tmp_path / "a.run", "--index", index, "--reranker", model]
    shown = search(*at, "--offline", "--budget-ms", 1, "--batch", 2).output
    assert "topics by the time" in shown
    assert "note: with a budget of time the run is not the same every time" in shown
    lines = (tmp_path / "a.run").read_text().splitlines()
    assert len(lines) == 100 * len(TOPICS)
    result = SearchPipeline.open(index, config(model, budget_ms=1e7)).search("gene")
    assert result.effort is not None
    assert result.effort.stopped_by == "end"
    assert "budget" in search(*at, "--budget-ms", 0, code=2).output


def test_a_benchmark_takes_neither_budget_nor_cache() -> None:
    for search_config in (SearchConfig(budget_ms=5), SearchConfig(score_cache=True)):
        with pytest.raises(ConfigError, match=r"benchmark: found a .*, expected none"):
            BenchmarkRequest(Path("none"), search=search_config)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_cache: Path) -> Path:
    """A cache folder of its own, with the forms of models that others have prepared."""
    folder = tmp_path / "cache"
    folder.mkdir()
    (own_cache / "onnx").mkdir(exist_ok=True)
    (folder / "onnx").symlink_to(own_cache / "onnx")
    monkeypatch.setenv("SCISEARCH_CACHE", str(folder))
    return folder


@pytest.mark.parametrize("runtime", ["auto", "torch"])
def test_remembered_scores_are_the_computed_ones(
    index: Path, model: Path, topics: Path, tmp_path: Path, cache: Path, runtime: str
) -> None:
    at = ["run", topics, "--index", index, "--reranker", model, "--offline", "--runtime", runtime]
    search(*at, "-o", tmp_path / "without.run")
    assert not (cache / "scores.sqlite").exists()
    first = json.loads(search(*at, "-o", tmp_path / "1.run", "--score-cache", "--json").output)
    second = json.loads(search(*at, "-o", tmp_path / "2.run", "--score-cache", "--json").output)
    assert first["reranking"]["from_cache"] == 0
    assert second["reranking"]["from_cache"] == second["reranking"]["scored"] == 100 * len(TOPICS)
    runs = [(tmp_path / f"{name}.run").read_bytes() for name in ("without", "1", "2")]
    assert runs[0] == runs[1] == runs[2]
    shown = search(*at, "-o", tmp_path / "3.run", "--score-cache").output
    assert "scores are from the score cache: the times below say little" in shown


def test_an_updated_index_gets_the_scores_of_its_own_texts(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    """Another order, texts gone, texts new: the same ordinals mean other documents."""
    before, after = build(tmp_path / "a", TEXTS[:60]), build(tmp_path / "b", TEXTS[80:25:-1])
    cached = config(model, score_cache=True)
    SearchPipeline.open(before, cached).search("gene folding")
    warm = SearchPipeline.open(after, cached).search("gene folding")
    cold = SearchPipeline.open(after, config(model)).search("gene folding")
    assert cold.effort is not None
    assert warm.effort is not None
    assert 0 < warm.effort.from_cache < warm.effort.scored
    assert cold.effort.from_cache == 0
    assert [hit.document.doc_id for hit in warm.hits] == [hit.document.doc_id for hit in cold.hits]
    np.testing.assert_allclose(
        [hit.score for hit in warm.hits], [hit.score for hit in cold.hits], atol=1e-5
    )
    assert (cache / "scores.sqlite").exists()


@pytest.mark.parametrize("change", ["weights", "config"])
def test_another_model_gets_no_remembered_scores(
    index: Path, model: Path, tmp_path: Path, cache: Path, change: str
) -> None:
    from safetensors.numpy import load_file, save_file

    cached = config(model, score_cache=True, runtime="torch")
    SearchPipeline.open(index, cached).search("gene")
    other = tmp_path / "other"
    shutil.copytree(model, other)
    if change == "weights":
        tensors = load_file(other / "model.safetensors")
        tensors["classifier.bias"] = tensors["classifier.bias"] + 1
        save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    else:
        content = json.loads((other / "config.json").read_text())
        (other / "config.json").write_text(json.dumps({**content, "layer_norm_eps": 1e-3}))
    pipeline = SearchPipeline.open(index, config(other, score_cache=True, runtime="torch"))
    effort = pipeline.search("gene").effort
    assert effort is not None
    assert effort.from_cache == 0
    assert cache.exists()


def dev_collection(folder: Path) -> int:
    """A collection of splits train and test; how many queries the former has."""
    build(folder, TEXTS[:120])
    rows = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    topics = [f"{a} {b}" for a in WORDS for b in WORDS[:6]]  # two halves of at least 20
    (folder / "topics.tsv").write_text("".join(f"q{i}\t{t}\n" for i, t in enumerate(topics)))
    (folder / "qrels.train.tsv").write_text(
        "".join(f"q{i} 0 {rows[i]['doc_id']} 1\n" for i in range(len(topics)))
    )
    (folder / "qrels.test.tsv").write_text(f"q0 0 {rows[5]['doc_id']} 1\n")
    return len(topics)


def test_fit_reranker_keeps_weight_and_bound(
    tmp_path: Path, tiny_cross_encoder: Path, tiny_encoder: Path, cache: Path
) -> None:
    """Scored once; the second and third time every score is remembered."""
    model, folder = tmp_path / "model", tmp_path / "dev"
    shutil.copytree(tiny_cross_encoder, model)
    n_queries = dev_collection(folder)
    at = ["fit-reranker", model, "--dev", f"{folder}:train", "--encoder", tiny_encoder]
    at += ["--indexes", tmp_path / "indexes", "--offline"]
    refused = search(*at).output
    assert "no bound for --rerank auto: normalisation minmax" in refused
    assert read_model_settings(model).bound is None

    write_model_settings(model, ModelSettings(Interpolation(0.5, "logit")))
    shown = search(*at).output
    kept = read_model_settings(model)
    assert kept.interpolation == Interpolation(0.5, "logit")
    assert kept.bound is not None
    assert dict(kept.bound.dev) == {"dev train": n_queries}
    assert f"* {kept.bound.allowed:g}" in shown
    assert f"kept in {model / 'scisearch.json'}" in shown

    chosen = json.loads(search(*at, "--choose-weight", "--json").output)
    assert chosen["interpolation"]["chosen"] == asdict(read_model_settings(model).interpolation)
    assert (cache / "scores.sqlite").exists()
    missing = search(*at[:3], tmp_path / "none", code=1).output
    assert "found no collection" in missing
    nowhere = search("fit-reranker", tmp_path / "no", *at[2:], code=1).output
    assert f"{tmp_path / 'no'}: no such folder, expected that of a cross-encoder" in nowhere
    assert "Missing option '--dev'" in search("fit-reranker", model, code=2).output


@pytest.mark.usefixtures("cache")
def test_fit_reranker_without_vectors_keeps_the_weight_beside_bm25(
    tmp_path: Path, tiny_cross_encoder: Path
) -> None:
    """And nothing else; an index without vectors is then reranked with it."""
    model, folder, indexes = tmp_path / "model", tmp_path / "dev", tmp_path / "indexes"
    shutil.copytree(tiny_cross_encoder, model)
    dev_collection(folder)
    before = ModelSettings(Interpolation(0.3, "logit"), None, BOUND)
    write_model_settings(model, before)
    at = ["fit-reranker", model, "--dev", f"{folder}:train", "--indexes", indexes, "--offline"]
    told = search(*at, "--no-dense").output
    kept = read_model_settings(model)
    assert kept.lexical is not None
    assert f"Kept: {kept.lexical.weight:g} with {kept.lexical.normalisation}" in told
    assert replace(kept, lexical=None) == before
    assert [path.name for path in indexes.iterdir()] == ["dev-bm25"]

    pipeline = SearchPipeline.open(indexes / "dev-bm25", config(model))
    assert pipeline.rerank_stage.interpolation == kept.lexical
    own = SearchPipeline.open(indexes / "dev-bm25", config(model, rerank_weight=0.11))
    assert own.rerank_stage.interpolation.weight == 0.11
    both = search(*at, "--no-dense", "--calibrate", code=1).output
    assert "leave out --calibrate or --no-dense" in both
