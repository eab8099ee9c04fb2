"""Packed lists: written and read; drawn with offsets and corrections as by hand."""

from dataclasses import fields, replace
from itertools import islice
from math import log
from pathlib import Path

import numpy as np
import pytest

from scisearch.benchmarks.science_training.draw import (
    DrawOptions,
    ListSource,
    packed_sharpness,
)
from scisearch.benchmarks.science_training.learner import steps
from scisearch.benchmarks.science_training.micro_batches import make_step, micro_batches
from scisearch.benchmarks.science_training.packed import (
    PackedLists,
    Ragged,
    read_packed,
    token_row,
    write_packed,
)
from scisearch.benchmarks.science_training.settings import Clock, Settings
from scisearch.benchmarks.science_training.words import Words
from scisearch.index.errors import TrainingError
from scisearch.rerank.training.sharpness import Sharpness

SHARP = Sharpness(2.0, {"claim": 10.0})
MIXTURE = {"claim": (0.5, 1.0), "sentence": (0.5, 0.0)}
OPTIONS = DrawOptions(mixture=MIXTURE, varied=False)


def ragged(rows: list[list[int]], dtype: type = np.uint16) -> Ragged:
    return Ragged.of([np.array(row, dtype) for row in rows], dtype)


def packed(n: int = 6) -> PackedLists:
    """Lists of a claim (even) or a sentence (odd): document 0 answers, 1 to 12 do not.

    Of the negatives six are all there were at the top, six are a third of those below. Document d
    has the title d + 100 and the text d + 200, twice.
    """
    negatives = list(range(1, 13))
    return PackedLists(
        kinds=("claim", "sentence"),
        kind=np.arange(n, dtype=np.uint8) % 2,
        queries=ragged([[50 + row] for row in range(n)]),
        positives=ragged([[0, 13]] * n, np.int32),
        positive_scores=np.array([0.5, np.nan] * n, np.float16),
        negatives=ragged([negatives] * n, np.int32),
        negative_scores=np.tile(np.linspace(1, 0, 12), n).astype(np.float16),
        n_top=np.full(n, 6, np.uint8),
        rate=np.full(n, 1 / 3, np.float32),
        asking=np.full(n, -1, np.int32),
        instead=ragged([[] if row % 2 == 0 else [7, 8] for row in range(n)]),
        titles=ragged([[row + 100] for row in range(14)]),
        texts=ragged([[row + 200] * 2 for row in range(14)]),
        words=Words(
            phrases=(((1,), ()), ((2, 2), (3,))),
            function_words=(40,),
            opposites=((50, 900), (52, 901)),
            numbers=((), (), (), ()),
            auxiliaries=(),
            negation=None,
        ),
        facts={"lists": n},
    )


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    write_packed(packed(), path)
    again = read_packed(path)
    for field in fields(PackedLists):
        one, other = getattr(packed(), field.name), getattr(again, field.name)
        if isinstance(one, Ragged):
            np.testing.assert_array_equal(one.values, other.values)
            np.testing.assert_array_equal(one.starts, other.starts)
            assert one.values.dtype == other.values.dtype
        elif isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other
    assert [path.name for path in tmp_path.iterdir()] == ["packed.npz"]


def test_another_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_text("no")
    with pytest.raises(TrainingError, match=r"a\.npz: is no file of packed lists"):
        read_packed(tmp_path / "a.npz")
    with pytest.raises(TrainingError, match="token id 65536; expected a vocabulary of at most 655"):
        token_row([65536], 9)


def test_offsets_and_corrections_are_as_by_hand() -> None:
    source = ListSource(packed(), SHARP, OPTIONS)
    scores = np.linspace(1, 0, 12).astype(np.float16).astype(np.float32)
    for one in (source.draw(1.0) for _ in range(40)):  # at the end: claims only
        assert one.kind == "claim"
        assert one.has_offset
        documents = [int(text[-1]) - 200 for text in one.texts]
        assert documents[0] == 0  # 13 is no candidate
        assert len(set(documents)) == 8
        top, rest = documents[1:5], documents[5:]
        assert max(top) <= 6 < min(rest)
        # four of the six at the top; three of six, which are a third of those below
        by_hand = [0.0, *[log(6 / 4)] * 4, *[log(3 * 6 / 3)] * 3]
        assert one.corrections == pytest.approx(by_hand)
        assert one.offsets == pytest.approx([5.0, *(10 * scores[d - 1] for d in documents[1:])])
        assert one.relevant == 1


def test_several_relevant_texts_stand_in_a_list() -> None:
    lists = replace(packed(), positive_scores=np.array([0.5, 0.25] * 6, np.float16))
    source = ListSource(lists, SHARP, OPTIONS)
    counts = set()
    for one in (source.draw(1.0) for _ in range(40)):
        documents = [int(text[-1]) - 200 for text in one.texts]
        counts.add(one.relevant)
        assert len(set(documents)) == 8
        assert set(documents[: one.relevant]) <= {0, 13}
        assert not set(documents[one.relevant :]) & {0, 13}
        # one of two candidates stands for both; both stand for themselves
        assert one.corrections[0] == pytest.approx(log(2 / one.relevant))
    assert counts == {1, 2}


def test_a_list_may_have_more_relevant_texts_than_others() -> None:
    lists = replace(
        packed(),
        positives=ragged([[0, *range(9, 14)]] * 6, np.int32),
        positive_scores=np.full(36, 0.5, np.float16),
        negatives=ragged([list(range(1, 9))] * 6, np.int32),
        negative_scores=np.tile(np.linspace(1, 0, 8), 6).astype(np.float16),
        n_top=np.full(6, 4, np.uint8),
    )
    source = ListSource(lists, SHARP, replace(OPTIONS, relevant=6))
    drawn = {one.relevant: one for one in (source.draw(1.0) for _ in range(200))}
    assert set(drawn) == {1, 2, 3, 4, 5, 6}
    for count, one in drawn.items():
        documents = [int(text[-1]) - 200 for text in one.texts]
        assert len(set(documents)) == 8
        assert set(documents[count:]) <= set(range(1, 9))
        assert one.corrections[:count] == pytest.approx(log(6 / count))
        of_top = sum(document <= 4 for document in documents[count:])
        assert of_top == max(1, 5 - count)
        assert one.corrections[count : count + of_top] == pytest.approx(-log(of_top / 4))


def test_a_sentence_asks_for_the_rest_of_its_abstract_without_an_offset() -> None:
    source = ListSource(packed(), SHARP, DrawOptions(mixture={"sentence": (1, 1)}, varied=False))
    found = [source.draw(0.0) for _ in range(20)]
    assert not any(one.has_offset for one in found)
    assert {tuple(one.texts[0].tolist()) for one in found} <= {(100, 7, 8), (7, 8)}


def test_a_relevant_text_turned_round_stands_last_with_the_numbers_of_the_first() -> None:
    lists = replace(packed(), texts=ragged([[50 + 2 * (row % 2), row + 200] for row in range(14)]))
    source = ListSource(lists, SHARP, DrawOptions(mixture={"claim": (1, 1)}))
    found = [source.draw(0.0) for _ in range(300)]
    twisted = [one for one in found if one.twisted]
    # a third of the claims 50 and 52 find their word in text 0, which is [50, 200] with its title
    assert 0.05 < len(twisted) / len(found) < 0.2
    for one in twisted:
        assert one.texts[-1].tolist()[-2:] == [900, 200]
        assert one.offsets[-1] == one.offsets[0]
        assert one.corrections[-1] == one.corrections[0]
    assert not any(900 in one.texts[-1] for one in found if not one.twisted)


def test_unrelated_documents_stand_last_and_are_never_the_list_s_own() -> None:
    lists = replace(packed(), positives=ragged([[0], [13]] * 3, np.int32))
    lists = replace(lists, positive_scores=np.array([0.5] * 6, np.float16))
    options = DrawOptions(mixture={"claim": (1, 1)}, unrelated=2, varied=False)
    source = ListSource(lists, SHARP, options)
    for _ in range(20):
        one = source.draw(0.0)
        assert len(one.texts) == len(one.offsets) == len(one.corrections) == 7 + 1 + 2
        # of the other claims the relevant document is their own too: 13 is left
        assert [text[-1] for text in one.texts[-2:]] == [213, 213]
        assert one.offsets[-2:].tolist() == one.corrections[-2:].tolist() == [0, 0]
        assert one.relevant == 1


def test_lists_of_one_document_have_nothing_unrelated() -> None:
    source = ListSource(packed(), SHARP, DrawOptions(mixture={"claim": (1, 1)}, unrelated=1))
    with pytest.raises(TrainingError, match="kind claim has the documents of all others"):
        source.draw(0.0)


@pytest.mark.parametrize(("kind", "has_offset"), [("claim", True), ("sentence", False)])
def test_steps_have_lists_of_the_kinds_that_are_asked_for(kind: str, has_offset: bool) -> None:
    settings = Settings(seconds=60, lists=8, shares={kind: 1.0})
    for step in islice(steps(packed(), SHARP, settings, Clock.from_now(0, 60)), 3):
        assert (step.has_offset == has_offset).all()


def test_workers_share_the_lists_and_each_comes_before_one_comes_again() -> None:
    mixture = {"claim": (1.0, 1.0)}
    sources = [
        ListSource(
            packed(8), SHARP, DrawOptions(mixture=mixture, varied=False), worker=one, workers=2
        )
        for one in range(2)
    ]
    seen = [[int(source.draw(0).query[0]) for _ in range(4)] for source in sources]
    assert {*seen[0], *seen[1]} == {50, 52, 54, 56}
    assert set(seen[0]).isdisjoint(seen[1])
    assert set(seen[0][:2]) == set(seen[0][2:])


def test_a_continued_training_draws_others() -> None:
    def queries(stream: int) -> list[tuple[int, ...]]:
        source = ListSource(packed(40), SHARP, OPTIONS, stream=stream)
        return [tuple(int(t[-1]) for t in source.draw(0).texts) for _ in range(10)]

    assert queries(0) == queries(0)
    assert queries(0) != queries(7)


def test_lists_with_too_few_negatives_are_an_error() -> None:
    with pytest.raises(TrainingError, match="none of 6 lists has 13 negatives and a kind of the"):
        ListSource(packed(), SHARP, DrawOptions(top=8, rest=5))


def test_the_sharpness_counts_a_sampled_negative_for_all_it_stands_for() -> None:
    lists = packed(40)
    found = packed_sharpness(lists)
    assert set(found.by_kind) == {"claim", "sentence"}
    scores = np.array([0.5, *np.linspace(1, 0, 12)])
    weights = np.array([1.0] * 7 + [3.0] * 6)
    # the derivative of the logarithm of the likelihood is 0 there: expectation = observation
    shares = weights * np.exp(found.overall * scores)
    assert (shares * scores).sum() / shares.sum() == pytest.approx(0.5, abs=1e-3)


def test_pairs_are_cut_sorted_and_find_their_places() -> None:
    source = ListSource(packed(), SHARP, OPTIONS)
    lists = [source.draw(0.0) for _ in range(3)]
    step = make_step(lists, longest=6, size=5, cls_id=101, sep_id=102)
    assert sorted(np.concatenate([b.places for b in step.batches]).tolist()) == list(range(24))
    lengths = np.concatenate([batch.lengths for batch in step.batches])
    assert (np.diff(lengths) >= 0).all()
    assert lengths.max() <= 6
    for batch in step.batches:
        for ids, segments, length, place in zip(
            batch.ids, batch.segments, batch.lengths, batch.places, strict=True
        ):
            one = lists[place // 8]
            text = one.texts[place % 8][:2].tolist()
            whole = [101, *one.query.tolist(), 102, *text, 102]
            assert ids.tolist() == whole + [0] * (len(ids) - length)
            assert segments.tolist() == [0] * 3 + [1] * (length - 3) + [0] * (len(ids) - length)


def test_the_first_texts_of_each_list_are_the_pairs_of_shorter_lists() -> None:
    """Cutting each list to five texts after batching gives what batching five texts gives."""
    source = ListSource(packed(), SHARP, OPTIONS)
    lists = [source.draw(0.0) for _ in range(3)]
    for place, one in enumerate(lists):  # of lengths that mix the lists within a batch
        one.texts[:] = [np.arange(1 + (3 * i + place) % 7, dtype=np.uint16) for i in range(8)]
    five = [replace(one, texts=one.texts[:5]) for one in lists]
    found = {}
    for batch in make_step(lists, longest=12, size=4, cls_id=101, sep_id=102).batches:
        cut = batch.of_first(5, 8)
        assert cut.ids.shape == cut.segments.shape
        assert cut.ids.shape[1] == cut.lengths.max(initial=0)
        for ids, segments, length, place in zip(
            cut.ids, cut.segments, cut.lengths, cut.places, strict=True
        ):
            found[int(place)] = (ids[:length].tolist(), segments[:length].tolist())
    expected = {
        int(place): (ids[:length].tolist(), segments[:length].tolist())
        for batch in micro_batches(five, longest=12, size=99, ends=(101, 102))
        for ids, segments, length, place in zip(
            batch.ids, batch.segments, batch.lengths, batch.places, strict=True
        )
    }
    assert found == expected
    assert sorted(found) == list(range(15))
