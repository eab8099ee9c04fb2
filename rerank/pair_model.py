"""What a cross-encoder's folder says about its input, read without torch.

The same for every runtime: one output, its tokenizer, the pair template, the longest input.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.models import ResolvedModel
from scisearch.index.tokenizer import TextTokenizer, read_tokenizer
from scisearch.index.weights import check_model_folder
from scisearch.rerank.pairs import PairTemplate, pair_template

_DEFAULT_MAX_LENGTH = 512  # where neither the tokenizer nor the model says
_ENDLESS = 1_000_000  # transformers writes 1e30 for "no limit"
# Their positions count from pad_token_id + 1, so max_position_embeddings is that much too high.
_OFFSET_POSITIONS = {
    "camembert",
    "data2vec-text",
    "longformer",
    "mpnet",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
    "xmod",
}


@dataclass(frozen=True, slots=True, eq=False)
class PairModel:
    """How texts become the input of one cross-encoder."""

    name: str
    folder: Path
    tokenizer: TextTokenizer
    template: PairTemplate
    pad_id: int
    max_length: int  # ids of a pair, special tokens included
    has_segments: bool  # whether token_type_ids go into the model

    @property
    def room(self) -> int:
        """How many ids query and document may have together."""
        return self.max_length - self.template.n_special


def read_pair_model(model: ResolvedModel | Path, *, max_length: int | None = None) -> PairModel:
    """Read a cross-encoder's folder. `max_length` None is the longest input the model allows.

    Raises:
        ModelError: the folder holds no cross-encoder with one output, or no usable tokenizer.
        ConfigError: `max_length` is too small for a pair, or larger than the model's.
    """
    name, folder = (str(model), model) if isinstance(model, Path) else (model.name, model.folder)
    check_model_folder(folder, "cross-encoder")
    config = _read_json(folder / "config.json")
    _check_one_label(name, config)
    _check_plain(name, folder)
    settings = _read_json(folder / "tokenizer_config.json")
    tokenizer = read_tokenizer(folder)
    template = pair_template(tokenizer, folder)
    pad_id = _pad_id(config, tokenizer.token_to_id(_pad_token(settings)))
    longest = _longest(config, settings, pad_id)
    return PairModel(
        name=name,
        folder=folder,
        tokenizer=TextTokenizer(tokenizer),
        template=template,
        pad_id=pad_id,
        max_length=_checked_length(name, max_length, longest, template.n_special),
        has_segments=template.has_segments and _takes_segments(config, settings),
    )


def _check_one_label(name: str, config: dict[str, Any]) -> None:
    """As transformers counts them: id2label, else num_labels, else 2."""
    labels = config.get("id2label")
    found = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)
    if found != 1:
        raise ModelError(
            f"{name}: has num_labels {found}, expected a cross-encoder with num_labels 1;"
            " a classifier with several labels gives no single relevance score"
        )


def _check_plain(name: str, folder: Path) -> None:
    """Refuse what sentence-transformers would do around the classifier and we do not."""
    modules = _read_json(folder / "modules.json", default=[{"path": ""}])
    if len(modules) != 1 or modules[0].get("path") != "":
        raise ModelError(
            f"{name}: is a chain of {len(modules)} sentence-transformers modules, expected one"
            " sequence-classification model in the folder itself"
        )
    prompt = _read_json(folder / "config_sentence_transformers.json").get("default_prompt_name")
    if prompt is not None:
        raise ModelError(
            f"{name}: puts the prompt {prompt!r} before its inputs, which is not supported;"
            " expected a cross-encoder that reads plain pairs"
        )


def _longest(config: dict[str, Any], settings: dict[str, Any], pad_id: int) -> int:
    """The smaller of what the tokenizer cuts at and how many positions the model has."""
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and config.get("model_type") in _OFFSET_POSITIONS:
        positions -= pad_id + 1
    limits = (settings.get("model_max_length"), positions)
    known = [int(n) for n in limits if isinstance(n, (int, float)) and 0 < n < _ENDLESS]
    return min(known, default=_DEFAULT_MAX_LENGTH)


def _checked_length(name: str, wanted: int | None, longest: int, n_special: int) -> int:
    length = longest if wanted is None else wanted
    if not n_special + 2 <= length <= longest:
        raise ConfigError(
            f"{name}: max_length {length}; expected {n_special + 2} to {longest} tokens"
        )
    return length


def _pad_token(settings: dict[str, Any]) -> str:
    token = settings.get("pad_token") or ""
    return str(token["content"] if isinstance(token, dict) else token)


def _pad_id(config: dict[str, Any], of_tokenizer: int | None) -> int:
    """The model's pad id: RoBERTa's positions depend on it. Padding is masked otherwise."""
    found = config.get("pad_token_id")
    return int(found if isinstance(found, int) else of_tokenizer or 0)


def _takes_segments(config: dict[str, Any], settings: dict[str, Any]) -> bool:
    names = settings.get("model_input_names", ["token_type_ids"])
    return "token_type_ids" in names and int(config.get("type_vocab_size") or 0) > 1


def _read_json(path: Path, default: Any = None) -> Any:
    if not path.is_file():
        return {} if default is None else default
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: {error}; expected JSON; fetch the model again") from error
