"""`search tune` on lists made here, with a cross-encoder that only looks numbers up."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.benchmarks.candidate_lists import QueryLists
from scisearch.benchmarks.candidate_scores import ScoreFile
from scisearch.benchmarks.cross_validation import Systems, choose
from scisearch.benchmarks.reweighing import judged_query
from scisearch.benchmarks.tuning_grid import (
    Grid,
    fitting_depths,
    settings_of_system,
    tuning_grid,
)
from scisearch.benchmarks.tuning_report import TuningReport, tuning_report
from scisearch.benchmarks.tuning_tables import (
    candidates,
    first_tables,
    fusions_to_rerank,
    heads_of,
    rerank_tables,
)
from scisearch.console.tuning import config_comments, render_tuning
from scisearch.index.errors import ConfigError
from scisearch.index.progress import NoProgress
from scisearch.index.stopwatch import Stopwatch
from scisearch.rerank.config_file import config_of
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.scoring import RerankScores
from scisearch.rerank.search_config import SearchConfig
from scisearch.rerank.stage import RerankStage
from scisearch.rerank.truncation import Truncation
from scisearch.retrieval.fusion import Fusion
from scisearch.retrieval.ranking import Ordinals, Query, Scored, rank

N_DOCS, N_QUERIES = 40, 20
ID_RANK = np.arange(N_DOCS, dtype=np.int32)
KEPT = Interpolation(0.4, "zscore")


class LooksUp:
    """The relevant document of query "text i" is i, and its logit the highest.

    Unless it `knows` nothing: then every logit is 0.
    """

    max_length = 512
    runtime_name = "none"

    def __init__(self, *, knows: bool = True) -> None:
        self.knows = knows
        self.pairs: list[tuple[str, int]] = []

    def score(
        self,
        queries: Sequence[str],
        candidates: Sequence[Ordinals],
        *,
        watch: Stopwatch | None = None,  # noqa: ARG002
    ) -> RerankScores:
        logits = []
        for text, of in zip(queries, candidates, strict=True):
            self.pairs += [(text, ordinal) for ordinal in of.tolist()]
            right = int(text.split()[1])
            found = np.where(of == right, 5.0, -of / 100) if self.knows else np.zeros(len(of))
            logits.append(found.astype(np.float32))
        return RerankScores(
            logits,
            [np.zeros(len(of), np.int64) for of in candidates],
            [np.zeros(len(of), np.bool_) for of in candidates],
        )

    def truncation(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[Truncation]:
        """Every document has ten ids and is read whole."""
        assert len(queries) == len(candidates)
        return [
            Truncation(np.full(len(of), 10, np.int64), np.zeros(len(of), np.int64))
            for of in candidates
        ]

    def lengths(self, ordinals: Ordinals) -> NDArray[np.int64]:
        return np.full(len(ordinals), 10, np.int64)


def without_phrases(_text: str, head: Scored, depth: int, _weight: float) -> Scored:
    return head.cut(depth)


def lists() -> list[QueryLists]:
    """BM25 has the relevant document at rank 3, dense at rank 5 of another order."""
    found = []
    for i in range(N_QUERIES):
        rng = np.random.default_rng(i)
        legs: dict[str, Scored] = {}
        for name, place in (("bm25", 2), ("dense", 4)):
            order = rng.permutation(N_DOCS)
            order = np.insert(order[order != i], place, i)
            scores = np.linspace(9, 1, N_DOCS).astype(np.float32)
            legs[name] = rank(order, scores, ID_RANK)
        judged = judged_query({str(i): 1}, int)
        found.append(QueryLists(Query(f"q{i}", f"text {i}"), legs, judged))
    return found


def small_grid(kept: Interpolation = KEPT) -> Grid:
    return tuning_grid([20], [10], kept=kept, fusion=Fusion(dense_weight=0.5, dense_span=0.3))


def report(
    tmp_path: Path,
    kept: Interpolation = KEPT,
    *,
    reordered: Callable[..., Scored] = without_phrases,
    cross_encoder: LooksUp | None = None,
) -> TuningReport:
    grid, of, cross_encoder = small_grid(kept), lists(), cross_encoder or LooksUp()
    stage = RerankStage(cross_encoder, kept, ID_RANK, "sha")
    tables = first_tables(of, grid, ID_RANK, NoProgress())
    places = fusions_to_rerank(tables["hybrid"][0], grid, 4, 1)
    heads = heads_of(of, grid, places, ID_RANK)
    scores = ScoreFile(tmp_path / "scores.jsonl", "one")
    work = candidates(of, heads)
    scores.score(stage, work, progress=NoProgress())
    assert len(cross_encoder.pairs) == len(set(cross_encoder.pairs))
    again = ScoreFile(tmp_path / "scores.jsonl", "one")
    assert not any(len(again.missing(query.query_id, ordinals)) for query, ordinals in work)
    tables["rerank"] = rerank_tables(
        of,
        heads,
        again,
        grid,
        id_rank=ID_RANK,
        reordered=reordered,
        reading_of=stage.reading,
        progress=NoProgress(),
    )
    defaults = {"hybrid": (0, grid.default_fusion)}
    defaults["rerank"] = (grid.default_fusion, grid.default_rerank)
    systems = Systems(
        tables, {"rerank": "hybrid"}, {name: defaults.get(name, (0, 0)) for name in tables}
    )
    return tuning_report(
        systems,
        choose(systems, folds=4, seed=1, proof="interval"),
        describe=lambda system, places: settings_of_system(
            system, grid, places, SearchConfig(reranker=str(tmp_path))
        ),
        facts={
            "collection": "made",
            "n_documents": N_DOCS,
            "folds": 4,
            "seed": 1,
            "proof": "interval",
        },
    )


def test_a_cross_encoder_that_knows_is_taken_with_its_depth_and_weight(tmp_path: Path) -> None:
    found = report(tmp_path)
    assert found.system == "rerank"
    assert found.refused == ("dense",)
    assert found.systems["bm25"].default.mean == pytest.approx(0.5)  # 1 / log2(4)
    assert found.systems["dense"].default.mean == pytest.approx(1 / np.log2(6))
    assert found.expected.mean == pytest.approx(1.0)
    assert found.settings["reranker"] == str(tmp_path.resolve())
    config = config_of(found.settings)
    assert config.mode == "rerank"
    text = render_tuning(found, Path("tuned.toml"))
    assert "made: 40 documents, 20 queries; nDCG@10 by nested cross-validation, 4 folds" in text
    assert "dense is refused: it loses 0.1131 against bm25 (-0.1131 to -0.1131)." in text
    assert "Chosen: rerank, convex, dense weight" in text
    assert "tuned.toml is written: search query --config tuned.toml" in text
    assert all("\n" not in line for line in config_comments(found, "search tune"))
    assert found.to_json()["chosen"] == "rerank"


def test_a_weight_that_no_config_can_say_stays_the_models_own(tmp_path: Path) -> None:
    """Nothing is better than the default, whose weight depends on what there is to read."""
    found = report(tmp_path, Interpolation(0.4, "zscore", lengths=(1, 5)))
    assert found.system == "rerank"
    assert "rerank_weight" not in found.settings
    assert "100 reranked, the model's own weight" in render_tuning(found, tmp_path / "tuned.toml")


def test_phrases_that_help_are_chosen(tmp_path: Path) -> None:
    def reordered(text: str, head: Scored, depth: int, weight: float) -> Scored:
        own = head.cut(depth)
        right = own.ordinals == int(text.split()[1])
        return rank(own.ordinals, own.scores + weight * 100 * right, ID_RANK)

    found = report(tmp_path, reordered=reordered, cross_encoder=LooksUp(knows=False))
    assert found.system == "rerank"
    assert found.settings["phrase_weight"] == 1.0
    assert config_of(found.settings).phrase_weight == 1.0
    assert "phrases 1" in render_tuning(found, tmp_path / "tuned.toml")


def test_scores_of_other_work_are_not_taken_up(tmp_path: Path) -> None:
    report(tmp_path)
    path = tmp_path / "scores.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])  # torn: the last query is scored again
    torn = ScoreFile(path, "one")
    ordinals = np.arange(N_DOCS)
    assert len(torn.missing("q19", ordinals)) == N_DOCS
    assert len(torn.missing("q0", ordinals)) < N_DOCS
    assert len(ScoreFile(path, "two").missing("q0", ordinals)) == N_DOCS


def test_the_grid_prefers_what_is_near_the_default_and_reranks_little() -> None:
    grid = small_grid()
    assert (grid.fusions[0][1], grid.fusions[0][0].dense_share) == (100, 0.5)
    assert grid.default_fusion == 0
    depths = [one.depth for one in grid.reranks]
    assert depths == sorted(depths)
    assert grid.reranks[0] == (10, 0.0, KEPT)
    assert grid.reranks[grid.default_rerank] == (100, 0.0, KEPT)
    assert (10, 1.0, KEPT) in grid.reranks  # phrases are tried, and preferred to nothing else
    assert all(one.interpolation.weight > 0 for one in grid.reranks)
    assert len(set(grid.reranks)) == len(grid.reranks)
    alone = tuning_grid([20], [10, 200], kept=KEPT, fusion=None)
    assert [depth for _, depth in alone.fusions] == [200]
    assert tuning_grid([20], [10], kept=None, fusion=Fusion()).reranks == ()


def test_the_grid_has_no_span_beside_that_of_the_encoder_or_a_usual_one() -> None:
    for asked, spans in ((0.3, {0.0, 0.3}), (0.0, {0.0, 0.12})):
        standard = Fusion(dense_weight=0.5, dense_span=asked)
        grid = tuning_grid([20], [10], kept=None, fusion=standard)
        convex = [fusion for fusion, _ in grid.fusions if fusion.kind == "convex"]
        assert {fusion.dense_span for fusion in convex} == spans
        assert len(set(grid.fusions)) == len(grid.fusions)
        assert grid.fusions[grid.default_fusion] == (standard, 100)
        settings = settings_of_system("hybrid", grid, (0, grid.default_fusion), SearchConfig())
        assert settings["dense_span"] == asked


def test_depths_fit_the_corpus() -> None:
    assert fitting_depths(None, (20, 50, 100), 60, "depths") == (20, 50)
    assert fitting_depths(None, (20, 50), 5, "depths") == (5,)
    assert fitting_depths((50, 20, 20), (10,), 60, "depths") == (20, 50)
    for asked in ((5,), (61,), ()):
        with pytest.raises(ConfigError, match=r"depths: found (5|61|none), expected numbers from"):
            fitting_depths(asked, (20,), 60, "depths")
