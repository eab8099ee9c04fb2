"""Text files of the field, plain or gzipped, as numbered lines; every fault names path and line."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from scisearch.index.errors import RankingError

_GZIP_MAGIC = b"\x1f\x8b"
_SHOWN_CHARACTERS = 60


def read_bytes(path: Path) -> bytes:
    """The whole content of a file, unpacked if it is gzip (told by its first bytes, not its name).

    Raises:
        RankingError: the file is absent, a folder, unreadable, or broken gzip.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP_MAGIC) else content
    except IsADirectoryError as error:
        raise RankingError(f"{path}: found a folder, expected a text file") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RankingError(
            f"{path}: found a damaged gzip file ({error}), expected a whole one; fetch it again"
        ) from error
    except OSError as error:
        raise RankingError(f"{path}: cannot be read: {error.strerror or error}") from error


def numbered_lines(path: Path, content: bytes) -> Iterator[tuple[int, str]]:
    r"""Line number from 1 and text of each line that is not blank, without its line end.

    Only LF ends a line (a CR before it goes too): U+2028, form feeds and their like may stand
    inside a text, and str.splitlines would break there. A byte order mark is dropped.

    Raises:
        RankingError: a line is not UTF-8.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise RankingError(
            f"{path}:{number}: found byte 0x{content[error.start]:02x}, expected UTF-8 text;"
            " convert the file, for example with iconv"
        ) from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            yield number, line.removesuffix("\r")


def check_id(identifier: str, *, where: str, what: str) -> str:
    """The id itself, if a TREC file can hold it.

    Args:
        identifier: a query id or a document id.
        where: what the message starts with, such as 'topics.tsv:3'.
        what: 'query id' or 'document id'.

    Raises:
        RankingError: it is empty, holds white space, or cannot be written as UTF-8.
    """
    if not identifier:
        raise RankingError(f"{where}: found an empty {what}, expected one without white space")
    if len(identifier.split()) != 1 or identifier.strip() != identifier:
        raise RankingError(
            f"{where}: found white space in the {what} {shown(identifier)}, expected none:"
            " TREC files separate their columns by it"
        )
    if any("\ud800" <= character <= "\udfff" for character in identifier):
        raise RankingError(
            f"{where}: found half a surrogate pair in the {what} {shown(identifier)},"
            " expected characters that UTF-8 can write"
        )
    return identifier


def shown(text: str) -> str:
    """The text in quotes for a one-line message: escaped, and cut after 60 characters."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return repr(cut)
