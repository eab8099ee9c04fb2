"""What a GPU does in a training of our own weights, on a processor and a tiny corpus."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from scisearch.benchmarks.science_training.__main__ import main
from scisearch.benchmarks.science_training.draw import DrawnList
from scisearch.benchmarks.science_training.fast_bert import load_fast_bert
from scisearch.benchmarks.science_training.gpu.drawing import Asked, Asking, Drawing
from scisearch.benchmarks.science_training.gpu.learning import Course, scored
from scisearch.benchmarks.science_training.gpu.mining import Mined, mine, mined_sharpness
from scisearch.benchmarks.science_training.gpu.token_store import TokenStore, pair_arrays
from scisearch.benchmarks.science_training.gpu.vectors import document_vectors, query_vectors
from scisearch.benchmarks.science_training.micro_batches import micro_batches
from scisearch.benchmarks.science_training.mixtures import GPU_MIXTURE, Mixture, with_shares
from scisearch.benchmarks.science_training.packed import PackedLists, read_packed
from scisearch.benchmarks.science_training.settings import Settings
from scisearch.rerank.training.list_logits import ABSENT
from scisearch.tests.toy_science_training import ALWAYS

pytestmark = pytest.mark.slow

SETTINGS = Settings(
    seconds=3,
    numbers="float32",
    lists=6,
    micro_batch=400,
    frozen=0,
    learning_rate=2e-3,
    longest=((40, 1.0),),
)
NEARLY = 0.99999  # the tiny encoder's vectors are all alike


@pytest.fixture(scope="module")
def large(tiny_corpora: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packed file of a large preparation of the tiny corpora, by the command."""
    output = tmp_path_factory.mktemp("large")
    call = ["prepare", str(tiny_corpora / "corpora"), "-o", str(output), "--large"]
    call += ["--collections", str(tiny_corpora / "collections"), "--tokenizer", str(bert_folder)]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return output / "packed.npz"


@pytest.fixture(scope="module")
def packed(large: Path) -> PackedLists:
    return read_packed(large)


@pytest.fixture(scope="module")
def vectors(packed: PackedLists, tiny_encoder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the documents and of the queries."""
    store, model = TokenStore.of(packed, "cpu"), load_fast_bert(tiny_encoder)
    flat = torch.from_numpy(packed.queries.values.astype(np.int32))
    starts = torch.from_numpy(packed.queries.starts)
    return document_vectors(model, store, len(packed.titles)), query_vectors(
        model, store, flat, starts
    )


@pytest.fixture(scope="module")
def mined(packed: PackedLists, vectors: tuple[torch.Tensor, torch.Tensor]) -> Mined:
    return mine(packed, *vectors, same_work=NEARLY)


def asked(packed: PackedLists, mixture: Mixture = GPU_MIXTURE) -> Asked:
    return next(iter(Asking(packed, ALWAYS, lists=12, seed=5, mixture=mixture)))


def test_queries_are_of_the_kinds_of_the_mixture(packed: PackedLists) -> None:
    rows = asked(packed, with_shares(GPU_MIXTURE, {"title": 0.6, "citation": 0.4})).rows
    assert {packed.kinds[kind] for kind in packed.kind[rows]} == {"title", "citation"}


def test_vectors_are_those_of_sentence_transformers(
    packed: PackedLists, vectors: tuple[torch.Tensor, torch.Tensor], tiny_encoder: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(tiny_encoder), device="cpu")
    words: Any = theirs[0]
    for row in (0, len(packed.titles) // 2, len(packed.titles) - 1):
        inputs = torch.tensor([[2, *packed.document(row).tolist()[:62], 3]])  # its 64 positions
        found = words.auto_model(input_ids=inputs, attention_mask=torch.ones_like(inputs))
        mean = torch.nn.functional.normalize(found.last_hidden_state.mean(dim=1), dim=1)[0]
        np.testing.assert_allclose(vectors[0][row].float(), mean.detach(), atol=2e-3)


def test_candidates_are_of_the_lists_corpus_best_first_and_not_relevant(
    packed: PackedLists, mined: Mined, vectors: tuple[torch.Tensor, torch.Tensor]
) -> None:
    questions = {"question", "qkeywords", "claim", "definition"}
    of_corpus: dict[int, set[str]] = {}
    for row in range(len(packed)):
        kind = packed.kinds[packed.kind[row]]
        corpus = "scifact" if kind == "scifact" else "q" if kind in questions else "papers"
        for document in (*packed.of_positives(row)[0], *packed.of_negatives(row)[0]):
            of_corpus.setdefault(int(document), set()).add(corpus)
    assert all(len(found) == 1 for found in of_corpus.values())
    for row in range(len(packed)):
        found = mined.negatives[row]
        there = found[found >= 0].tolist()
        positives, _ = packed.of_positives(row)
        assert there
        assert len(set(there)) == len(there)
        assert not set(there) & set(positives.tolist())
        assert int(packed.asking[row]) not in there
        assert len({*of_corpus[there[0]].union(*(of_corpus[one] for one in there))}) == 1
        scores = mined.scores[row, : len(there)].float().numpy()
        assert (np.diff(scores) <= 0).all()
        assert (scores >= 0).all()
        assert (scores <= 1).all()
        # another copy of a relevant text is no negative
        cosines = vectors[0][there].float() @ vectors[0][positives].float().T
        assert float(cosines.max()) <= NEARLY + 1e-3


def test_a_fused_score_is_the_formula(
    packed: PackedLists, mined: Mined, vectors: tuple[torch.Tensor, torch.Tensor]
) -> None:
    row = int(np.flatnonzero(packed.kind == packed.kinds.index("scifact"))[0])
    own = {
        int(document)
        for other in np.flatnonzero(packed.kind == packed.kinds.index("scifact")).tolist()
        for document in (*packed.of_positives(other)[0], *packed.of_negatives(other)[0])
    }
    members = sorted(own)
    cosines = (vectors[0][members].float() @ vectors[1][row].float()).numpy()
    ranked = np.sort(cosines)[::-1]
    low, high = ranked[min(100, len(ranked)) - 1], ranked[0]
    weight = (high - ranked[min(10, len(ranked)) - 1]) / 0.12
    lexical = dict(zip(*(x.tolist() for x in packed.of_negatives(row)), strict=True))
    lexical |= dict(zip(*(x.tolist() for x in packed.of_positives(row)), strict=True))
    fused = {
        document: (lexical.get(document, 0.0) + weight * (cosine - low) / (high - low))
        / (1 + weight)
        for document, cosine in zip(members, cosines.tolist(), strict=True)
    }
    best = max(fused.values())
    for document, score in zip(
        mined.negatives[row].tolist(), mined.scores[row].tolist(), strict=True
    ):
        if document >= 0:
            assert score == pytest.approx(fused[document] / best, abs=6e-3)


def test_a_sentence_asks_for_its_abstract_without_it(packed: PackedLists, mined: Mined) -> None:
    store = TokenStore.of(packed, "cpu")
    drawing = Drawing(packed, store, mined, mined_sharpness(packed, mined, seed=1))
    rows = np.flatnonzero(packed.kind == packed.kinds.index("sentence"))[:4]
    ids = np.ones((len(rows), 3), np.int32)
    step = Asked(rows, ids, np.full(len(rows), 3), np.ones(len(rows), bool), seed=9)
    drawn = drawing.draw(step)
    texts = drawn.there.shape[1]
    for place, row in enumerate(rows.tolist()):
        positive = int(packed.of_positives(row)[0][0])
        begin = int(drawn.pairs.start[place * texts])
        length = int(drawn.pairs.length[place * texts])
        whole = np.concatenate([packed.titles[positive], packed.instead[row]])
        found = store.tokens[begin : begin + length].numpy()
        # cut perhaps, or from within
        assert any(
            (whole[at : at + length] == found).all() for at in range(len(whole) - length + 1)
        )
    assert (drawn.has_offset == 0).all()
    assert (drawn.relevant.sum(dim=1) == 1).all()


def test_a_drawn_list_is_of_its_lists_texts(packed: PackedLists, mined: Mined) -> None:
    store = TokenStore.of(packed, "cpu")
    drawing = Drawing(packed, store, mined, mined_sharpness(packed, mined, seed=1))
    step = asked(packed)
    drawn, again = drawing.draw(step), drawing.draw(step)
    assert torch.equal(drawn.pairs.start, again.pairs.start)
    assert (drawn.corrections[~drawn.there] == ABSENT).all()
    assert (drawn.corrections[drawn.there] >= 0).all()
    assert drawn.relevant[~drawn.there].sum() == 0
    assert ((drawn.relevant.sum(dim=1) >= 1) & (drawn.relevant.sum(dim=1) <= 3)).all()
    ends = {int(end) for end in (store.starts + store.lengths).tolist()}
    starts = drawn.pairs.start.view(drawn.there.shape)
    lengths = drawn.pairs.length.view(drawn.there.shape)
    whole = starts + lengths
    untouched = [int(end) in ends for end in whole[drawn.there].tolist()]
    assert sum(untouched) > len(untouched) / 3


def test_a_drawn_list_has_as_many_relevant_texts_as_it_may(
    packed: PackedLists, mined: Mined
) -> None:
    store, sharpness = TokenStore.of(packed, "cpu"), mined_sharpness(packed, mined, seed=1)
    step = asked(packed)
    one = Drawing(packed, store, mined, sharpness, relevant=1).draw(step)
    five = Drawing(packed, store, mined, sharpness, relevant=5).draw(step)
    assert five.there.shape[1] == one.there.shape[1] + 4
    assert (one.relevant.sum(dim=1) == 1).all()
    n_positives = torch.from_numpy(np.diff(packed.positives.starts)[step.rows])
    assert (five.relevant.sum(dim=1) <= n_positives.clamp(max=5)).all()
    assert five.relevant.sum() > one.relevant.sum()


def test_unrelated_texts_stand_last_and_answer_another_list(
    packed: PackedLists, mined: Mined
) -> None:
    store = TokenStore.of(packed, "cpu")
    drawing = Drawing(packed, store, mined, mined_sharpness(packed, mined, seed=1))
    step = asked(packed)
    drawn = drawing.draw(step)
    assert drawn.there.shape[1] == 3 + 6 + 5 + 2
    assert drawn.there[:, -2:].float().mean() > 0.5
    assert (drawn.relevant[:, -2:] == 0).all()
    assert (drawn.offsets[:, -2:] == 0).all()
    assert (drawn.corrections[:, -2:][drawn.there[:, -2:]] == 0).all()
    document_of = {int(begin): number for number, begin in enumerate(store.starts.tolist())}
    starts = drawn.pairs.start.view(drawn.there.shape)
    for place, row in enumerate(step.rows.tolist()):
        own = set(packed.of_positives(row)[0].tolist())
        for text in (-2, -1):
            document = document_of.get(int(starts[place, text]))  # None: without its title
            assert not drawn.there[place, text] or document not in own


def test_pairs_are_put_together_as_on_a_processor(packed: PackedLists, mined: Mined) -> None:
    store = TokenStore.of(packed, "cpu")
    drawing = Drawing(packed, store, mined, mined_sharpness(packed, mined, seed=1))
    step = asked(packed)
    pairs = drawing.draw(step).pairs.cut(40)
    ids, segments, mask = pair_arrays(store, pairs, int(pairs.totals().max()))
    for place in range(0, len(ids), 7):
        asking = place // 16  # texts of a list
        query = step.ids[asking][: step.lengths[asking]].astype(np.uint16)
        begin, length = int(pairs.start[place]), int(pairs.length[place])
        text = store.tokens[begin : begin + length].numpy().astype(np.uint16)
        none = np.zeros(1, np.float32)
        one = DrawnList("x", query, [text], none, none, True, 1, 0.5)
        batch = next(micro_batches([one], longest=40, size=1, ends=(store.cls_id, store.sep_id)))
        wide = batch.ids.shape[1]
        np.testing.assert_array_equal(ids[place, :wide].numpy(), batch.ids[0])
        np.testing.assert_array_equal(segments[place, :wide].numpy(), batch.segments[0])
        assert (ids[place, wide:] == 0).all()
        assert (mask[place, :wide] == 0).all()
        assert (mask[place, wide:] < -1000).all()


def test_logits_are_transformers_ones(
    packed: PackedLists, mined: Mined, tiny_cross_encoder: Path, tmp_path: Path
) -> None:
    from transformers import BertForSequenceClassification

    store = TokenStore.of(packed, "cpu")
    drawing = Drawing(packed, store, mined, mined_sharpness(packed, mined, seed=1))
    drawn = drawing.draw(asked(packed))
    drawn = replace(drawn, pairs=drawn.pairs.cut(40))
    course = Course(packed, store, drawing, SETTINGS, tmp_path / "log")
    found, count = scored(load_fast_bert(tiny_cross_encoder), course, drawn)
    assert count == int(drawn.there.sum())
    theirs = BertForSequenceClassification.from_pretrained(tiny_cross_encoder)
    theirs.eval()  # type: ignore[no-untyped-call]
    ids, segments, mask = pair_arrays(store, drawn.pairs, 40)
    logits = theirs(
        input_ids=ids, token_type_ids=segments, attention_mask=(mask == 0).long()
    ).logits
    expected = torch.where(drawn.there, logits.view(found.shape), 0.0)
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=3e-6)


def test_a_course_writes_a_model_and_its_sibling(
    large: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    output = tmp_path / "out"
    call = ["learn", str(large), "--base", str(tiny_encoder), "-o", str(output), "--device", "cpu"]
    call += ["--minutes", "0.05", "--sibling-minutes", "0.03", "--sibling-layers", "1"]
    call += ["--lists", "6", "--precision", "float32", "--learning-rate", "2e-3"]
    call += ["--same-work", str(NEARLY), "--share-of", "question", "0.5"]
    call += ["--relevant", "4"]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads((output / "course.json").read_text())
    assert told["steps"] > 1
    assert told["settings"]["shares"] == {"question": 0.5}
    assert told["settings"]["relevant"] == 4
    assert set(told["sha256"]) == {"model", "sibling"}
    for name, layers in (("model", 2), ("sibling", 1)):
        model = AutoModelForSequenceClassification.from_pretrained(output / name)
        assert model.config.num_hidden_layers == layers
        assert model.config.num_labels == 1
    log = (output / "train.log").read_text()
    assert "candidates:" in log
    assert "alone" in log


@pytest.mark.parametrize("more", [["--share", "0.5"], ["--no-dense"], ["--encoder", "x"]])
def test_a_large_preparation_leaves_no_option_unsaid(more: list[str], tmp_path: Path) -> None:
    call = ["prepare", str(tmp_path), "--collections", str(tmp_path), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, [*call, "--large", "--tokenizer", str(tmp_path), *more])
    assert done.exit_code == 1
    assert "large preparation: found a share or an encoder too, expected neither" in done.output
