"""The vectors of a corpus in shards on disk, so that an interrupted embedding continues."""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.durable import replace_file

if TYPE_CHECKING:
    from scisearch.index.encoder import Encoder


def embed_shards(
    shards: Iterable[list[str]], folder: Path, open_encoder: Callable[[], "Encoder"]
) -> None:
    """Embed each shard of texts that is not in `folder` yet; a shard is there whole or not at all.

    The encoder is opened only if there is anything to embed.
    """
    folder.mkdir(exist_ok=True)
    encoder: Encoder | None = None
    for number, texts in enumerate(shards):
        path = folder / f"{number:06d}.npy"
        if path.exists():
            continue
        encoder = encoder or open_encoder()
        buffer = io.BytesIO()
        np.save(buffer, encoder.encode_documents(texts))
        replace_file(path, buffer.getvalue())


def read_shards(folder: Path) -> Iterator[NDArray[np.float32]]:
    """The shards in order, each (n, dimension) float32."""
    for path in sorted(folder.glob("*.npy")):
        yield np.load(path)


def dimension_of(folder: Path) -> int:
    """The length of the vectors in the shards."""
    return int(np.load(folder / "000000.npy", mmap_mode="r").shape[1])
