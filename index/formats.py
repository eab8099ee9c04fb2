"""Which reader a path needs: Parquet, JSONL, CSV/TSV, or a folder in BEIR's layout.

The name decides (`.gz` may follow a text format's); a file with another name is Parquet when it
starts like one.
"""

from functools import partial
from pathlib import Path

from scisearch.index.columns import CellColumn, JsonColumn
from scisearch.index.errors import CorpusError
from scisearch.index.parquet import ParquetSource
from scisearch.index.rows import Source
from scisearch.index.text_rows import TextSource, parse_delimited, parse_jsonl

FOLDER_FILES = ("corpus.jsonl", "corpus.jsonl.gz", "corpus.parquet")
EXPECTED = ".parquet, .jsonl, .ndjson, .csv, .tsv (text also .gz), or a folder with one of " + (
    ", ".join(FOLDER_FILES)
)


def open_source(path: Path) -> Source:
    """A reader of the file at `path`, or of the corpus file in that folder.

    Raises:
        CorpusError: nothing there, no known format, a damaged file, or no rows.
    """
    file = _corpus_file(path)
    source = _reader(file)
    if source.n_rows == 0:
        raise CorpusError(f"{file}: no rows, expected at least one document")
    return source


def _reader(file: Path) -> Source:
    name = file.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        return TextSource(file, parse_jsonl, JsonColumn)
    if name.endswith(".csv"):
        return TextSource(file, partial(parse_delimited, delimiter=","), CellColumn)
    if name.endswith(".tsv"):
        return TextSource(file, partial(parse_delimited, delimiter="\t"), CellColumn)
    if file.name.lower().endswith((".parquet", ".pq")) or _starts_like_parquet(file):
        return ParquetSource(file)
    raise CorpusError(f"{file}: unknown format '{file.suffix}', expected {EXPECTED}")


def _corpus_file(path: Path) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise CorpusError(f"{path}: no such file or folder; give a corpus: {EXPECTED}")
    found = [path / name for name in FOLDER_FILES if (path / name).is_file()]
    if not found:
        raise CorpusError(
            f"{path}: is a folder without {', '.join(FOLDER_FILES)}; give the corpus file itself"
        )
    if len(found) > 1:
        names = " and ".join(file.name for file in found)
        raise CorpusError(f"{path}: holds {names}; give the one to index")
    return found[0]


def _starts_like_parquet(file: Path) -> bool:
    try:
        with file.open("rb") as handle:
            return handle.read(4) == b"PAR1"
    except OSError as error:
        raise CorpusError(f"{file}: cannot be read ({error.strerror})") from error
