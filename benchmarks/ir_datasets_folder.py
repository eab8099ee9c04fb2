"""An ir_datasets id, such as beir/scifact/test, as a collection folder; it may need a network.

ir_datasets (the extra `ir-datasets`) knows where the files are, downloads them once into its own
cache and reads them; here they become corpus.jsonl, queries.jsonl and qrels.tsv.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError

EXTRA = "pip install 'scisearch[ir-datasets]'"
_NOTE = "ir_datasets.json"  # written last: a folder without it is not whole
_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_TEXTS = ("text", "abstract", "contents", "body")  # what a document with a title calls the rest
_SHOWN_IDS = 3
_SHOWN_ERROR = 200


def may_be_dataset_id(name: str) -> bool:
    """Whether a name that is no folder can be an id of ir_datasets: words, and / between them."""
    return _ID.fullmatch(name) is not None


def ir_datasets_installed() -> bool:
    """Whether the package of the extra `ir-datasets` is there."""
    return find_spec("ir_datasets") is not None


def dataset_folder(dataset_id: str, parent: Path) -> Path:
    """The folder below `parent` that holds the dataset, written unless it is there.

    Raises:
        ConfigError: ir_datasets does not know the id, it has no documents, queries or judgements,
            they cannot be downloaded or read, or the folder cannot be written.
    """
    import ir_datasets

    try:
        dataset = ir_datasets.load(dataset_id)
    except KeyError as error:
        raise ConfigError(
            f"{dataset_id}: is neither a folder nor an id that ir_datasets"
            f" {ir_datasets.__version__} knows, expected one such as beir/scifact/test"
        ) from error
    _check_parts(dataset_id, dataset, ir_datasets.registry)
    folder = parent / dataset_id.replace("/", "--")
    if not (folder / _NOTE).is_file():
        try:
            _write(dataset_id, dataset, folder)
        except (OSError, RuntimeError, ValueError, ImportError) as error:
            # requests' errors are OSErrors
            raise ConfigError(
                f"{dataset_id}: ir_datasets cannot give it ({type(error).__name__}:"
                f" {' '.join(str(error).split())[:_SHOWN_ERROR]}); it needs a network the first"
                f" time, and room in {folder}"
            ) from error
    return folder


def _check_parts(dataset_id: str, dataset: Any, registry: Iterable[str]) -> None:
    missing = [part for part in ("docs", "queries", "qrels") if not dataset.has(part)]
    if not missing:
        return
    below = [name for name in registry if name.startswith(f"{dataset_id}/")][:_SHOWN_IDS]
    hint = f"; one of its parts may have them: {', '.join(below)}" if below else ""
    raise ConfigError(
        f"{dataset_id}: ir_datasets has no {' and no '.join(missing)} for it, expected documents,"
        f" queries and judgements{hint}"
    )


def _write(dataset_id: str, dataset: Any, folder: Path) -> None:
    unfinished = folder.with_name(folder.name + ".partial")
    for rest in (folder, unfinished):  # of an interrupted copy
        shutil.rmtree(rest, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _lines(unfinished / "queries.jsonl", dataset.queries_iter(), _query)
    _lines(unfinished / "qrels.tsv", dataset.qrels_iter(), _judgement)
    n_documents = _lines(unfinished / "corpus.jsonl", dataset.docs_iter(), _document)
    note = {"dataset": dataset_id, "documents": n_documents}
    replace_file(unfinished / _NOTE, json.dumps(note).encode())
    unfinished.replace(folder)


def _lines(path: Path, items: Iterable[Any], line: Callable[[Any], str]) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as stream:
        for item in items:
            stream.write(line(item) + "\n")
            count += 1
    return count


def _query(query: Any) -> str:
    return json.dumps({"query_id": query.query_id, "text": query.default_text()})


def _judgement(qrel: Any) -> str:
    return f"{qrel.query_id}\t0\t{qrel.doc_id}\t{qrel.relevance}"


def _document(document: Any) -> str:
    """Title and text where they are told apart, else all that the dataset calls its text."""
    title = getattr(document, "title", None)
    rest = next((getattr(document, name) for name in _TEXTS if hasattr(document, name)), None)
    if not isinstance(title, str) or not isinstance(rest, str):
        title, rest = "", document.default_text()
    return json.dumps({"doc_id": document.doc_id, "title": title, "text": rest})
