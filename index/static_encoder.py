"""The static encoder: a text's vector is the sum of its words' vectors, made a unit.

Its folder is that of a sentence-transformers StaticEmbedding model with normalisation, and loads
there: modules.json, tokenizer.json, model.safetensors. Here it needs neither PyTorch nor the
tokenizers library for text in ASCII, and the weights are mapped, not read. Knows nothing of how
the vectors came about (index/static_distil.py).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from scisearch.index.encoder import Vectors
from scisearch.index.errors import CorruptIndexError
from scisearch.index.models import STATIC_ENCODER
from scisearch.index.static_words import WordIds, word_tokenizer

STATIC_FOLDER = "encoder"  # of a generation
STATIC_VERSION = 1  # rises whenever the same corpus would give another encoder
WEIGHTS_NAME = "model.safetensors"
_TOKENIZER_NAME = "tokenizer.json"
_TENSOR = "embedding.weight"
_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"},
    {
        "idx": 1,
        "name": "1",
        "path": "1_Normalize",
        "type": "sentence_transformers.models.Normalize",
    },
]


class StaticEncoder:
    """Word vectors, summed; satisfies `Encoder`. A text's vector does not depend on the others.

    A text without a known word has the vector 0, which is as near to every document as to another.
    """

    runtime_name = "numpy"

    def __init__(self, vocabulary: Sequence[str], vectors: NDArray[np.float32]) -> None:
        """Put words and their vectors, (n_words, dimension), together; use `open`."""
        self.name = STATIC_ENCODER
        self.dimension = int(vectors.shape[1])
        self._vectors = vectors
        self._words = WordIds(vocabulary)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The encoder in the folder, its vectors mapped.

        Raises:
            CorruptIndexError: a file is missing or not what was written.
        """
        try:
            tokenizer = json.loads((folder / _TOKENIZER_NAME).read_bytes())
            vocabulary = list(tokenizer["model"]["vocab"])
            vectors = _map_tensor(folder / WEIGHTS_NAME)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptIndexError(
                f"{folder}: not the static encoder that was written ({error});"
                " build the index again"
            ) from error
        if vectors.ndim != 2 or len(vocabulary) != len(vectors):
            raise CorruptIndexError(
                f"{folder}: {len(vocabulary)} words and vectors of shape {vectors.shape}, expected"
                " one each; build the index again"
            )
        return cls(vocabulary, vectors)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per text, in order; shape (n_texts, dimension) float32."""
        sums = np.zeros((len(texts), self.dimension), np.float32)
        for place, text in enumerate(texts):
            np.add.reduce(self._vectors[self._words.ids(text)], axis=0, out=sums[place])
        norms = np.linalg.norm(sums, axis=1, keepdims=True).astype(np.float32)
        norms[norms == 0] = 1
        vectors: Vectors = np.divide(sums, norms, dtype=np.float32)
        return vectors

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """One unit vector per query, in order; shape (n_texts, dimension) float32."""
        return self.encode_documents(texts)


def write_static_encoder(
    folder: Path, vocabulary: Sequence[str], vectors: NDArray[np.float32]
) -> None:
    """Write the folder. Equal words and vectors give equal bytes.

    Args:
        folder: is made if it is not there.
        vocabulary: the words; the first is the unknown one.
        vectors: (n_words, dimension) float32; the first row is zero.
    """
    from safetensors.numpy import save_file

    (folder / "1_Normalize").mkdir(parents=True, exist_ok=True)
    (folder / "1_Normalize" / "config.json").write_text("{}\n")
    (folder / "modules.json").write_text(json.dumps(_MODULES, indent=1) + "\n")
    save_file({_TENSOR: np.ascontiguousarray(vectors, np.float32)}, folder / WEIGHTS_NAME)
    word_tokenizer(vocabulary).save(str(folder / _TOKENIZER_NAME), pretty=False)


def _map_tensor(path: Path) -> NDArray[np.float32]:
    """The one tensor of a safetensors file, float32, mapped.

    Format: 8 bytes little-endian header length, the JSON header, the tensors' bytes.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        entry: dict[str, Any] = json.loads(file.read(length))[_TENSOR]
    if entry["dtype"] != "F32":
        raise ValueError(f"{path.name} holds {entry['dtype']}, expected F32")
    begin = 8 + length + int(entry["data_offsets"][0])
    mapped = np.memmap(path, np.float32, mode="r", offset=begin, shape=tuple(entry["shape"]))
    return np.asarray(mapped)
