"""`--rerank cascade`: a small cross-encoder looks at all candidates, a larger one at 30."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from scisearch.cli import main
from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ConfigError
from scisearch.index.models import BUILT_IN
from scisearch.index.opened import OpenIndex, open_index
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import ModelSettings
from scisearch.rerank.open_stage import open_rerank_stage
from scisearch.rerank.search_config import SearchConfig
from scisearch.rerank.stage import RerankStage
from scisearch.retrieval.ranking import Scored

pytestmark = pytest.mark.slow

WORDS = ("gene", "protein", "folding", "attention", "query", "cells", "vectors", "mice")
FAST_SHA256 = next(one.sha256 for one in BUILT_IN if one.alias == "fast")
QUERIES = ("gene folding", "attention", "cells of mice")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> OpenIndex:
    folder = tmp_path_factory.mktemp("cascade")
    texts = [f"{a} {b} of {c}" for a in WORDS for b in WORDS for c in WORDS[:2]]
    rows = [{"doc_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index(folder / "corpus.jsonl", folder / "index", BuildConfig(encoder=None))
    return open_index(folder / "index")


@pytest.fixture
def model(cross_encoder_with: Callable[[ModelSettings], Path]) -> Path:
    return cross_encoder_with(ModelSettings(Interpolation(0.5, "logit"), None, None))


def config(model: Path | str, **options: object) -> SearchConfig:
    fields = {"mode": "rerank", "reranker": str(model), "offline": True, "device": "cpu"}
    return SearchConfig(**{**fields, **options})  # type: ignore[arg-type]


def fused_lists(index: OpenIndex, size: int) -> list[Scored]:
    """A list for each query, with three documents below the best 100 where it is longer."""
    random = np.random.default_rng(4)
    return [
        Scored(
            random.choice(len(index.documents), size, replace=False),
            np.sort(random.random(size).astype(np.float32))[::-1].copy(),
        )
        for _ in QUERIES
    ]


def stages(index: OpenIndex, model: Path) -> tuple[RerankStage, RerankStage]:
    """A small one that has its own opinion, and a large one."""
    small = open_rerank_stage(index, config(model, rerank_weight=0.9))
    return small, open_rerank_stage(index, config(model))


def test_the_large_one_reads_what_the_small_one_puts_first(index: OpenIndex, model: Path) -> None:
    small, large = stages(index, model)
    fused = fused_lists(index, 103)
    by_small = small.rerank(QUERIES, fused, depth=100)
    by_large = large.rerank(QUERIES, fused, depth=100)
    large.small = small
    for given, first, full, found in zip(
        fused, by_small, by_large, large.rerank(QUERIES, fused, depth=100), strict=True
    ):
        chosen = first.stages["final"].ordinals[:30].tolist()
        final = found.stages["final"]
        # the full rerank's order and scores among them: both normalise over all 100
        wanted = full.stages["final"]
        among = np.isin(wanted.ordinals, chosen)
        assert final.ordinals[:30].tolist() == wanted.ordinals[among].tolist()
        np.testing.assert_allclose(final.scores[:30], wanted.scores[among], atol=1e-5)
        assert final.ordinals[30:].tolist() == first.stages["final"].ordinals[30:].tolist()
        assert (np.diff(final.scores) <= 0).all()
        assert sorted(final.ordinals.tolist()) == sorted(given.ordinals.tolist())
        assert len(found.stages["small cross-encoder"]) == 100
        assert len(found.stages["cross-encoder"]) == 30
        assert found.effort.stopped_by == "cascade"
        assert (found.effort.scored, found.effort.candidates) == (30, 100)
        assert found.effort.agreement is None


def test_a_short_list_needs_no_small_one(index: OpenIndex, model: Path) -> None:
    small, large = stages(index, model)
    fused = fused_lists(index, 30)
    alone = large.rerank(QUERIES, fused, depth=100)
    large.small = small
    for one, other in zip(alone, large.rerank(QUERIES, fused, depth=100), strict=True):
        assert other.effort == one.effort
        assert "small cross-encoder" not in other.stages
        assert other.stages["final"].ordinals.tolist() == one.stages["final"].ordinals.tolist()


def test_the_command_and_what_it_tells(index: OpenIndex, model: Path) -> None:
    call = ["query", "gene folding", "--index", str(index.path), "--reranker", str(model)]
    call += ["--offline", "--rerank", "cascade", "--explain"]
    done = CliRunner().invoke(main, [*call, "--json"], catch_exceptions=False)
    found = json.loads(done.output)
    assert found["reranking"]["scored"] == 30
    assert found["reranking"]["stopped_by"] == "cascade"
    assert set(found["hits"][0]["stages"]) >= {"small cross-encoder", "cross-encoder", "final"}
    shown = CliRunner().invoke(main, call, catch_exceptions=False).output
    counts = f"30 of {found['reranking']['candidates']} candidates were reranked"
    assert f"{counts}, those that the small cross-encoder put first" in shown
    assert "small cross-encoder #" in shown


def test_what_is_looked_up_is_told_once(index: OpenIndex, model: Path) -> None:
    cached = config(model, rerank="cascade", score_cache=True)
    SearchPipeline(index, cached).search("gene folding")
    found = SearchPipeline(index, cached).search("gene folding")
    told = [note for note in found.notes if "from the score cache" in note]
    assert told == ["30 of 30 scores are from the score cache"]


def test_a_run_names_both_models(index: OpenIndex, model: Path, tmp_path: Path) -> None:
    (tmp_path / "topics.tsv").write_text("q1\tgene folding\nq2\tmice\n")
    call = ["run", str(tmp_path / "topics.tsv"), "-o", str(tmp_path / "a.run"), "--offline"]
    call += ["--index", str(index.path), "--reranker", str(model), "--rerank", "cascade"]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert "topics by the choice of the small cross-encoder" in done.output
    pipeline = SearchPipeline(index, config(model, rerank="cascade"))
    assert pipeline.model_digests()["small_reranker"] == FAST_SHA256


def test_a_cascade_of_one_is_refused(index: OpenIndex) -> None:
    with pytest.raises(ConfigError, match="rerank cascade: found the small cross-encoder alone"):
        open_rerank_stage(index, config("fast", rerank="cascade"))
