"""Lists in other words and lengths: what may change, and what must not."""

from collections import Counter

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from scisearch.benchmarks.science_training.twisting import Twisting
from scisearch.benchmarks.science_training.variation import Rewording, shortened
from scisearch.benchmarks.science_training.words import PHRASES, Words, find_words
from scisearch.index.tokenizer import TextTokenizer

WORDS = Words(
    phrases=(((901, 902), (904,)), ((903,), ())),
    function_words=(1, 2),
    opposites=((20, 21), (22, 23)),
    numbers=((31, 32), (41, 42), (), ()),
    auxiliaries=(50, 51),
    negation=60,
)
QUERY = np.array([1, 10, 2, 11, 12], np.uint16)


def outcomes(kind: str, query: np.ndarray = QUERY, n: int = 2000) -> Counter[tuple[int, ...]]:
    draw, rewording = np.random.default_rng(4), Rewording(WORDS)
    return Counter(tuple(rewording.of(query, kind, draw).tolist()) for _ in range(n))


def test_a_subject_comes_in_phrases_without_little_words_or_as_it_is() -> None:
    found = outcomes("keywords")
    own = tuple(QUERY.tolist())
    phrased = {(901, 902, *own, 904), (903, *own)}
    assert set(found) == {own, *phrased, (10, 11, 12)}
    assert sum(found[one] for one in phrased) / 2000 == pytest.approx(0.3, abs=0.04)
    assert found[10, 11, 12] / 2000 == pytest.approx(0.1, abs=0.03)


def test_a_claim_is_never_put_in_a_phrase_and_a_quotation_never_changes() -> None:
    own = tuple(QUERY.tolist())
    assert set(outcomes("claim")) == {own, (10, 11, 12)}
    assert set(outcomes("context")) == {own}


def test_a_long_subject_is_cut_within_a_phrase_and_something_is_always_left() -> None:
    long = np.arange(100, 200, dtype=np.uint16)
    assert max(len(one) for one in outcomes("title", long) if one[0] > 900) == 70 + 3
    few = np.array([1, 2, 10], np.uint16)
    assert set(outcomes("claim", few)) == {(1, 2, 10)}


def test_all_phrases_have_a_place_for_the_subject() -> None:
    assert len({before for before, _ in PHRASES}) == len(PHRASES)
    assert all(before and not before.endswith((".", "?")) for before, _ in PHRASES)


def test_texts_are_cut_together_apart_or_not_at_all() -> None:
    texts = [np.arange(n, dtype=np.uint16) for n in (300, 200, 45, 8)]
    draw = np.random.default_rng(6)
    lists = [shortened(texts, "claim", draw) for _ in range(2000)]
    longest = np.array([max(len(text) for text in one) for one in lists])
    assert np.mean(longest < 26) == pytest.approx(0.2, abs=0.03)
    assert np.mean(longest < 90) == pytest.approx(0.5, abs=0.06)
    assert np.mean(longest == 300) == pytest.approx(0.28, abs=0.03)
    for one in lists:
        for text, cut in zip(texts, one, strict=True):
            assert 0 < len(cut) <= len(text)
            assert (np.diff(cut.astype(int)) == 1).all()  # a piece of it, in its order
            assert len(text) >= 60 or cut[0] == 0


def test_the_texts_of_a_question_are_never_as_short_as_a_title() -> None:
    texts = [np.arange(250, dtype=np.uint16)] * 8
    draw = np.random.default_rng(7)
    lists = [shortened(texts, "question", draw) for _ in range(500)]
    assert min(max(len(text) for text in one) for one in lists) >= 30


def twisted(query: list[int], text: list[int], n: int = 400) -> set[tuple[int, ...] | None]:
    draw, twisting = np.random.default_rng(8), Twisting(WORDS)
    asked, told = np.array(query, np.uint16), np.array(text, np.uint16)
    found = [twisting.of(asked, told, draw) for _ in range(n)]
    assert told.tolist() == text  # the text itself stays
    return {None if one is None else tuple(one.tolist()) for one in found}


def test_only_what_the_query_says_is_turned_round() -> None:
    # 20 and 21 are opposites: the query has one of them; 22, which it has not, stays
    assert twisted([5, 21], [20, 22, 21, 9]) == {(21, 22, 20, 9)}
    assert twisted([5, 21], [22, 9]) == {None}
    # a number of one digit for one of one digit, or, by chance, the same again
    assert twisted([31, 5], [31, 41, 32]) == {(32, 41, 32), None}
    # "not" goes where the query has it
    assert twisted([60, 31], [60, 9]) == {(9,)}


def test_a_text_is_negated_where_there_is_nothing_else_to_turn_round() -> None:
    assert twisted([5], [50, 9, 51]) == {(50, 60, 9, 51, 60), None}
    assert twisted([5], [60, 9]) == {(9,), None}
    assert twisted([5], [8, 9]) == {None}
    assert twisted([20], [50, 9]) == {None}


def test_words_are_found_in_a_vocabulary(bert_tokens: TextTokenizer) -> None:
    words = find_words(bert_tokens)
    known = {token: word for word, token in bert_tokens.vocabulary.items()}
    assert Words.from_json(words.to_json()) == words
    for one, other in words.opposites:
        assert {known[one], known[other]} in ({"higher", "lower"}, {"with", "without"})
    assert [known[i] for group in words.numbers for i in group] == ["3", "12"]
    assert [[known[i] for i in group] for group in words.numbers[:2]] == [["3"], ["12"]]
    assert len(words.phrases) == len(PHRASES)
    assert words.negation is None


@pytest.fixture
def bert_tokens() -> TextTokenizer:
    """A vocabulary with two of the opposites, two numbers, half of a third pair."""
    known = ["[UNK]", "higher", "lower", "with", "without", "increase", "3", "12", "12345"]
    vocabulary = {word: place for place, word in enumerate(known)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return TextTokenizer(tokenizer)
