"""BERT for one logit, as fast as a processor or a GPU gives: the forward that we train with.

Three savings over the usual one: query, key and value are one product; the last layer is computed
for the first token only, since no other is read; a batch of one length has no mask. There is no
dropout. Equal to transformers' BertForSequenceClassification in evaluation
(tests/integration/test_fast_bert.py). Imports torch at the top: import it inside functions only.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from scisearch.index.errors import ModelError

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
)
_EMBEDDINGS = {
    "words": "word_embeddings",
    "positions": "position_embeddings",
    "segments": "token_type_embeddings",
    "norm": "LayerNorm",
}
_LAYER = {
    "mixed": "attention.output.dense",
    "mixed_norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "norm": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class BertShape:
    """The sizes of a BERT."""

    vocabulary: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int
    epsilon: float = 1e-12

    @classmethod
    def read(cls, folder: Path) -> "BertShape":
        """The sizes that a model's config.json states.

        Raises:
            ModelError: it cannot be read, or is no BERT with GELU.
        """
        try:
            config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
            if config["model_type"] != "bert" or config.get("hidden_act", "gelu") != "gelu":
                raise ModelError(
                    f"{folder}: is a {config['model_type']} with {config.get('hidden_act')},"
                    " expected bert with gelu"
                )
            return cls(
                vocabulary=config["vocab_size"],
                width=config["hidden_size"],
                layers=config["num_hidden_layers"],
                heads=config["num_attention_heads"],
                inner=config["intermediate_size"],
                positions=config["max_position_embeddings"],
                epsilon=config.get("layer_norm_eps", 1e-12),
            )
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder}: has no config.json of a BERT ({error})") from error


class Layer(nn.Module):
    """One layer: attention, then two products, each added to its input and normalised."""

    def __init__(self, shape: BertShape) -> None:
        """Untrained."""
        super().__init__()
        self.heads = shape.heads
        self.asked = nn.Linear(shape.width, 3 * shape.width)  # query, key and value
        self.mixed = nn.Linear(shape.width, shape.width)
        self.mixed_norm = nn.LayerNorm(shape.width, shape.epsilon)
        self.wide = nn.Linear(shape.width, shape.inner)
        self.narrow = nn.Linear(shape.inner, shape.width)
        self.norm = nn.LayerNorm(shape.width, shape.epsilon)

    def forward(self, x: Tensor, mask: Tensor | None, *, first_only: bool = False) -> Tensor:
        """(rows, tokens, width) to the same, or to (rows, 1, width) with `first_only`.

        `mask` (rows, tokens) is added to the exponents: 0, or very negative at padding.
        """
        read, found = (x[:, :1], self._first(x)) if first_only else (x, self._all(x))
        mixed = _attention(*found, mask).transpose(1, 2).reshape(read.shape)
        read = self.mixed_norm(read + self.mixed(mixed))
        changed: Tensor = self.norm(read + self.narrow(functional.gelu(self.wide(read))))
        return changed

    def _all(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.asked(x).chunk(3, dim=2)
        return self._scaled(query), self._headed(key), self._headed(value)

    def _first(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `_all`, the query of the first token only."""
        width = x.shape[2]
        weight, bias = self.asked.weight, self.asked.bias
        query = functional.linear(x[:, :1], weight[:width], bias[:width])
        key, value = functional.linear(x, weight[width:], bias[width:]).chunk(2, dim=2)
        return self._scaled(query), self._headed(key), self._headed(value)

    def _scaled(self, query: Tensor) -> Tensor:
        return self._headed(query) * (1 / math.sqrt(query.shape[2] // self.heads))

    def _headed(self, x: Tensor) -> Tensor:
        """(rows, tokens, width) to (rows, heads, tokens, width / heads)."""
        rows, tokens, width = x.shape
        return x.view(rows, tokens, self.heads, width // self.heads).transpose(1, 2).contiguous()


class FastBert(nn.Module):
    """The whole model; see the module's docstring."""

    def __init__(self, shape: BertShape) -> None:
        """Untrained, the output small, as transformers starts one."""
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width)
        self.segments = nn.Embedding(2, shape.width)
        self.norm = nn.LayerNorm(shape.width, shape.epsilon)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.pooled = nn.Linear(shape.width, shape.width)
        self.output = nn.Linear(shape.width, 1)
        nn.init.normal_(self.output.weight, std=0.02)
        nn.init.zeros_(self.output.bias)

    def states(self, ids: Tensor, segments: Tensor, mask: Tensor | None = None) -> Tensor:
        """The last layer's output for every token, (rows, tokens, width); arguments: `forward`."""
        x = self._embedded(ids, segments)
        for layer in self.layers:
            x = layer(x, mask)
        return x

    def forward(
        self,
        ids: Tensor,
        segments: Tensor,
        mask: Tensor | None = None,
        *,
        frozen: int | None = None,
    ) -> Tensor:
        """The logits (rows,) float32 of (rows, tokens) int32 or int64 ids and segments.

        `mask`: as `Layer` takes it. No gradient reaches the embeddings and the `frozen` lowest
        layers, which costs no backward pass; with None everything has one.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and frozen is None):
            x = self._embedded(ids, segments)
        for number, layer in enumerate(self.layers):
            learning = torch.is_grad_enabled() and (frozen is None or number >= frozen)
            with torch.set_grad_enabled(learning):
                x = layer(x, mask, first_only=number == len(self.layers) - 1)
        logits: Tensor = self.output(torch.tanh(self.pooled(x[:, 0]))).squeeze(-1)
        return logits.float()

    def _embedded(self, ids: Tensor, segments: Tensor) -> Tensor:
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.segments(segments)
        normed: Tensor = self.norm(x)
        return normed

    def learned(self, frozen: int | None) -> list[nn.Parameter]:
        """The parameters that a training with this `frozen` changes, in a fixed order."""
        if frozen is None:
            return list(self.parameters())
        parts = [*self.layers[frozen:], self.pooled, self.output]
        return [one for part in parts for one in part.parameters()]


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of (rows, heads, tokens, width) each, the query scaled; mask as `Layer` takes it.

    A GPU has one kernel for all of it; on a processor plain products are faster.
    """
    bias = None if mask is None else mask[:, None, None, :]
    if query.is_cuda:
        if bias is not None:
            bias = bias.expand(-1, query.shape[1], query.shape[2], -1)
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=1.0)
    exponents = query @ key.transpose(2, 3)
    if bias is not None:
        exponents = exponents + bias
    return torch.softmax(exponents, dim=-1) @ value


def load_fast_bert(folder: Path, *, seed: int = 42) -> FastBert:
    """The model of a Hugging Face folder in float32; a bi-encoder's gets an untrained output.

    Raises:
        ModelError: the folder holds no BERT, or not all of its weights.
    """
    torch.manual_seed(seed)
    model = FastBert(BertShape.read(folder))
    try:
        stored = load_file(folder / "model.safetensors")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder}: its model.safetensors cannot be read ({error})") from error
    found = {name.removeprefix("bert."): value.float() for name, value in stored.items()}
    state = dict(model.state_dict())
    try:
        for ours, theirs in _names(model.shape).items():
            state[ours] = torch.cat([found[name] for name in theirs])
    except KeyError as error:
        raise ModelError(f"{folder}: has no weights {error}, expected a BERT's") from error
    for name in ("weight", "bias"):
        if f"classifier.{name}" in found:
            state[f"output.{name}"] = found[f"classifier.{name}"]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1].strip()
        raise ModelError(f"{folder}: its weights do not fit ({line})") from error
    return model


def lower_layers(model: FastBert, layers: Sequence[int]) -> FastBert:
    """The same with some of its layers only, in their order: a student before it has learned."""
    found = FastBert(replace(model.shape, layers=len(layers)))
    state = model.state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith("layers.")}
    for number, layer in enumerate(layers):
        before = f"layers.{layer}."
        for name, value in state.items():
            if name.startswith(before):
                kept[f"layers.{number}.{name.removeprefix(before)}"] = value
    found.load_state_dict(kept)
    return found


def save_fast_bert(model: FastBert, base: Path, folder: Path, *, half: bool = False) -> None:
    """Write a Hugging Face folder that any library reads; tokenizer and sizes are those of `base`.

    The weights are written last and by rename. With `half` they are fp16.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)
    config = json.loads((base / "config.json").read_bytes())
    config |= {
        "architectures": ["BertForSequenceClassification"],
        "num_hidden_layers": model.shape.layers,
        "id2label": {"0": "LABEL_0"},
        "label2id": {"LABEL_0": 0},
        "dtype": "float16" if half else "float32",
        "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"},
    }
    config.pop("torch_dtype", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    state = model.state_dict()
    weights: dict[str, Tensor] = {}
    for ours, theirs in _names(model.shape).items():
        for name, part in zip(theirs, state[ours].chunk(len(theirs)), strict=True):
            weights[f"bert.{name}"] = part
    for name in ("weight", "bias"):
        weights[f"classifier.{name}"] = state[f"output.{name}"]
    dtype = torch.float16 if half else torch.float32
    cast = {name: value.detach().cpu().to(dtype).contiguous() for name, value in weights.items()}
    part = folder / "model.safetensors.part"
    save_file({name: value.clone() for name, value in cast.items()}, part, {"format": "pt"})
    part.replace(folder / "model.safetensors")


def _names(shape: BertShape) -> dict[str, list[str]]:
    """Our name of each tensor but the output's -> theirs, several where ours joins them."""
    found: dict[str, list[str]] = {}
    for ours, theirs in _EMBEDDINGS.items():
        for name in ("weight", "bias") if ours == "norm" else ("weight",):
            found[f"{ours}.{name}"] = [f"embeddings.{theirs}.{name}"]
    for layer in range(shape.layers):
        for name in ("weight", "bias"):
            at = f"encoder.layer.{layer}"
            found[f"layers.{layer}.asked.{name}"] = [
                f"{at}.attention.self.{one}.{name}" for one in ("query", "key", "value")
            ]
            for ours, theirs in _LAYER.items():
                found[f"layers.{layer}.{ours}.{name}"] = [f"{at}.{theirs}.{name}"]
    for name in ("weight", "bias"):
        found[f"pooled.{name}"] = [f"pooler.dense.{name}"]
    return found
