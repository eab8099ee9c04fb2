"""Contrast lists of packed ones: what is right, what is wrong, and where neither is found."""

import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from scisearch.benchmarks.science_training.contrast_words import ContrastWords
from scisearch.benchmarks.science_training.contrasts import CONTRASTS, ContrastSource
from scisearch.benchmarks.science_training.exchanged import Exchange
from scisearch.benchmarks.science_training.micro_batches import make_contrasts
from scisearch.benchmarks.science_training.packed import PackedLists, Ragged
from scisearch.benchmarks.science_training.sentences import sentences
from scisearch.benchmarks.science_training.words import Words, find_words
from scisearch.index.errors import TrainingError
from scisearch.index.tokenizer import TextTokenizer

ANSWER = (
    "the heating of ionized gas in the solar corona is caused by waves ."
    " temperatures are higher above the visible surface of the sun itself ."
    " here we report the effect of light on sleep ."
)
ANSWER_SENTENCES = [one.strip() + " ." for one in ANSWER.split(" .")[:3]]
ELSEWHERE = (
    "donors gave plasma to hospital patients after surgery in the winter .",
    "frozen plasma was kept by nurses and given to children with burns .",
)
CLAIM = "temperatures are higher above the surface of the sun"


class Text:
    """Texts to token ids of whole words, and back."""

    def __init__(self, texts: list[str]) -> None:
        more = (
            "we show that our results suggest that it was found that here we report in this study ,"
            " evidence indicates the effect of on affects how changes influence depends is"
            " influenced by caused was altered inhibits inhibit inhibited does can ? . ! not higher"
            " lower from to into 7 9"
        )
        words = ["[UNK]", *dict.fromkeys(" ".join([*texts, more]).split())]
        self.words = words
        raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, "[UNK]"))
        raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        self.tokens = TextTokenizer(raw)

    def ids(self, text: str) -> np.ndarray:
        return np.array(self.tokens.encode([text])[0], np.uint16)

    def of(self, ids: np.ndarray) -> str:
        return " ".join(self.words[i] for i in ids.tolist())


def packed(text: Text, words: Words) -> PackedLists:
    """A subject and a claim, which one paper answers; twelve papers on something else."""
    texts = [ANSWER, *ELSEWHERE * 6]
    lists = {"keywords": "plasma waves heating", "claim": CLAIM}

    def rows(values: list[str]) -> Ragged:
        return Ragged.of([text.ids(one) for one in values], np.uint16)

    n = len(lists)
    return PackedLists(
        kinds=tuple(lists),
        kind=np.arange(n, dtype=np.uint8),
        queries=rows(list(lists.values())),
        positives=Ragged.of([np.array([0])] * n, np.int32),
        positive_scores=np.ones(n, np.float16),
        negatives=Ragged.of([np.array([1, 2])] * n, np.int32),
        negative_scores=np.zeros(2 * n, np.float16),
        n_top=np.full(n, 2, np.uint8),
        rate=np.ones(n, np.float32),
        asking=np.full(n, -1, np.int32),
        instead=rows([""] * n),
        titles=rows(["the effect of dark on deep sleep"] * 13),  # of which none is made
        texts=rows(texts),
        words=words,
    )


@pytest.fixture(scope="module")
def text() -> Text:
    return Text([ANSWER, *ELSEWHERE, CLAIM, "plasma light sleep deep dark short long"])


@pytest.fixture(scope="module")
def words(text: Text) -> Words:
    return find_words(text.tokens)


@pytest.fixture(scope="module")
def drawn(text: Text, words: Words) -> dict[str, list[list[str]]]:
    """300 lists by kind, as words."""
    source = ContrastSource(packed(text, words), np.random.default_rng(2))
    found: dict[str, list[list[str]]] = {kind: [] for kind in CONTRASTS}
    for _ in range(300):
        one = source.draw()
        found[one.kind].append([text.of(ids) for ids in (one.query, *one.texts)])
    return found


def test_each_kind_has_its_share(drawn: dict[str, list[list[str]]]) -> None:
    for kind, (share, _) in CONTRASTS.items():
        assert len(drawn[kind]) / 300 == pytest.approx(share, abs=0.08)


def test_the_right_sentence_lacks_the_word_that_the_wrong_ones_have_in_another_field(
    drawn: dict[str, list[list[str]]],
) -> None:
    own = set(ANSWER_SENTENCES)
    for query, right, *wrong in drawn["field"]:
        assert query == "plasma waves heating"
        assert right in own
        assert "plasma" not in right.split()
        assert set(wrong) <= set(ELSEWHERE)
        assert len(wrong) in (2, 3)  # the last is of any other paper
        assert all("plasma" in one.split() for one in wrong[:2])
    # Of three in five the right one has none of the query's words; else it has them more often
    # than the other two.
    counts = Counter(right for _, right, *_ in drawn["field"])
    sharing, none, last = (counts[one] / len(drawn["field"]) for one in ANSWER_SENTENCES)
    assert sharing == pytest.approx(0.4 * (0.5 + 0.5 / 3), abs=0.1)
    assert none > last
    assert none + last == pytest.approx(0.6 + 0.4 / 3, abs=0.1)


def test_a_claim_is_right_in_other_words_and_wrong_turned_round(
    drawn: dict[str, list[list[str]]],
) -> None:
    nearest = "temperatures are higher above the visible surface of the sun itself ."
    restated = 0
    for query, right, *wrong in drawn["turned"]:
        assert query == CLAIM
        assert "higher" in right.split()
        restated += right != nearest
        assert 1 <= len(wrong) <= 2
        for one in wrong:
            assert "lower" in one.split()
            assert "below" not in one.split()  # no token of the vocabulary, so no opposite
            assert "higher" not in one.split()
    assert restated / len(drawn["turned"]) == pytest.approx(0.4, abs=0.15)


def test_what_acts_on_what_is_exchanged_in_the_wrong_texts_alone(
    drawn: dict[str, list[list[str]]],
) -> None:
    b_first = re.compile(r"sleep (depends|is|was)|changes of sleep")
    for query, right, *wrong in drawn["exchanged"]:
        assert len(wrong) == 2
        assert query != right
        for one, acts in ((query, "light"), (right, "light"), *((one, "sleep") for one in wrong)):
            assert {"light", "sleep"} <= set(one.split())
            turned = one if acts == "light" else swapped(one)
            light_first = turned.index("light") < turned.index("sleep")
            assert light_first != bool(b_first.search(turned)), one


def swapped(said: str) -> str:
    return said.replace("light", "_").replace("sleep", "light").replace("_", "sleep")


def test_the_same_generator_gives_the_same_lists(text: Text, words: Words) -> None:
    def some() -> list[list[str]]:
        source = ContrastSource(packed(text, words), np.random.default_rng(5))
        lists = [source.draw() for _ in range(9)]
        return [[text.of(ids) for ids in (one.query, *one.texts)] for one in lists]

    assert some() == some()


def test_where_no_list_can_be_made_that_is_said(text: Text, words: Words) -> None:
    with pytest.raises(TrainingError, match="no words to make contrast lists with; prepare them a"):
        ContrastSource(packed(text, replace(words, contrasts=None)), np.random.default_rng(0))
    some = packed(text, words)
    silent = Ragged.of([text.ids(ELSEWHERE[0])] * 13, np.uint16)
    bare = replace(some, kinds=("question", "context"), texts=silent)
    source = ContrastSource(bare, np.random.default_rng(0))
    with pytest.raises(TrainingError, match="found no contrast list in 2000 tries of each kind am"):
        source.draw()


def exchanged(text: Text, contrast: ContrastWords, said: str) -> list[str] | None:
    found = Exchange(contrast).of(text.ids(said), np.random.default_rng(1))
    return None if found is None else [text.of(one) for one in found]


def test_statements_on_two_things_are_told_from_others(text: Text, words: Words) -> None:
    contrast = words.contrasts
    assert contrast is not None
    said = exchanged(text, contrast, "patients slept from dark to light in winter")
    assert said == [
        "patients [UNK] from dark to light in winter",
        "from dark to light",
        "patients [UNK] from light to dark in winter",
    ]
    found = exchanged(text, contrast, "deep sleep inhibits surgery in winter")
    assert found is not None
    assert len(found) == 4
    assert all({"deep", "sleep", "surgery"} <= set(one.split()) for one in found)
    assert all(("inhibit" in one) and ("winter" not in one) for one in found)
    for none in (
        "the effect of light",  # on what?
        "the effect of light . on sleep",
        "the effect of light on light",
        "the effect on sleep of light",
        "surgery , sleep inhibits light",  # which of them?
        "we show that sleep inhibits light",
        "light inhibits",
        "from dark sleep",
        "plasma was kept",
    ):
        assert exchanged(text, contrast, none) is None, none


def test_a_text_falls_into_sentences_that_are_neither_fragments_nor_endless() -> None:
    end, number = 1, 7
    text = np.array([*[5] * 8, end, 5, 5, end, *[6] * 7, end, number, *[6] * 3, end, *[4] * 9])
    found = [one.tolist() for one in sentences(text, {end}, {number})]
    assert found == [[*[5] * 8, end], [*[6] * 7, end, number, *[6] * 3, end]]
    assert sentences(np.array([*[5] * 50, end]), {end}, set()) == []
    assert sentences(np.empty(0, np.uint16), {end}, set()) == []


def test_a_step_knows_where_the_right_texts_are(text: Text, words: Words) -> None:
    source = ContrastSource(packed(text, words), np.random.default_rng(2))
    lists = [source.draw() for _ in range(6)]
    step = make_contrasts(lists, longest=64, size=4, cls_id=1, sep_id=2)
    counts = [len(one.texts) for one in lists]
    assert step.right.tolist() == [sum(counts[:i]) for i in range(6)]
    assert step.margins.tolist() == [CONTRASTS[one.kind][1] for one in lists]
    texts = [(one.query, each) for one in lists for each in one.texts]
    places = np.concatenate([batch.places for batch in step.batches])
    assert sorted(places.tolist()) == list(range(sum(counts)))
    for batch in step.batches:
        for row, place in enumerate(batch.places.tolist()):
            query, answer = texts[place]
            ids = batch.ids[row, : batch.lengths[row]].tolist()
            assert ids == [1, *query.tolist(), 2, *answer.tolist(), 2]
