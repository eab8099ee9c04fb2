"""A run file written topic by topic, so that a killed batch goes on where it stopped.

Beside the run `hybrid.run` stand, until it is finished,

    hybrid.run.partial        the topics done so far: each one's run lines, then one line that
                              closes it with its query id and a checksum of those lines
    hybrid.run.partial.json   the fingerprint of the work: what is searched, for what, and how

A topic without its closing line never happened. Finishing copies the run lines without the closing
lines and renames the copy into place; the bytes do not depend on how often the work was cut.
"""

import json
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from scisearch.index.durable import replace_file, sync_folder
from scisearch.index.errors import RankingError
from scisearch.retrieval.ranking import Hit
from scisearch.retrieval.trec import format_run

# Run lines hold no tab, so no run line can look like this one.
_CLOSING = b"#topic-done\t"
_FORMAT = 1


class RunWriter:
    """Appends finished topics to `path.partial`; `path` appears whole, or not at all.

    Use it as a context manager. Leaving it without an error finishes the run, with an error keeps
    the partial one to be continued by the next writer with the same fingerprint. Any other
    fingerprint starts anew. `completed` holds the query ids that need not be searched again.
    """

    def __init__(self, path: Path, *, tag: str, fingerprint: Mapping[str, object]) -> None:
        """Take up the partial run beside `path`, if it is of the same work.

        Args:
            path: where the finished run shall stand.
            tag: the sixth column of every line.
            fingerprint: all that decides the run's bytes (digests of index and topics, settings),
                as JSON values.

        Raises:
            RankingError: the folder cannot be written to, or another process writes this run.
        """
        self._path = Path(path)
        self._tag = tag
        self._partial = self._path.with_name(self._path.name + ".partial")
        self._note = self._path.with_name(self._path.name + ".partial.json")
        wanted = _canonical({"format": _FORMAT, "tag": tag, "fingerprint": fingerprint})
        try:
            # Not truncated on opening: another writer may hold the lock on it.
            self._stream = self._partial.open("ab+", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            _lock(self._stream, self._path)
            self.completed: tuple[str, ...] = self._take_up(wanted)
        except OSError as error:
            self._stream.close()
            raise self._unwritable(error) from error
        except BaseException:
            self._stream.close()
            raise
        self._known = set(self.completed)

    def write(self, query_id: str, hits: Sequence[Hit]) -> None:
        """Append one finished topic, also one without hits; topics go in topic order.

        Raises:
            RankingError: the topic is there already, its hits break a rule of `format_run`, or
                the disk does not take it.
        """
        if query_id in self._known:
            raise RankingError(f"{self._path}: query {query_id} is written already")
        lines = format_run(query_id, hits, tag=self._tag).encode()
        block = lines + _closing_line(query_id, lines)
        try:
            written = 0
            while written < len(block):
                written += self._stream.write(block[written:])
        except OSError as error:
            raise self._unwritable(error) from error
        self._known.add(query_id)

    def finish(self) -> None:
        """Put the finished run at its place and remove the partial one.

        Raises:
            RankingError: the disk does not take it.
        """
        temporary = self._path.with_name(self._path.name + ".tmp")
        try:
            self._stream.seek(0)
            with temporary.open("wb") as out:
                for line in _lines(self._stream):
                    if not line.startswith(_CLOSING):
                        out.write(line)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(self._path)
            sync_folder(self._path.parent)
            # The note goes first: a partial run without one is never taken up.
            self._note.unlink(missing_ok=True)
            self._partial.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            self._stream.close()

    def __enter__(self) -> Self:
        """The writer itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finish the run, or keep the partial one if the body raised."""
        if kind is None:
            self.finish()
        else:
            self._stream.close()

    def _take_up(self, wanted: bytes) -> tuple[str, ...]:
        completed: list[str] = []
        end = 0
        if _content(self._note) == wanted:
            self._stream.seek(0)
            for query_id, end in _whole_topics(self._stream):  # noqa: B007 (the last end counts)
                completed.append(query_id)
        self._stream.truncate(end)
        replace_file(self._note, wanted)
        return tuple(completed)

    def _unwritable(self, error: OSError) -> RankingError:
        return RankingError(f"{self._path}: cannot be written: {error.strerror or error}")


def _canonical(value: Mapping[str, object]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _closing_line(query_id: str, lines: bytes) -> bytes:
    return _CLOSING + f"{query_id}\t{zlib.crc32(lines):08x}\n".encode()


def _whole_topics(stream: BinaryIO) -> Iterator[tuple[str, int]]:
    """Query id and end offset of each topic from the start up to the first damaged one."""
    end = 0
    lines: list[bytes] = []
    for line in _lines(stream):
        if not line.startswith(_CLOSING):
            lines.append(line)
            continue
        block = b"".join(lines)
        query_id = line.split(b"\t")[1].decode("utf-8", "replace")
        if line != _closing_line(query_id, block):
            return
        end += len(block) + len(line)
        lines = []
        yield query_id, end


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """The stream's lines; through a buffer, as the stream itself has none."""
    with open(os.dup(stream.fileno()), "rb") as buffered:  # noqa: PTH123 (a descriptor, no path)
        yield from buffered


def _lock(stream: BinaryIO, path: Path) -> None:
    """Refuse a second writer; the system lets go of the lock when the process ends, however."""
    if sys.platform == "win32":  # pragma: no cover
        return
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RankingError(
            f"{path}: another process is writing this run; wait for it, or give another output"
        ) from error
