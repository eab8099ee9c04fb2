"""What one step of the training of our own weights changes in a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from scisearch.benchmarks.science_training.contrast_loss import contrast_losses
from scisearch.benchmarks.science_training.distilling import student_losses
from scisearch.benchmarks.science_training.draw import packed_sharpness
from scisearch.benchmarks.science_training.fast_bert import load_fast_bert, lower_layers
from scisearch.benchmarks.science_training.learner import Learner, steps, with_twisted
from scisearch.benchmarks.science_training.micro_batches import Step
from scisearch.benchmarks.science_training.packed import read_packed
from scisearch.benchmarks.science_training.settings import Numbers
from scisearch.benchmarks.science_training.state import State
from scisearch.rerank.training.list_logits import ABSENT
from scisearch.rerank.training.soft_loss import soft_targets
from scisearch.tests.toy_science_training import ALWAYS, TINY

pytestmark = pytest.mark.slow


def test_a_step_is_the_formula_on_transformers_logits(
    packed_lists: Path, tiny_cross_encoder: Path
) -> None:
    from transformers import BertForSequenceClassification

    packed = read_packed(packed_lists)
    settings = replace(TINY, learning_rate=1e-9)
    step = next(steps(packed, packed_sharpness(packed), settings, ALWAYS))
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(None))
    learner = Learner(model, state, replace(settings, frozen=None))
    found = learner.logits(step)
    theirs = BertForSequenceClassification.from_pretrained(tiny_cross_encoder)
    theirs.eval()  # type: ignore[no-untyped-call]
    expected = torch.zeros(step.offsets.size)
    for batch in step.batches:
        mask = np.arange(batch.ids.shape[1])[None] < batch.lengths[:, None]
        tensors = [torch.from_numpy(x.astype(np.int64)) for x in (batch.ids, batch.segments, mask)]
        names = ("input_ids", "token_type_ids", "attention_mask")
        logits = theirs(**dict(zip(names, tensors, strict=True))).logits[:, 0]
        expected[torch.from_numpy(batch.places)] = logits
    expected = expected.view(found.shape)
    np.testing.assert_allclose(found.detach(), expected.detach(), atol=3e-6)
    told = learner.step(step, 0.05)
    assert told is not None
    loss = objective(expected, step)
    loss.backward()  # type: ignore[no-untyped-call]
    exponents = expected + torch.from_numpy(step.corrections)
    chances = (exponents.softmax(dim=1) * torch.from_numpy(step.relevant)).sum(dim=1)
    offset = torch.from_numpy(step.has_offset)
    alone = (-(chances.log() * offset).sum() / offset.sum()).detach()
    assert told.alone == pytest.approx(float(alone), abs=1e-5)
    ours, others = dict(model.named_parameters()), dict(theirs.named_parameters())
    for own, other in (
        ("output.weight", "classifier.weight"),
        ("words.weight", "bert.embeddings.word_embeddings.weight"),
        ("layers.0.wide.weight", "bert.encoder.layer.0.intermediate.dense.weight"),
    ):
        mine, wanted = ours[own].grad, others[other].grad
        assert mine is not None
        assert wanted is not None
        largest = float(wanted.abs().max())
        assert largest > 1e-7
        np.testing.assert_allclose(mine.numpy(), wanted.numpy(), atol=0.01 * largest)


def objective(logits: torch.Tensor, step: Step) -> torch.Tensor:
    """What a step makes smaller: the cross-entropy of soft targets and corrected logits."""
    targets = soft_targets(
        torch.from_numpy(step.offsets),
        torch.from_numpy(step.corrections),
        torch.from_numpy(step.relevant),
        has_offset=torch.from_numpy(step.has_offset),
        label_share=torch.from_numpy(step.label_shares),
    )
    targets = with_twisted(targets, torch.from_numpy(step.twisted))
    return torch.nn.functional.cross_entropy(logits + torch.from_numpy(step.corrections), targets)


def test_a_twisted_text_has_its_share_and_the_others_keep_theirs_among_themselves() -> None:
    targets = torch.tensor([[0.6, 0.2, 0.2], [0.5, 0.3, 0.2]])
    found = with_twisted(targets, torch.tensor([1.0, 0.0]))
    assert found[0].tolist() == pytest.approx([0.78 * 0.75, 0.78 * 0.25, 0.22])
    assert found[1].tolist() == pytest.approx([0.5, 0.3, 0.2])


def test_it_learns_and_bf16_learns_the_same(packed_lists: Path, tiny_cross_encoder: Path) -> None:
    packed = read_packed(packed_lists)
    fixed = steps(packed, packed_sharpness(packed), TINY, ALWAYS)
    first = next(fixed)
    found, learnt = {}, {}
    counts: dict[Numbers, int] = {"float32": 60, "bf16": 3}
    for numbers, count in counts.items():
        model = load_fast_bert(tiny_cross_encoder)
        state = State.of(model.learned(None))
        settings = replace(TINY, numbers=numbers, frozen=None)
        learner = Learner(model, state, settings)
        before = float(objective(learner.logits(first).detach(), first))
        losses = [learner.step(first, 0.5) for _ in range(count)]
        state.give(model.learned(None))
        learnt[numbers] = before - float(objective(learner.logits(first).detach(), first))
        assert all(losses)
        found[numbers] = [one.alone for one in losses if one is not None]
        assert state.weights.dtype == torch.float32
    assert learnt["float32"] > 0.5
    assert found["bf16"] == pytest.approx(found["float32"][:3], abs=0.1)


def test_unrelated_texts_fall_and_the_candidates_keep_their_order(
    packed_lists: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(packed_lists)
    settings = replace(TINY, frozen=None, unrelated=2, learning_rate=3e-3)
    drawn = steps(packed, packed_sharpness(packed), settings, ALWAYS)
    first = next(drawn)
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(None))
    learner = Learner(model, state, settings)
    before = learner.logits(first).detach()
    for _ in range(60):
        assert learner.step(first, 0.5) is not None
    state.give(model.learned(None))
    after = learner.logits(first).detach()

    def lead(logits: torch.Tensor) -> float:
        return float((logits[:, :-2].mean(dim=1) - logits[:, -2:].mean(dim=1)).mean())

    def among_candidates(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, :-2] - logits[:, :-2].mean(dim=1, keepdim=True)

    assert lead(after) > lead(before) + 1
    change = (among_candidates(after) - among_candidates(before)).abs().mean()
    assert float(change) < 0.3 * (lead(after) - lead(before))


def test_contrast_lists_are_learned_beside_the_others(
    packed_lists: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(packed_lists)
    settings = replace(TINY, frozen=None, contrasts=4, learning_rate=3e-3)
    first = next(steps(packed, packed_sharpness(packed), settings, ALWAYS))
    assert first.contrasts is not None
    assert len(first.contrasts.right) == 4
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(None))
    learner = Learner(model, state, settings)
    before = learner.contrast_logits(first.contrasts).detach()
    for _ in range(40):
        told = learner.step(first, 0.5)
        assert told is not None
        assert told.contrasts is not None
        assert 0 <= told.contrasts <= 1
    state.give(model.learned(None))
    after = learner.contrast_logits(first.contrasts).detach()
    right = torch.from_numpy(first.contrasts.right)
    short_before, short_after = (
        float(contrast_losses(logits, right, torch.ones(4)).mean()) for logits in (before, after)
    )
    assert short_after < 0.6 * short_before
    without = steps(packed, packed_sharpness(packed), TINY, ALWAYS)
    assert next(without).contrasts is None


def test_a_student_learns_what_its_teacher_says(
    packed_lists: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(packed_lists)
    settings = replace(TINY, frozen=0, unrelated=2, learning_rate=3e-3)
    first = next(steps(packed, packed_sharpness(packed), settings, ALWAYS))
    teacher = load_fast_bert(tiny_cross_encoder)
    with torch.no_grad():
        teacher.output.weight.mul_(30)  # an untrained one tells next to nothing apart
    student = lower_layers(load_fast_bert(tiny_cross_encoder), [1])
    state = State.of(student.learned(0))
    wanted = Learner(teacher, state, settings).logits(first).detach()
    learner = Learner(student, state, settings, teacher=teacher)
    apart = (learner.logits(first).detach() - wanted).square().mean()
    for _ in range(60):
        assert learner.step(first, 0.5) is not None
    state.give(student.learned(0))
    found = learner.logits(first).detach()
    assert float((found - wanted).square().mean()) < 0.3 * float(apart)
    assert float(torch.corrcoef(torch.stack([found.flatten(), wanted.flatten()]))[0, 1]) > 0.9


def test_what_a_student_lacks_of_its_teacher_is_order_scale_and_level() -> None:
    wanted = torch.tensor([[2.0, 0.0, -1.0], [1.0, -1.0, 7.0]])
    corrections = torch.tensor([[0.0, 0.5, 0.0], [0.0, 0.0, ABSENT]])

    def least(row: int, count: int) -> torch.Tensor:
        chances = (wanted + corrections)[row, :count].softmax(dim=0)
        return -(chances * chances.log()).sum()

    same = student_losses(wanted, wanted, corrections)
    torch.testing.assert_close(same, torch.stack([least(0, 3), least(1, 2)]))
    higher = student_losses(wanted + 3, wanted, corrections)
    torch.testing.assert_close(higher - same, torch.full((2,), 0.1 * 0.5 * 9))
    moved = wanted.clone()
    moved[1, 2] = -4  # where no text is, nothing is asked
    torch.testing.assert_close(student_losses(moved, wanted, corrections), same)
    wider = student_losses(2 * wanted, wanted, corrections) - same
    assert float(wider.min()) > 0.1 * 0.5 * 1  # the variance of the second list's logits, at least


def test_a_gradient_that_is_no_number_changes_nothing(
    packed_lists: Path, tiny_cross_encoder: Path
) -> None:
    packed = read_packed(packed_lists)
    step = next(steps(packed, packed_sharpness(packed), TINY, ALWAYS))
    step.corrections[0, 0] = np.nan
    model = load_fast_bert(tiny_cross_encoder)
    state = State.of(model.learned(1))
    before = state.weights.clone()
    assert Learner(model, state, TINY).step(step, 0.5) is None
    assert torch.equal(state.weights, before)
    assert state.counts.tolist() == [0, 0]
