"""The model a training starts from: found, checked, cut to size, written to one folder.

Heavy libraries are imported inside the functions.
"""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.models import ResolvedModel, resolve_model
from scisearch.index.quiet import quiet
from scisearch.rerank.training.recipe import Recipe
from scisearch.rerank.training.vocabulary import trim_vocabulary

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
)


def find_base(recipe: Recipe, *, offline: bool = False) -> ResolvedModel:
    """The base on this machine's disk: a cross-encoder, or any encoder with `new_head`.

    Raises:
        ModelError: it is not found, or is no cross-encoder with one output and no new head is
            asked for.
    """
    if recipe.new_head:
        return _any_model(recipe.base, offline=offline)
    try:
        model = resolve_model(recipe.base, offline=offline, kind="cross-encoder")
    except ModelError as error:
        if _is_encoder(recipe.base, offline=offline):
            raise ModelError(
                f"{recipe.base}: is an encoder without an output to score with; --new-head puts an"
                " untrained one on it, or name a cross-encoder with --base"
            ) from error
        raise
    labels = _labels(model.folder)
    if labels != 1:
        raise ModelError(
            f"{model.name}: has num_labels {labels}, expected a cross-encoder with num_labels 1;"
            " --new-head replaces its output by an untrained single one"
        )
    return model


def prepare_base(
    base: ResolvedModel, recipe: Recipe, folder: Path, texts: Iterable[str] = ()
) -> None:
    """Write the model that the training starts from into `folder`, in float32, with one output.

    A new head's weights come from the recipe's seed: the same recipe gives the same bytes. `texts`
    are those whose tokens a trimmed vocabulary keeps.

    Raises:
        ModelError: the model does not load, or has no layers that can be chosen from.
        ConfigError: a layer that it has not was asked for, or its vocabulary cannot be trimmed.
    """
    import torch

    torch.manual_seed(recipe.seed)
    model = _load(base, recipe)
    if recipe.layers is not None:
        keep_layers(model, recipe.layers)
    _new_activation(model)
    folder.mkdir(parents=True, exist_ok=True)
    _copy_tokenizer(_transformer_folder(base.folder), folder)
    if recipe.trim_vocabulary:
        trim_vocabulary(folder, model, texts)
    with quiet():
        model.save_pretrained(str(folder))


def keep_layers(model: "PreTrainedModel", layers: tuple[int, ...]) -> None:
    """Change the model to have only these layers, counted from 0, in this order.

    Raises:
        ModelError: its layers are not found.
        ConfigError: it has no such layer.
    """
    from torch import nn

    parent, name, found = layer_list(model)
    if max(layers) >= len(found):
        raise ConfigError(
            f"layers {', '.join(map(str, layers))}: the base has {len(found)};"
            f" expected numbers from 0 to {len(found) - 1}"
        )
    setattr(parent, name, nn.ModuleList([found[place] for place in layers]))
    model.config.num_hidden_layers = len(layers)


def freeze_layers(model: "PreTrainedModel", count: int) -> None:
    """Leave the embeddings and the `count` lowest layers as they are in training.

    Raises:
        ModelError: its layers are not found.
        ConfigError: it has no layer above them.
    """
    from torch import nn

    _, _, layers = layer_list(model)
    if count >= len(layers):
        raise ConfigError(
            f"freeze {count}: the model has {len(layers)} layers; expected 0 to {len(layers) - 1}"
        )
    body = model.base_model
    embeddings = getattr(body, "embeddings", None)
    if not isinstance(embeddings, nn.Module):
        embeddings = model.get_input_embeddings()
    for part in (embeddings, *layers[:count]):
        part.requires_grad_(False)


def layer_list(model: "PreTrainedModel") -> tuple["nn.Module", str, "nn.ModuleList"]:
    """The module that holds the layers, its attribute, and they."""
    from torch import nn

    expected = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == expected:
                return module, name, child
    raise ModelError(
        f"{model.config.name_or_path}: found no list of {expected} layers to choose from;"
        " train it without --layers"
    )


def _any_model(name: str, *, offline: bool) -> ResolvedModel:
    """A model of either kind."""
    try:
        return resolve_model(name, offline=offline, kind="bi-encoder")
    except ModelError as error:
        try:
            return resolve_model(name, offline=offline, kind="cross-encoder")
        except ModelError:
            raise error from None  # what is wrong with it as an encoder says more


def _is_encoder(name: str, *, offline: bool) -> bool:
    try:
        resolve_model(name, offline=offline, kind="bi-encoder")
    except ModelError:
        return False
    return True


def _load(base: ResolvedModel, recipe: Recipe) -> "PreTrainedModel":
    """The model in float32; only a new head may lack weights in its file."""
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = _transformer_folder(base.folder)
    options: dict[str, Any] = {"num_labels": 1, "dtype": torch.float32}
    if recipe.new_head:
        options["ignore_mismatched_sizes"] = True
    model: PreTrainedModel
    try:
        with quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                str(folder),
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # json, key, shape, pickle, safetensors errors of foreign files
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{base.name}: does not load as a cross-encoder ({line})") from error
    missing = sorted(map(str, report["missing_keys"]))
    if missing and not recipe.new_head:
        raise ModelError(
            f"{base.name}: its file has no weights for {', '.join(missing[:3])}; --new-head starts"
            " them untrained"
        )
    return model


def _new_activation(model: "PreTrainedModel") -> None:
    """Say in the config that the score is the raw logit, whatever the base said."""
    model.config.sentence_transformers = {
        "activation_fn": "torch.nn.modules.linear.Identity",
    }


def _transformer_folder(folder: Path) -> Path:
    """Where the transformer of a sentence-transformers chain is: mostly the folder itself."""
    try:
        modules = json.loads((folder / "modules.json").read_bytes())
        return folder / str(modules[0]["path"])
    except (OSError, ValueError, LookupError, TypeError):
        return folder


def _copy_tokenizer(source: Path, folder: Path) -> None:
    """The tokenizer's files as they are."""
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if not (folder / "tokenizer.json").is_file():
        raise ModelError(f"{source}: no tokenizer.json; expected a model with a fast tokenizer")


def _labels(folder: Path) -> int:
    """As transformers counts them: id2label, else num_labels, else 2."""
    config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    labels = config.get("id2label")
    return len(labels) if isinstance(labels, dict) else int(config.get("num_labels", 2))
