from hypothesis import given, settings
from hypothesis import strategies as st

from scisearch.rerank.training.leakage import SeenText, find_leaks
from scisearch.rerank.training.shingles import SHINGLE_WORDS, ShingleIndex, normalised


# Words of the two sides never meet.
def texts(prefix: str, *, least: int = 24) -> st.SearchStrategy[list[str]]:
    word = st.integers(0, 5000).map(lambda n: f"{prefix}{n}")
    return st.lists(word, min_size=least, max_size=80)


@settings(deadline=None, max_examples=60)
@given(
    words=texts("a"),
    unrelated=st.lists(texts("b", least=0), max_size=8),
    around=texts("c", least=0),
    data=st.data(),
)
def test_a_planted_near_duplicate_is_found_and_nothing_else(
    words: list[str], unrelated: list[list[str]], around: list[str], data: st.DataObject
) -> None:
    """One changed word breaks 8 runs of at least 17, and foreign text around it breaks none."""
    place = data.draw(st.integers(0, len(words) - 1))
    copy = [*around, *words, *around]
    copy[len(around) + place] = "changed"
    training = [SeenText(" ".join(one), "document") for one in unrelated]
    where = data.draw(st.integers(0, len(training)))
    training.insert(where, SeenText(" ".join(copy), "document"))
    report = find_leaks(training, [SeenText(" ".join(words), "document", "here")])
    assert len(report.keys) == 1
    assert report.holds(" ".join(copy))


@settings(deadline=None, max_examples=60)
@given(
    indexed=st.lists(st.lists(st.sampled_from("abc"), max_size=30), min_size=1, max_size=6),
    asked=st.lists(st.lists(st.sampled_from("abc"), max_size=30), min_size=1, max_size=6),
    batch=st.integers(1, 4),
)
def test_the_shares_are_those_of_sets_of_shingles(
    indexed: list[list[str]], asked: list[list[str]], batch: int
) -> None:
    def shingles(words: list[str]) -> set[tuple[str, ...]]:
        size = SHINGLE_WORDS
        return {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}

    expected = {}
    for i, one in enumerate(asked):
        shares = []
        for other in indexed:
            smaller = min(len(shingles(one)), len(shingles(other)))
            shares.append(len(shingles(one) & shingles(other)) / smaller if smaller else 0.0)
        if max(shares) >= 0.5:
            expected[i] = (shares.index(max(shares)), max(shares))
    index = ShingleIndex([" ".join(one) for one in indexed], batch=batch)
    found = index.overlaps([" ".join(one) for one in asked], least_share=0.5)
    assert {one.text: (one.indexed, one.share) for one in found} == expected


@given(st.text())
def test_any_text_can_be_asked_and_leaks_if_it_has_a_word_and_is_judged(text: str) -> None:
    report = find_leaks([SeenText(text, "query")], [SeenText(text, "query")])
    assert len(report.keys) == bool(normalised(text))
