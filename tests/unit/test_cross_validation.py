import numpy as np
import pytest

from scisearch.benchmarks.cross_validation import (
    Systems,
    best_setting,
    choose,
    held_out,
    split,
    training_sets,
)

FOLDS = {"folds": 5, "seed": 7}
N = 60


def systems(**columns: list[np.ndarray]) -> Systems:
    tables = {name: {0: np.stack(of, axis=1)} for name, of in columns.items()}
    return Systems(tables, {}, dict.fromkeys(tables, (0, 0)))


def noise(seed: int, spread: float = 0.1) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.5, spread, N)


def test_folds_share_the_queries_out() -> None:
    rows = np.arange(23)
    parts = split(rows, 5, seed=1)
    assert sorted(np.concatenate(parts).tolist()) == rows.tolist()
    assert {len(part) for part in parts} == {4, 5}
    again = split(rows, 5, seed=1)
    assert [part.tolist() for part in parts] == [part.tolist() for part in again]
    assert [part.tolist() for part in parts] != [part.tolist() for part in split(rows, 5, seed=2)]


def test_the_first_of_nearly_equal_settings_is_best() -> None:
    table = np.array([[0.5, 0.5009, 0.3], [0.5, 0.5009, 0.4]])
    assert best_setting(table, np.arange(2)) == 0
    table[:, 1] += 0.001
    assert best_setting(table, np.arange(2)) == 1


def test_no_query_sees_its_own_judgements() -> None:
    """Setting i is right for query i alone: held out, none is ever chosen for its own query."""
    found = systems(one=list(np.eye(N)))
    assert held_out(found, "one", np.arange(N), **FOLDS).sum() == 0
    assert choose(found, **FOLDS, proof="mean").expected.sum() in (0, 1)  # default: the first query


def test_a_stage_that_gains_everywhere_pays() -> None:
    base = noise(1)
    choice = choose(systems(bm25=[base], hybrid=[base + 0.05]), **FOLDS, proof="interval")
    assert choice.system == "hybrid"
    (verdict,) = choice.verdicts
    assert verdict.pays
    assert verdict.gain.mean == pytest.approx(0.05)
    assert verdict.gain.low == pytest.approx(0.05)
    assert choice.expected.tolist() == (base + 0.05).tolist()


def test_a_gain_that_may_be_chance_is_refused_unless_the_mean_suffices() -> None:
    base = noise(1)
    shift = noise(2, 0.2) - 0.5
    uncertain = base + shift - shift.mean() + 0.01
    found = systems(bm25=[base], hybrid=[uncertain])
    assert choose(found, **FOLDS, proof="interval").system == "bm25"
    assert choose(found, **FOLDS, proof="mean").system == "hybrid"
    loses = systems(bm25=[base], hybrid=[base - 0.001])
    assert choose(loses, **FOLDS, proof="mean").system == "bm25"


def test_a_fuller_system_must_beat_every_simpler_one() -> None:
    base = noise(1)
    choice = choose(
        systems(bm25=[base], dense=[base + 0.1], hybrid=[base + 0.05]), **FOLDS, proof="interval"
    )
    assert choice.system == "dense"
    pays = {(one.system, one.over): one.pays for one in choice.verdicts}
    assert pays == {("dense", "bm25"): True, ("hybrid", "bm25"): True, ("hybrid", "dense"): False}


def test_tuned_settings_are_used_only_where_they_help_held_out_queries() -> None:
    base = noise(1)
    # setting i is right for query i alone: it looks better than the default, and never is
    default = np.full(N, 0.01)
    choice = choose(systems(bm25=[default, *np.eye(N)]), **FOLDS, proof="interval")
    assert not choice.tuned["bm25"]
    assert choice.setting == (0, 0)
    assert choice.held_out["bm25"].sum() == 0
    assert choice.expected.tolist() == default.tolist()
    better = choose(systems(bm25=[base, base + 0.03]), **FOLDS, proof="interval")
    assert better.setting == (0, 1)
    assert better.tuned["bm25"]
    assert better.expected == pytest.approx(base + 0.03)


def test_a_system_on_another_stands_on_the_setting_chosen_for_that() -> None:
    base = noise(1)
    tables = {
        "hybrid": {0: np.stack([base, base + 0.1], axis=1)},
        "rerank": {0: base[:, np.newaxis] + 0.3, 1: np.stack([base + 0.1, base + 0.2], axis=1)},
    }
    found = Systems(tables, {"rerank": "hybrid"}, {"hybrid": (0, 0), "rerank": (0, 0)})
    assert found.best("rerank", np.arange(N)) == (1, 1)
    choice = choose(found, **FOLDS, proof="interval")
    # on its own parent's default it is better than on the tuned one: that is kept
    assert (choice.system, choice.setting, choice.tuned["rerank"]) == ("rerank", (0, 0), False)


def test_every_choice_is_made_on_one_of_the_training_sets() -> None:
    class Watched(Systems):
        seen: set[tuple[int, ...]] = set()  # noqa: RUF012

        def best(self, system: str, rows: np.ndarray) -> tuple[int, int]:
            self.seen.add(tuple(rows.tolist()))
            return super().best(system, rows)

    base = noise(1)
    tables = {"bm25": {0: np.stack([base, base + 0.1], axis=1)}}
    choose(Watched(tables, {}, {"bm25": (0, 0)}), **FOLDS, proof="interval")
    known = {tuple(rows.tolist()) for rows in training_sets(N, **FOLDS)}
    assert Watched.seen == known
    assert len(known) == 1 + 5 + 25
