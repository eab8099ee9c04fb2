"""The bi-encoder on ONNX Runtime: texts in, unit vectors out, without PyTorch.

Supports what most sentence-transformers models are: one transformer, mean or first-token pooling,
normalised or not. The others are left to sentence-transformers (index/encoder.py).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scisearch.index.encoder import SentenceTransformerEncoder, Vectors
from scisearch.index.models import ResolvedModel
from scisearch.index.onnx_drift import vector_drift
from scisearch.index.onnx_prepare import Trial, UnsupportedModel
from scisearch.index.onnx_sample import sample_texts
from scisearch.index.onnx_session import Floats, OnnxModel, TokenRow
from scisearch.index.onnx_store import Stored
from scisearch.index.tokenizer import read_tokenizer

Pooling = Literal["mean", "cls"]

# Rows of tokens in memory at a time; longest first among them, so that the cores end together.
_GROUP_TEXTS = 512


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """What a bi-encoder's folder says about its input and output."""

    folder: Path
    pooling: Pooling
    max_tokens: int  # of a text, special tokens included
    has_segments: bool


def read_sentence_model(folder: Path) -> SentenceModel:
    """Read the files around the weights.

    Raises:
        UnsupportedModel: it is more than a transformer, mean or first-token pooling, normalised.
    """
    modules = _json(folder / "modules.json")
    kinds = [str(one.get("type", "")).rpartition(".")[2] for one in modules or []]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise UnsupportedModel(f"its modules are {', '.join(kinds) or 'not named'}")
    if str(modules[0].get("path", "")) != "":
        raise UnsupportedModel("its transformer is in a folder of its own")
    around = _json(folder / "config_sentence_transformers.json")
    if any((around.get("prompts") or {}).values()) or around.get("default_prompt_name"):
        raise UnsupportedModel("it puts prompts before its texts")
    own = _json(folder / "sentence_bert_config.json")
    if own.get("do_lower_case"):
        raise UnsupportedModel("it lower-cases before its tokenizer")
    config = _json(folder / "config.json")
    return SentenceModel(
        folder,
        _pooling(_json(folder / str(modules[1]["path"]) / "config.json")),
        _max_tokens(folder, own, config),
        int(config.get("type_vocab_size") or 0) > 1,
    )


class OnnxEncoder:
    """A bi-encoder in its ONNX form; satisfies `Encoder` (index/encoder.py).

    Text beyond `max_tokens` is not seen. A text's vector does not depend on the others.
    """

    def __init__(self, model: ResolvedModel, stored: Stored) -> None:
        """Open the form that is kept of the model.

        Raises:
            ModelError: ONNX Runtime does not open it, or the tokenizer cannot be read.
            UnsupportedModel: as `read_sentence_model`.
        """
        self.name = model.name
        self.sha256 = model.sha256
        self.runtime_name = f"onnx {stored.decision.form}"
        self._shape = read_sentence_model(model.folder)
        self.max_tokens = self._shape.max_tokens
        self._tokenizer = _tokenizer(self._shape)
        self._model = OnnxModel(stored.content, model.name)
        self.dimension = int(self.encode_queries(["a"]).shape[1])

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order; shape (n_texts, dimension) float32."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        groups = [texts[i : i + _GROUP_TEXTS] for i in range(0, len(texts), _GROUP_TEXTS)]
        return np.concatenate([self._encode(group) for group in groups])

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per query, in order; shape (n_texts, dimension) float32."""
        return self.encode_documents(texts)

    def _encode(self, texts: Sequence[str]) -> Vectors:
        rows = _rows(self._tokenizer, texts)
        order = np.argsort([-len(row.ids) for row in rows], kind="stable")
        outputs = self._model.run([rows[place] for place in order.tolist()])
        vectors = np.empty((len(rows), outputs[0].shape[-1]), np.float32)
        vectors[order] = _pooled(outputs, self._shape.pooling)
        return vectors


def sentence_trial(model: ResolvedModel) -> Trial:
    """What a bi-encoder's forms are tried on: abstracts, against sentence-transformers.

    Raises:
        UnsupportedModel: as `read_sentence_model`.
    """
    shape, texts = read_sentence_model(model.folder), sample_texts()
    return Trial(
        output="tokens",
        has_segments=shape.has_segments,
        rows=_rows(_tokenizer(shape), texts),
        finish=lambda outputs: _pooled(outputs, shape.pooling),
        reference=lambda: SentenceTransformerEncoder(model, device="cpu").encode_documents(texts),
        drift=vector_drift,
    )


def _pooled(outputs: Sequence[Floats], pooling: Pooling) -> Vectors:
    """Unit vectors of the outputs, each (length, dimension)."""
    if pooling == "cls":
        raw = np.stack([output[0] for output in outputs])
    else:
        raw = np.stack([output.mean(axis=0, dtype=np.float32) for output in outputs])
    norms: Vectors = np.linalg.norm(raw, axis=1, keepdims=True).astype(np.float32)
    norms[norms == 0] = 1
    vectors: Vectors = np.divide(raw, norms, dtype=np.float32)
    return vectors


def _tokenizer(shape: SentenceModel) -> Any:
    tokenizer = read_tokenizer(shape.folder)
    tokenizer.no_padding()
    tokenizer.enable_truncation(shape.max_tokens)
    return tokenizer


def _rows(tokenizer: Any, texts: Sequence[str]) -> list[TokenRow]:
    # Half a surrogate pair has no UTF-8 form; the tokenizer, written in Rust, refuses it.
    legal = [text.encode(errors="replace").decode() for text in texts]
    return [
        TokenRow(np.array(one.ids, np.int64), np.zeros(len(one.ids), np.int64))
        for one in tokenizer.encode_batch_fast(legal)
    ]


def _pooling(config: dict[str, Any]) -> Pooling:
    """As sentence-transformers writes it now (`pooling_mode`) and as it did before 6."""
    prefix = "pooling_mode_"
    modes = [name.removeprefix(prefix) for name, on in config.items() if on is True]
    modes = [mode.removesuffix("_tokens").removesuffix("_token") for mode in modes]
    mode = config.get("pooling_mode") or "+".join(one for one in modes if one != "include_prompt")
    if mode not in ("mean", "cls"):
        raise UnsupportedModel(f"its pooling is {mode or 'not named'}")
    return "cls" if mode == "cls" else "mean"


def _max_tokens(folder: Path, own: dict[str, Any], config: dict[str, Any]) -> int:
    settings = _json(folder / "tokenizer_config.json")
    limit = own.get("max_seq_length") or settings.get("model_max_length")
    positions = config.get("max_position_embeddings")
    if not isinstance(limit, int) or not isinstance(positions, int) or limit > positions:
        raise UnsupportedModel(f"its longest input is {limit} of {positions} positions")
    return limit


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
