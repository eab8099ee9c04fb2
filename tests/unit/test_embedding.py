"""Shards of vectors, made by one encoder or by several at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from scisearch.index.embedding import dimension_of, embed_shards, read_shards
from scisearch.index.encoder import Vectors

SHARDS = [[f"text {shard} {i}" for i in range(3)] for shard in range(6)]


class Lengths:
    """A text's vector is its length; `before` is called with each shard."""

    name, dimension, runtime_name = "lengths", 2, "python"

    def __init__(self, before: Callable[[Sequence[str]], object] = lambda _texts: None) -> None:
        self._before = before

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self._before(texts)
        return np.array([[len(text), hash(text) % 1000] for text in texts], np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_documents(texts)


def test_threads_make_the_shards_that_one_encoder_makes(tmp_path: Path) -> None:
    embed_shards(SHARDS, tmp_path / "one", [Lengths])
    together = Barrier(2)

    def first(texts: Sequence[str]) -> None:
        if texts in SHARDS[:2]:
            together.wait(timeout=10)  # neither goes on without the other

    embed_shards(SHARDS, tmp_path / "two", [lambda: Lengths(first)] * 2)
    found, expected = (list(read_shards(tmp_path / name)) for name in ("two", "one"))
    assert len(found) == 6
    assert np.array_equal(np.concatenate(found), np.concatenate(expected))
    assert dimension_of(tmp_path / "two") == 2


def test_what_is_there_is_not_made_again_and_no_encoder_opened_for_it(tmp_path: Path) -> None:
    embed_shards(SHARDS[:4], tmp_path, [Lengths])
    seen: list[Sequence[str]] = []
    embed_shards(SHARDS, tmp_path, [lambda: Lengths(seen.append)])
    assert seen == SHARDS[4:]

    def never() -> Lengths:
        raise AssertionError("opened")

    embed_shards(SHARDS, tmp_path, [never, never])


def test_a_failure_ends_all_threads_and_is_raised(tmp_path: Path) -> None:
    n_seen = 0

    def failing(texts: Sequence[str]) -> None:
        nonlocal n_seen
        n_seen += 1
        if texts == SHARDS[0]:
            raise MemoryError("no room")

    many = [[str(i)] for i in range(10_000)]
    with pytest.raises(MemoryError, match="no room"):
        embed_shards([SHARDS[0], *many], tmp_path, [lambda: Lengths(failing)] * 2)
    assert n_seen < 5000
