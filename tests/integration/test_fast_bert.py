"""The model that our weights are trained with, against transformers and torch's optimiser."""

from pathlib import Path

import numpy as np
import pytest
import torch

from scisearch.benchmarks.science_training.fast_bert import (
    FastBert,
    load_fast_bert,
    save_fast_bert,
)
from scisearch.benchmarks.science_training.state import State
from scisearch.index.errors import ModelError, TrainingError

pytestmark = pytest.mark.slow

IDS = torch.tensor([[2, 10, 11, 3, 20, 21, 22, 3], [2, 12, 3, 30, 3, 0, 0, 0]])
SEGMENTS = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 0, 0, 0]])
MASK = torch.tensor([[0.0] * 8, [0.0] * 5 + [-1e4] * 3])


def theirs(folder: Path) -> torch.Tensor:
    from transformers import BertForSequenceClassification

    model = BertForSequenceClassification.from_pretrained(folder).eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        found: torch.Tensor = model(
            input_ids=IDS, token_type_ids=SEGMENTS, attention_mask=(MASK == 0).long()
        ).logits[:, 0]
    return found


def test_its_logits_are_those_of_transformers(tiny_cross_encoder: Path) -> None:
    model = load_fast_bert(tiny_cross_encoder)
    with torch.no_grad():
        padded = model(IDS, SEGMENTS, MASK)
        whole = model(IDS[:1], SEGMENTS[:1])
        short = model(IDS[1:, :5].int(), SEGMENTS[1:, :5].int())
    expected = theirs(tiny_cross_encoder)
    np.testing.assert_allclose(padded, expected, atol=2e-6)
    np.testing.assert_allclose(torch.cat([whole, short]), expected, atol=2e-6)


def test_what_it_writes_transformers_reads(tiny_cross_encoder: Path, tmp_path: Path) -> None:
    model = load_fast_bert(tiny_cross_encoder)
    with torch.no_grad():
        for one in model.learned(None):
            one.add_(0.01)
        ours = model(IDS, SEGMENTS, MASK)
    save_fast_bert(model, tiny_cross_encoder, tmp_path / "m")
    np.testing.assert_allclose(theirs(tmp_path / "m"), ours, atol=2e-6)
    again = load_fast_bert(tmp_path / "m")
    for name, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    save_fast_bert(model, tiny_cross_encoder, tmp_path / "half", half=True)
    np.testing.assert_allclose(theirs(tmp_path / "half").float(), ours, atol=2e-3)


def test_a_bi_encoder_gets_an_output_of_the_seed(tiny_encoder: Path) -> None:
    one, two = (load_fast_bert(tiny_encoder, seed=seed) for seed in (1, 1))
    assert torch.equal(one.output.weight, two.output.weight)
    other = load_fast_bert(tiny_encoder, seed=2)
    assert not torch.equal(one.output.weight, other.output.weight)
    assert torch.equal(one.words.weight, other.words.weight)


def test_frozen_layers_have_no_gradient_and_the_others_the_same(tiny_cross_encoder: Path) -> None:
    def gradients(frozen: int | None) -> dict[str, torch.Tensor]:
        model: FastBert = load_fast_bert(tiny_cross_encoder)
        model(IDS, SEGMENTS, MASK, frozen=frozen).sum().backward()
        return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

    everything, upper = gradients(None), gradients(1)
    assert "words.weight" in everything
    assert "layers.0.wide.weight" in everything
    assert {name.split(".")[0] for name in upper} == {"layers", "pooled", "output"}
    assert not any(name.startswith("layers.0.") for name in upper)
    for name, value in upper.items():
        np.testing.assert_allclose(value, everything[name], atol=1e-6)


def test_a_folder_without_a_bert_is_named(tmp_path: Path, tiny_cross_encoder: Path) -> None:
    with pytest.raises(ModelError, match=r"has no config\.json of a BERT"):
        load_fast_bert(tmp_path)
    (tmp_path / "config.json").write_bytes((tiny_cross_encoder / "config.json").read_bytes())
    with pytest.raises(ModelError, match=r"its model\.safetensors cannot be read"):
        load_fast_bert(tmp_path)


def test_the_update_is_adamw(tmp_path: Path) -> None:
    torch.manual_seed(3)
    start, gradients = torch.randn(20), torch.randn(12, 20)
    parameter = torch.nn.Parameter(start.clone())
    theirs_ = torch.optim.AdamW([parameter], lr=0.02, weight_decay=0.1)
    ours = State.of([torch.nn.Parameter(start.clone())])
    seen = []
    for number, gradient in enumerate(gradients):
        parameter.grad = gradient.clone()
        theirs_.step()
        ours.update(gradient, rate=0.02, decay=0.1, average=number >= 2)
        if number + 1 in (5, 10):
            seen.append(ours.weights.clone())
        if number == 5:  # a continued training is the same one
            ours.save(tmp_path / "state", seconds=1.5, fingerprint="a")
            ours = State.of([torch.nn.Parameter(torch.zeros(20))])
            with pytest.raises(TrainingError, match="is of other lists, another base or other fr"):
                ours.resume(tmp_path / "state", fingerprint="b")
            assert ours.resume(tmp_path / "state", fingerprint="a") == 1.5
    np.testing.assert_allclose(ours.weights, parameter.detach(), atol=1e-6)
    np.testing.assert_allclose(ours.average, torch.stack(seen).mean(0), atol=1e-6)
