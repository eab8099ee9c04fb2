"""Texts in, unit vectors out: the bi-encoder on PyTorch. Knows nothing of documents or indexes."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError
from scisearch.index.models import ResolvedModel
from scisearch.index.openmp import prepare_openmp
from scisearch.index.quiet import quiet
from scisearch.index.runtimes import choose_device

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Vectors = NDArray[np.float32]  # (n_texts, dimension), unit rows


class Encoder(Protocol):
    """A bi-encoder: documents and queries into one space, compared by inner product."""

    @property
    def name(self) -> str:
        """The model's full name."""
        ...

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        ...

    @property
    def runtime_name(self) -> str:
        """What computes it, e.g. "onnx int8" or "torch cpu"."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order; shape (n_texts, dimension) float32."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per query, in order; shape (n_texts, dimension) float32."""
        ...


class SentenceTransformerEncoder:
    """A sentence-transformers model on the best device here.

    Text beyond `max_tokens` is not seen. Half precision on CUDA, float32 elsewhere; the vectors are
    float32 always. The same texts give the same vectors; a text's vector moves by float noise
    (about 1e-7 on a CPU) with the texts it shares a batch with.
    """

    def __init__(
        self, model: ResolvedModel, *, device: str | None = None, batch_size: int = 32
    ) -> None:
        """Load the model.

        Raises:
            ModelError: the files do not load as a bi-encoder, or the device is not here.
        """
        self.name = model.name
        self.sha256 = model.sha256
        self.device = choose_device() if device is None else device
        self.runtime_name = f"torch {self.device}"
        self.batch_size = batch_size
        self._model = _load(model, self.device)
        dimension = self._model.get_embedding_dimension()
        if dimension is None:
            raise ModelError(f"{model.name}: does not say how long its vectors are; name another")
        self.dimension: int = dimension
        self.max_tokens: int | None = self._model.max_seq_length

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order; shape (n_texts, dimension) float32."""
        return self._encode(texts, "document")

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per query, in order; shape (n_texts, dimension) float32."""
        return self._encode(texts, "query")

    def _encode(self, texts: Sequence[str], role: str) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        # Half a surrogate pair has no UTF-8 form; the tokenizer, written in Rust, refuses it.
        legal = [text.encode(errors="replace").decode() for text in texts]
        raw = encode(legal, batch_size=self.batch_size, show_progress_bar=False)
        return self._unit_rows(np.asarray(raw, dtype=np.float32))

    def _unit_rows(self, vectors: Vectors) -> Vectors:
        """Normalize in float32: rows that a GPU normalized in half precision are 1e-3 off."""
        norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
        if not np.isfinite(norms).all():
            raise ModelError(
                f"{self.name}: gave vectors that are not finite on {self.device};"
                " use another device or model"
            )
        norms[norms == 0] = 1
        return np.divide(vectors, norms, dtype=np.float32)


def _load(model: ResolvedModel, device: str) -> "SentenceTransformer":
    """The model in float32, or in half precision on CUDA, read from its folder alone."""
    prepare_openmp()
    on_cuda = device.startswith("cuda")
    # Said aloud, either value keeps the tokenizer from warning after a fork; only a GPU is fast
    # enough to wait for it, so only there it may use threads.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true" if on_cuda else "false")
    import torch
    from sentence_transformers import SentenceTransformer

    try:
        with quiet():
            loaded = SentenceTransformer(
                str(model.folder),
                device=device,
                local_files_only=True,
                # Left alone, half precision checkpoints load as half, which CPUs are slow at.
                model_kwargs={"dtype": torch.float32},
            )
            return loaded.half() if on_cuda else loaded
    except Exception as error:
        # Anything can come out of foreign files: json, key, shape, tokenizer and torch errors.
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{model.name}: does not load as a bi-encoder on {device} ({first_line})"
        ) from error
