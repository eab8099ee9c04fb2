"""How much may be left unscored, chosen on candidates of which all logits are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scisearch.benchmarks.bound_choice import ALLOWED, BoundChoice, choose_bound
from scisearch.benchmarks.collection import Collection
from scisearch.benchmarks.interpolation_choice import ScoredCandidates
from scisearch.console.training import render_bound
from scisearch.index.errors import ConfigError
from scisearch.rerank.interpolation import Interpolation, Reading
from scisearch.rerank.model_settings import (
    ModelSettings,
    read_model_settings,
    write_model_settings,
)

SETTING = Interpolation(0.5, "logit")
Scored = tuple[Collection, list[ScoredCandidates]]


def scored(name: str, *, queries: int = 60, seed: int = 1, late: float = 0.0) -> Scored:
    """Relevant ones stand high and have high logits; with `late`, that share stands at the end."""
    random = np.random.default_rng(seed)
    found, qrels = [], {}
    for number in range(queries):
        fused = np.sort(random.random(100))[::-1].astype(np.float32)
        places = np.unique(np.minimum(random.geometric(0.15, 4), 99))
        if random.random() < late:
            places = random.choice(np.arange(60, 100), 4, replace=False)
        logits = random.normal(-3, 1, 100)
        logits[places] += 6
        ids = tuple(f"d{place:02d}" for place in random.permutation(100))
        found.append(ScoredCandidates(f"q{number}", ids, fused, logits.astype(np.float32)))
        qrels[f"q{number}"] = {ids[place]: 1 for place in places.tolist()}
    return Collection(name, Path("none"), (), qrels), found


@pytest.fixture(scope="module")
def choice() -> BoundChoice:
    return choose_bound([scored("one"), scored("two", seed=2)], SETTING)


def test_what_is_kept_saves_much_and_loses_little(choice: BoundChoice) -> None:
    assert choice.chosen.loss <= 0.002
    assert choice.chosen.scored < 0.6
    assert choice.chosen.queries == 120
    assert choice.chosen.agreement > 0.9
    assert choice.bound.dev == {"one": 60, "two": 60}
    assert choice.bound.allowed in ALLOWED


def test_more_allowed_scores_less(choice: BoundChoice) -> None:
    shares = [choice.mean(allowed).scored for allowed in ALLOWED]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_the_expected_agreement_is_near_the_real_one(choice: BoundChoice) -> None:
    for allowed in ALLOWED:
        mean = choice.mean(allowed)
        assert mean.expected == pytest.approx(mean.agreement, abs=0.03)


def test_a_collection_is_judged_by_what_the_others_say(choice: BoundChoice) -> None:
    """One with its relevant documents at the end loses by their bound, so that less is allowed."""
    late = scored("late", seed=3, late=0.6)
    careful = choose_bound([scored("one"), scored("two", seed=2), late], SETTING)
    assert careful.bound.allowed < choice.bound.allowed
    assert careful.tried[ALLOWED[-1]]["late"].loss > 0.05


def test_a_single_collection_is_judged_half_by_half() -> None:
    alone = choose_bound([scored("one")], SETTING)
    assert set(alone.tried[ALLOWED[0]]) == {"one"}
    assert alone.chosen.loss <= 0.002
    assert alone.chosen.queries == 60
    assert alone.bound.dev == {"one": 60}


def test_too_few_queries_and_other_normalisations_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 20 to fit it on"):
        choose_bound([scored("one", queries=10), scored("two", queries=10)], SETTING)
    with pytest.raises(ConfigError, match=r"normalisation minmax: .*expected logit"):
        choose_bound([scored("one")], Interpolation(0.5, "minmax"))


def test_the_table_marks_what_was_kept(choice: BoundChoice) -> None:
    marked = [line for line in render_bound(choice).splitlines() if line.startswith("* ")]
    assert len(marked) == 1
    assert marked[0].split()[1] == f"{choice.bound.allowed:g}"
    assert f"Kept: {choice.bound.allowed:g}, which scores" in render_bound(choice, markdown=True)


def test_what_is_written_is_read(tmp_path: Path, choice: BoundChoice) -> None:
    settings = ModelSettings(SETTING, None, choice.bound)
    write_model_settings(tmp_path, settings)
    assert read_model_settings(tmp_path) == settings


def test_what_is_not_heard_is_not_scored_and_loses_nothing() -> None:
    """Candidates so short that no logit counts: the engine scores none of them."""
    setting = Interpolation(0.5, "logit", lengths=(60, 180))
    collections = []
    for seed, tokens in ((1, 300), (2, 300), (3, 20)):
        collection, candidates = scored(str(tokens + seed), seed=seed)
        reading = Reading(np.full(20, tokens, np.int64))
        collections.append((collection, [replace(one, reading=reading) for one in candidates]))
    found = choose_bound(collections, setting)
    for tried in found.tried.values():
        assert tried["23"].scored == 0
        assert tried["23"].loss == 0
        assert tried["23"].agreement == 1
        assert tried["301"].scored > 0
