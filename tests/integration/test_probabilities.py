"""A calibrated cross-encoder through the whole pipeline, on tiny models with random weights."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from scisearch.cli import main
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ConfigError, ModelError
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.calibration import Calibration
from scisearch.rerank.config_file import read_config
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query

pytestmark = pytest.mark.slow

TEXTS = ("gene", "protein gene", "cells of a gene", "gene query", "vectors and genes", "a gene map")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    rows = [{"doc_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(TEXTS)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet")
    build_index(folder / "corpus.parquet", folder / "index", BuildConfig(encoder=None))
    return folder / "index"


@pytest.fixture(scope="module")
def calibrated(
    index: Path, tiny_cross_encoder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny model; probability 0.5 is the middle of its logits, which lie close together."""
    folder = tmp_path_factory.mktemp("calibrated")
    shutil.copytree(tiny_cross_encoder, folder, dirs_exist_ok=True)
    found = SearchPipeline.open(index, config(tiny_cross_encoder)).search("gene")
    middle = float(np.median([hit.stages["cross-encoder"].score for hit in found.hits]))
    calibration = Calibration("platt", 2000.0, -2000.0 * middle, (), 10, 0.2)
    (folder / "scisearch.json").write_text(json.dumps({"calibration": calibration.to_json()}))
    return folder


def config(reranker: Path, **options: object) -> SearchConfig:
    fields = {"mode": "rerank", "reranker": str(reranker), "offline": True, "device": "cpu"}
    return SearchConfig(**{**fields, **options})  # type: ignore[arg-type]


def test_hits_carry_the_probability_of_their_logit(index: Path, calibrated: Path) -> None:
    found = SearchPipeline.open(index, config(calibrated)).search("gene")
    logits = [hit.stages["cross-encoder"].score for hit in found.hits]
    content = json.loads((calibrated / "scisearch.json").read_text())["calibration"]
    expected = Calibration.from_json(content).probabilities(np.array(logits, dtype=np.float32))
    assert [hit.probability for hit in found.hits] == expected.tolist()
    assert found.to_json()["hits"][0]["probability"] == expected[0]  # type: ignore[index]


def test_only_likely_documents_that_were_scored_are_left(index: Path, calibrated: Path) -> None:
    whole = SearchPipeline.open(index, config(calibrated)).search("gene")
    likely = SearchPipeline.open(index, config(calibrated, min_probability=0.5))
    found = likely.search("gene")
    kept = [hit for hit in whole.hits if hit.probability is not None and hit.probability >= 0.5]
    assert 0 < len(kept) < len(whole.hits)
    assert [hit.document.doc_id for hit in found.hits] == [hit.document.doc_id for hit in kept]
    gone = len(whole.hits) - len(kept)
    assert found.notes == (
        f"{gone} candidates are less likely to be relevant than 0.5 and left out",
    )
    assert likely.run([Query("q", "gene")]) == [found.ranked_list()]

    scored = config(calibrated, min_probability=0.0, rerank_depth=2)
    two = SearchPipeline.open(index, scored).search("gene")
    assert len(two.hits) == 2
    assert two.notes == (
        "4 candidates were not reranked and are left out: how likely they are is not known",
    )
    rest = SearchPipeline.open(index, config(calibrated, rerank_depth=2)).search("gene")
    assert [hit.probability is None for hit in rest.hits] == [False] * 2 + [True] * 4


def test_a_model_without_calibration_has_no_probabilities_and_cannot_filter(
    index: Path, tiny_cross_encoder: Path
) -> None:
    plain = SearchPipeline.open(index, config(tiny_cross_encoder)).search("gene")
    assert {hit.probability for hit in plain.hits} == {None}
    assert "probability" not in plain.hits[0].to_json(1, explain=False)
    pipeline = SearchPipeline.open(index, config(tiny_cross_encoder, min_probability=0.5))
    with pytest.raises(ConfigError, match=r"probability 0.5: the cross-encoder has no calibration"):
        pipeline.search("gene")


def test_without_a_cross_encoder_there_is_nothing_to_filter_by(index: Path) -> None:
    with pytest.raises(ConfigError, match=r"minimum probability 0.5 in mode bm25; expected mode"):
        SearchPipeline.open(index, SearchConfig(mode="bm25", min_probability=0.5))
    with pytest.raises(ConfigError, match=r"minimum probability 2; expected a number from 0 to 1"):
        SearchConfig(min_probability=2)


def test_a_broken_calibration_is_one_line(
    index: Path, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_cross_encoder, tmp_path / "m")
    (tmp_path / "m" / "scisearch.json").write_text('{"calibration": {"method": "platt"}}')
    with pytest.raises(ModelError, match=r"scisearch.json: calibration: found .*, expected a meth"):
        SearchPipeline.open(index, config(tmp_path / "m")).search("gene")


def test_the_command_filters_queries_and_runs(
    index: Path, calibrated: Path, tmp_path: Path
) -> None:
    shared = ["--index", str(index), "--reranker", str(calibrated), "--offline"]
    likely = [*shared, "--min-probability", "0.5"]
    shown = CliRunner().invoke(main, ["query", "gene", *likely])
    assert shown.exit_code == 0, shown.output
    assert "  probability 0." in shown.output or "  probability 1." in shown.output
    content = json.loads(CliRunner().invoke(main, ["query", "gene", *likely, "--json"]).output)
    assert all(hit["probability"] >= 0.5 for hit in content["hits"])

    (tmp_path / "topics.tsv").write_text("q1\tgene\nq2\tnothing here\n")
    arguments = ["run", str(tmp_path / "topics.tsv"), "-o", str(tmp_path / "likely.run"), *likely]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    lines = (tmp_path / "likely.run").read_text().splitlines()
    assert [line.split()[2] for line in lines] == [hit["doc_id"] for hit in content["hits"]]


def test_a_chosen_threshold_is_kept_as_a_config(
    index: Path, calibrated: Path, tmp_path: Path
) -> None:
    (tmp_path / "own.tsv").write_text("a\tgene\nb\tcells of a gene\n")
    (tmp_path / "foreign.tsv").write_text("x\tnothing here\ny\tprotein\n")
    (tmp_path / "mine.toml").write_text("[first_stage]\ndepth = 7\n[rerank]\nweight = 0.9\n")
    kept = tmp_path / "kept.toml"
    call = ["threshold", str(tmp_path / "own.tsv"), "--foreign", str(tmp_path / "foreign.tsv")]
    call += ["--index", str(index), "--reranker", str(calibrated), "--offline"]
    call += ["--config", str(tmp_path / "mine.toml"), "--rerank-weight", "1"]
    shown = CliRunner().invoke(main, [*call, "-o", str(kept), "--refuse", "0.8"])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.endswith(f"kept in {kept} (--config {kept})\n")
    report = json.loads(CliRunner().invoke(main, [*call, "-o", str(kept), "--json"]).stdout)
    assert report["config"] == str(kept)
    assert read_config(kept) == {
        "mode": "rerank",
        "depth": 7,
        "reranker": str(calibrated),
        "rerank_weight": 1,
        "min_probability": report["thresholds"][2]["probability"],
        "offline": True,
    }
    again = ["query", "gene", "--index", str(index), "--config", str(kept), "--json"]
    hits = json.loads(CliRunner().invoke(main, again).stdout)["hits"]
    assert all(hit["probability"] >= report["thresholds"][2]["probability"] for hit in hits)
    assert "# min_probability: " in kept.read_text()


def test_the_command_chooses_a_threshold(index: Path, calibrated: Path, tmp_path: Path) -> None:
    (tmp_path / "own.tsv").write_text("a\tgene\nb\tcells of a gene\nc\ta gene map\n")
    (tmp_path / "foreign.tsv").write_text("x\tnothing here\ny\tprotein\nz\tvectors\n")
    shared = ["--index", str(index), "--reranker", str(calibrated), "--offline"]
    call = ["threshold", str(tmp_path / "own.tsv"), *shared]
    both = [*call, "--foreign", str(tmp_path / "foreign.tsv")]
    found = CliRunner().invoke(main, [*both, "--json"])
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    assert (report["n_own"], report["n_foreign"]) == (3, 3)
    pipeline = SearchPipeline.open(index, config(calibrated))
    best = [
        [max((hit.probability or 0 for hit in pipeline.search(q).hits), default=0) for q in queries]
        for queries in (
            ("gene", "cells of a gene", "a gene map"),
            ("nothing", "protein", "vectors"),
        )
    ]
    assert report["own_median"] == pytest.approx(np.median(best[0]), abs=1e-3)
    assert report["foreign_median"] == pytest.approx(np.median(best[1]), abs=1e-3)
    highest = report["thresholds"][-1]
    assert highest["probability"] > max(best[1]) or highest["probability"] == 1
    shown = CliRunner().invoke(main, [*both, "--queries", "2"]).stdout
    assert shown.startswith("2 own and 2 foreign queries; best probability of a query's hits, med")
    assert "--min-probability  own with a hit  foreign with a hit" in shown

    demo = json.loads(CliRunner().invoke(main, [*call, "--queries", "4", "--json"]).stdout)
    assert demo["n_foreign"] == 4
    for wrong, line in (
        ((*call, "--foreign", str(tmp_path / "own.tsv")), "found 'a gene map' (3 in all) among"),
        ((*both, "--min-probability", "0.5"), "--min-probability: is what threshold chooses"),
        ((*both, "--filter", "year>=2000"), "--filter: found with threshold, which searches"),
        ((*both, "--rerank", "auto"), "rerank auto with a minimum probability; expected"),
        ((*call, "--mode", "bm25"), "minimum probability 0 in mode bm25; expected mode rerank"),
    ):
        refused = CliRunner().invoke(main, wrong)
        assert refused.exit_code == 1
        assert line in refused.stderr
