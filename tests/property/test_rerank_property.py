"""What holds for any candidates: nothing is lost, nothing depends on the neighbours."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers import AutoTokenizer

from scisearch.index.tokenizer import TextTokenizer, read_tokenizer
from scisearch.rerank.batches import Batch, plan_batches
from scisearch.rerank.document_tokens import TextTokens
from scisearch.rerank.interpolation import NORMALISATIONS, Interpolation, Normalisation
from scisearch.rerank.pair_model import PairModel
from scisearch.rerank.pairs import pair_template
from scisearch.rerank.passages import LONG_DOCUMENTS, LongDocuments, passage_windows
from scisearch.rerank.scoring import PairScorer, Pending
from scisearch.retrieval.ranking import rank

TEXT = st.text(max_size=60) | st.lists(
    st.sampled_from(["mice", "β-catenin", "[SEP]", "</s>", "folding", "naïve", "100", "-"]),
    max_size=40,
).map(" ".join)


class SumRuntime:
    """A model whose logit is a sum over the ids of a row that are not padding."""

    def __init__(self, batch_tokens: int, in_flight: int = 1, length_step: int = 1) -> None:
        self.batch_tokens = batch_tokens
        self.in_flight, self.length_step = in_flight, length_step
        self.rows: list[int] = []
        self.widths: list[int] = []
        self.started = self.most_started = 0

    def start(self, batch: Batch) -> Pending:
        self.rows.append(len(batch))
        self.widths.append(batch.input_ids.shape[1])
        self.started += 1
        self.most_started = max(self.most_started, self.started)
        weights = batch.attention_mask * (1 + batch.token_type_ids)
        logits = np.asarray(np.sum(batch.input_ids * weights, axis=1), np.float32)

        def wait() -> NDArray[np.float32]:
            self.started -= 1
            return logits

        return wait


def pair_model(folder: Path, max_length: int = 24) -> PairModel:
    tokenizer = read_tokenizer(folder)
    template = pair_template(tokenizer, folder)
    return PairModel(
        name="sum",
        folder=folder,
        tokenizer=TextTokenizer(tokenizer),
        template=template,
        pad_id=1,
        max_length=max_length,
        has_segments=True,
    )


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_pairs_are_those_of_transformers(
    kind: str, bert_folder: Path, roberta_folder: Path
) -> None:
    folder = {"bert": bert_folder, "roberta": roberta_folder}[kind]
    model = pair_model(folder)
    reference = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    @settings(deadline=None)
    @given(TEXT, TEXT, st.integers(6, 40))
    def check(query: str, document: str, max_length: int) -> None:
        expected = reference(
            [query],  # in lists, since a single empty document counts as none
            [document],
            truncation="longest_first",
            max_length=max_length,
            return_token_type_ids=True,
        )
        query_ids, document_ids = model.tokenizer.encode([query, document])
        pair = model.template.assemble(query_ids, document_ids, max_length)
        assert pair.ids.tolist() == expected["input_ids"][0]
        assert pair.type_ids.tolist() == expected["token_type_ids"][0]
        whole = reference([query], [document], truncation=False)["input_ids"][0]
        assert pair.dropped == len(whole) - len(pair.ids)

    check()


@pytest.mark.parametrize("long", LONG_DOCUMENTS)
def test_a_score_depends_on_its_pair_alone(long: LongDocuments, bert_folder: Path) -> None:
    model = pair_model(bert_folder)

    @settings(deadline=None)
    @given(st.lists(TEXT, min_size=1, max_size=8), st.lists(TEXT, max_size=4), st.data())
    def check(texts: list[str], queries: list[str], data: st.DataObject) -> None:
        ordinals = st.lists(st.integers(0, len(texts) - 1), unique=True)
        candidates = [np.array(data.draw(ordinals), np.int64) for _ in queries]
        documents = TextTokens(model.tokenizer, lambda asked: [texts[i] for i in asked])
        whole = st.integers
        runtime = SumRuntime(*(data.draw(whole(1, most)) for most in (200, 4, 9)))
        finished: list[int] = []
        scorer = PairScorer(model, documents, runtime, long)
        together = scorer.score(queries, candidates, on_progress=finished.append)
        alone = PairScorer(model, documents, SumRuntime(1), long)
        for query, ones, logits, dropped in zip(
            queries, candidates, together.logits, together.dropped, strict=True
        ):
            for place, ordinal in enumerate(ones):
                single = alone.score([query], [np.array([ordinal])])
                assert single.logits[0][0] == logits[place]
                assert single.dropped[0][0] == dropped[place]
        assert together.pairs == sum(finished) == sum(map(len, candidates))
        assert runtime.started == 0
        assert runtime.most_started <= runtime.in_flight
        steps = [
            width % runtime.length_step for width in runtime.widths if width < model.max_length
        ]
        assert not any(steps)

    check()


@given(st.lists(st.integers(1, 600), max_size=60), st.integers(1, 5000))
def test_every_pair_is_in_one_batch_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = list(plan_batches(np.array(lengths, np.int64), lambda: budget))
    assert sorted(i for rows in batches for i in rows) == list(range(len(lengths)))
    assert all(len(rows) == 1 or len(rows) * lengths[rows[0]] <= budget for rows in batches)


@given(st.integers(0, 3000), st.integers(1, 500), st.data())
def test_windows_cover_all_and_are_alike(length: int, width: int, data: st.DataObject) -> None:
    windows = passage_windows(length, width, stride=data.draw(st.integers(1, width)))
    assert windows[0][0] == 0
    assert windows[-1][1] == length
    assert all(after[0] <= before[1] for before, after in pairwise(windows))
    assert len(set(windows)) == len(windows)
    assert {end - begin for begin, end in windows} == {min(width, length)}


@given(
    st.lists(st.tuples(*[st.floats(-30, 30, width=32)] * 2), max_size=20),
    st.floats(0, 1),
    st.sampled_from(NORMALISATIONS),
)
def test_interpolation_permutes_the_candidates(
    pairs: list[tuple[float, float]], weight: float, normalisation: Normalisation
) -> None:
    id_rank = np.arange(len(pairs), dtype=np.int32)[::-1].copy()
    fused = rank(np.arange(len(pairs)), np.array([f for f, _ in pairs], np.float32), id_rank)
    logits = np.array([ce for _, ce in pairs], np.float32)[fused.ordinals]
    final = Interpolation(weight, normalisation).interpolate(fused, logits, id_rank)
    assert sorted(final.ordinals.tolist()) == list(range(len(pairs)))
    assert np.isfinite(final.scores).all()
    keys = list(zip(-final.scores, id_rank[final.ordinals], strict=True))
    assert keys == sorted(keys)
