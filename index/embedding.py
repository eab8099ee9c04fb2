"""The vectors of a corpus in shards on disk, so that an interrupted embedding continues."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.durable import replace_file

if TYPE_CHECKING:
    from scisearch.index.encoder import Encoder


Opener = Callable[[], "Encoder"]  # opens an encoder on one device


def embed_shards(shards: Iterable[list[str]], folder: Path, openers: Sequence[Opener]) -> None:
    """Embed each shard of texts that is not in `folder` yet; a shard is there whole or not at all.

    There is a thread for each opener, which takes the next shard as soon as it is done with one. An
    encoder is opened only when there is a shard for it.
    """
    folder.mkdir(exist_ok=True)
    waiting = _Waiting(shards, folder)
    if len(openers) == 1:
        waiting.embed(openers[0])
        return
    with ThreadPoolExecutor(len(openers)) as pool:
        for done in [pool.submit(waiting.embed, opener) for opener in openers]:
            done.result()


class _Waiting:
    """The shards that are not there, for any number of threads."""

    def __init__(self, shards: Iterable[list[str]], folder: Path) -> None:
        self._shards = enumerate(shards)
        self._folder = folder
        self._lock = Lock()
        self._failed = False

    def embed(self, opener: Opener) -> None:
        """Embed what is there to do, until nothing is or another thread has failed."""
        encoder: Encoder | None = None
        try:
            while (shard := self._take()) is not None:
                path, texts = shard
                encoder = encoder or opener()
                buffer = io.BytesIO()
                np.save(buffer, encoder.encode_documents(texts))
                replace_file(path, buffer.getvalue())
        except BaseException:
            self._failed = True
            raise

    def _take(self) -> tuple[Path, list[str]] | None:
        with self._lock:
            for number, texts in self._shards:
                path = self._folder / f"{number:06d}.npy"
                if self._failed:
                    break
                if not path.exists():
                    return path, texts
        return None


def read_shards(folder: Path) -> Iterator[NDArray[np.float32]]:
    """The shards in order, each (n, dimension) float32."""
    for path in sorted(folder.glob("*.npy")):
        yield np.load(path)


def dimension_of(folder: Path) -> int:
    """The length of the vectors in the shards."""
    return int(np.load(folder / "000000.npy", mmap_mode="r").shape[1])
