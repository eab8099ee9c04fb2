"""A smaller vocabulary: only the tokens that the lists have, ids rewritten everywhere alike.

All single characters stay, alone and as continuations, so that a word whose token went is still
spelled from pieces.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

_BATCH = 1024
_FILES_OF_THE_OLD = ("vocab.txt", "special_tokens_map.json")
_CONFIG_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id")


def trim_vocabulary(folder: Path, model: "PreTrainedModel", texts: Iterable[str]) -> int:
    """Rewrite the tokenizer in `folder` and the model's embeddings; how many tokens are left.

    The ids keep their order. Texts of `texts` give the same tokens as before.

    Raises:
        ConfigError: the tokenizer is none of word pieces.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    saved: dict[str, Any] = json.loads(path.read_bytes())
    if saved["model"].get("type") != "WordPiece":
        raise ConfigError(
            f"the base's tokenizer is {saved['model'].get('type')}; only the vocabulary of a"
            " WordPiece tokenizer can be trimmed: train without --trim-vocabulary"
        )
    kept = _kept_ids(Tokenizer.from_file(str(path)), saved, texts)
    new_ids = {int(old): new for new, old in enumerate(kept)}
    _rewrite(saved, new_ids)
    path.write_text(json.dumps(saved, ensure_ascii=False), encoding="utf-8")
    _rewrite_settings(folder / "tokenizer_config.json", new_ids)
    for name in _FILES_OF_THE_OLD:
        (folder / name).unlink(missing_ok=True)
    _keep_embeddings(model, kept, new_ids)
    return len(kept)


def _kept_ids(
    tokenizer: "Tokenizer", saved: dict[str, Any], texts: Iterable[str]
) -> NDArray[np.int64]:
    """The ids that stay, rising."""
    tokenizer.no_truncation()
    tokenizer.no_padding()
    prefix = saved["model"].get("continuing_subword_prefix", "##")
    vocabulary: dict[str, int] = saved["model"]["vocab"]
    kept = {one["id"] for one in saved["added_tokens"]}
    kept.add(vocabulary[saved["model"]["unk_token"]])
    kept |= {number for token, number in vocabulary.items() if len(token.removeprefix(prefix)) == 1}
    for batch in _batches(texts):
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            kept.update(encoding.ids)
    return np.array(sorted(kept), np.int64)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while batch := list(islice(source, _BATCH)):
        yield [text.encode(errors="replace").decode() for text in batch]


def _rewrite(saved: dict[str, Any], new_ids: dict[int, int]) -> None:
    """Every id that tokenizer.json holds."""
    vocabulary: dict[str, int] = saved["model"]["vocab"]
    saved["model"]["vocab"] = {
        token: new_ids[number] for token, number in vocabulary.items() if number in new_ids
    }
    for added in saved["added_tokens"]:
        added["id"] = new_ids[added["id"]]
    _rewrite_processor(saved.get("post_processor") or {}, new_ids)
    if saved.get("padding"):
        saved["padding"]["pad_id"] = new_ids[saved["padding"]["pad_id"]]


def _rewrite_processor(processor: dict[str, Any], new_ids: dict[int, int]) -> None:
    """Ids of the tokens around a pair; a sequence of processors is walked."""
    for inner in processor.get("processors", []):
        _rewrite_processor(inner, new_ids)
    tokens = processor.get("special_tokens")
    if isinstance(tokens, dict):  # TemplateProcessing
        for token in tokens.values():
            token["ids"] = [new_ids[number] for number in token["ids"]]
    for name in ("sep", "cls"):  # BertProcessing: [token, id]
        if isinstance(processor.get(name), list):
            processor[name][1] = new_ids[processor[name][1]]


def _rewrite_settings(path: Path, new_ids: dict[int, int]) -> None:
    settings: dict[str, Any] = json.loads(path.read_bytes())
    decoder: dict[str, Any] | None = settings.get("added_tokens_decoder")
    if decoder:
        settings["added_tokens_decoder"] = {
            str(new_ids[int(number)]): token for number, token in decoder.items()
        }
    path.write_text(json.dumps(settings, indent=2, ensure_ascii=False), encoding="utf-8")


def _keep_embeddings(
    model: "PreTrainedModel", kept: Sequence[int] | NDArray[np.int64], new_ids: dict[int, int]
) -> None:
    import torch

    old: Any = model.get_input_embeddings()
    rows = old.weight.detach()[torch.as_tensor(np.asarray(kept))].clone()
    padding = None if old.padding_idx is None else new_ids[old.padding_idx]
    new = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=padding, _weight=rows)
    model.set_input_embeddings(new)
    model.config.vocab_size = len(rows)
    for name in _CONFIG_IDS:
        number = getattr(model.config, name, None)
        if number is not None:
            setattr(model.config, name, new_ids[number])
