"""Logits that were computed before, in a file of the user's cache folder: SQLite, one row a pair.

A logit depends on what the model reads and on what computes it, and on nothing else. So a key is a
digest of the ids of query and document as they go into the model, after any cut, and of what
`namespace` says of model and runtime. Ordinals, doc_ids, the longest input and how long documents
are treated are not in it: an updated index asks with other ids where a text changed, and finds
what it may where none did.

    scores_1(key BLOB PRIMARY KEY, logit BLOB, used INTEGER)

`logit` is the float32 and the CRC-32 of key and float32; `used` is the day of the last use, UTC.
The file is bounded by SQLite itself (max_page_count); what was not used for the longest time goes
first. Several processes may use it at once. It is a cache: where it cannot be read or written, the
logits are computed, and a damaged file is removed with a line of the log.

Only ONNX Runtime gives a pair the same bits whatever it shares a batch with. On PyTorch a
remembered logit is that of the batch it was first in: float noise away from another one's.
"""

import hashlib
import logging
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import time
from typing import TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from scisearch.rerank.batches import PairParts

SCORES_FILE = "scores.sqlite"
MAX_BYTES = 256 << 20  # some five million pairs
_FORMAT = 1  # of the keys and the table, and in the table's name; raised where either changes
_KEY_BYTES = 16
_WAIT_SECONDS = 30.0  # for another process that writes
_AT_ONCE = 500  # keys asked for in one statement; SQLite allows 999 everywhere
_FULL, _KEPT = 0.9, 0.75  # shares: of the pages in use that evicts, of the rows that are left
_DAY = 86_400

T = TypeVar("T")

_log = logging.getLogger("scisearch")


class ScoreCache:
    """The remembered logits of one model on one runtime. Satisfies `Cache` (rerank/scoring.py)."""

    def __init__(self, path: Path, namespace: str, *, max_bytes: int = MAX_BYTES) -> None:
        """Use the file at `path`, made where there is none.

        Args:
            path: the file; SQLite's journal stands beside it while something is written.
            namespace: all that decides a logit besides the ids: weights, form, runtime, processor.
            max_bytes: the largest size of the file.
        """
        self._path = path
        self._space = hashlib.blake2b(f"{_FORMAT}\n{namespace}".encode()).digest()
        self._max_bytes = max_bytes
        self._usable = True

    def find(self, rows: Sequence[PairParts]) -> NDArray[np.float32]:
        """The logit of each row, (rows,) float32; NaN where it is not known."""
        keys = [self._key(row) for row in rows]
        known = self._try(lambda database: _select(database, keys)) or {}
        return np.array([known.get(key, np.nan) for key in keys], np.float32)

    def keep(self, rows: Sequence[PairParts], logits: NDArray[np.float32]) -> None:
        """Remember the logits of the rows, (rows,) float32, but for those that are no number."""
        today = _today()
        content = [
            (key, _packed(key, logit), today)
            for key, logit in zip(map(self._key, rows), logits.tolist(), strict=True)
            if np.isfinite(logit)
        ]
        self._try(lambda database: _insert(database, content))

    def _key(self, row: PairParts) -> bytes:
        digest = hashlib.blake2b(self._space, digest_size=_KEY_BYTES)
        digest.update(len(row.query_ids).to_bytes(4, "little"))
        for ids in row:
            digest.update(np.ascontiguousarray(ids, "<u4").tobytes())
        return digest.digest()

    def _try(self, task: Callable[[sqlite3.Connection], T]) -> T | None:
        """What the task gives; None where the file cannot be used, which a line of the log tells.

        The file is opened for each task: neither lock nor connection outlives it, and threads and
        forked processes need not know of each other.
        """
        if not self._usable:
            return None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            opened = sqlite3.connect(self._path, timeout=_WAIT_SECONDS, isolation_level=None)
            with closing(opened) as database:
                _prepare(database, self._max_bytes)
                return task(database)
        except (OSError, sqlite3.OperationalError) as error:  # not writable, full, locked for long
            self._usable = False
            _log.warning("%s: %s; scores are computed without the cache", self._path, error)
        except sqlite3.DatabaseError as error:
            self._drop(error)
        return None

    def _drop(self, error: Exception) -> None:
        _log.warning("%s: damaged (%s); removed, a new one is begun", self._path, error)
        try:
            for ending in ("", "-journal"):
                self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        except OSError:
            self._usable = False


def _prepare(database: sqlite3.Connection, max_bytes: int) -> None:
    (page_bytes,) = database.execute("PRAGMA page_size").fetchone()
    database.execute(f"PRAGMA max_page_count = {max(8, max_bytes // page_bytes)}")
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'scores_1'").fetchall():
        with _writing(database):
            database.execute(
                "CREATE TABLE IF NOT EXISTS scores_1"
                " (key BLOB PRIMARY KEY, logit BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID"
            )


@contextmanager
def _writing(database: sqlite3.Connection) -> Iterator[None]:
    """One transaction that takes the lock at its beginning.

    One that reads first and then wants to write fails at once where another one does the same,
    instead of waiting for it.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _select(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, float]:
    """Key -> logit of those that are known, which count as used today."""
    known: dict[bytes, float] = {}
    today = _today()
    for begin in range(0, len(keys), _AT_ONCE):
        part = keys[begin : begin + _AT_ONCE]
        where = f"WHERE key IN ({','.join('?' * len(part))})"
        old = False
        for key, packed, used in database.execute(f"SELECT * FROM scores_1 {where}", part):
            known[key] = _unpacked(key, packed)
            old |= used < today
        if old:
            with _writing(database):
                database.execute(f"UPDATE scores_1 SET used = ? {where}", [today, *part])
    return known


def _insert(database: sqlite3.Connection, rows: Sequence[tuple[bytes, bytes, int]]) -> None:
    """Add the rows, after an eviction where there is little room; what is too much is left out."""
    if _pages_in_use(database) > _FULL:
        _evict(database)
    for last_try in (False, True):
        try:
            with _writing(database):
                database.executemany("INSERT OR REPLACE INTO scores_1 VALUES (?, ?, ?)", rows)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            if not last_try:
                _evict(database)


def _pages_in_use(database: sqlite3.Connection) -> float:
    """The share of the pages that there may be."""
    asked = ("page_count", "freelist_count", "max_page_count")
    pages, free, most = (database.execute(f"PRAGMA {name}").fetchone()[0] for name in asked)
    return float((pages - free) / most)


def _evict(database: sqlite3.Connection) -> None:
    """Remove the rows that were not used for the longest time; of one day, any."""
    (rows,) = database.execute("SELECT count(*) FROM scores_1").fetchone()
    with _writing(database):
        database.execute(
            "DELETE FROM scores_1 WHERE key IN"
            " (SELECT key FROM scores_1 ORDER BY used, key LIMIT ?)",
            [rows - int(rows * _KEPT)],
        )


def _packed(key: bytes, logit: float) -> bytes:
    value = struct.pack("<f", logit)
    return value + struct.pack("<I", crc32(key + value))


def _unpacked(key: bytes, packed: object) -> float:
    """The logit.

    Raises:
        sqlite3.DatabaseError: it is not as it was written.
    """
    if not isinstance(packed, bytes) or len(packed) != 8:
        raise sqlite3.DatabaseError("a row has another form")
    value, check = packed[:4], struct.unpack("<I", packed[4:])[0]
    if crc32(key + value) != check:
        raise sqlite3.DatabaseError("a row's checksum differs")
    return float(struct.unpack("<f", value)[0])


def _today() -> int:
    return int(time()) // _DAY
