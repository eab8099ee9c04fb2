"""Texts on which a model's ONNX form is tried: abstracts and queries of the demo collection.

They come with the package, so that every machine decides on the same texts.
"""

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[1] / "benchmarks" / "demo_collection"
_TEXTS, _QUERIES, _DOCUMENTS = 48, 6, 20


def sample_texts() -> list[str]:
    """48 abstracts with their titles, from all fields."""
    documents = list(_documents().values())
    return documents[:: len(documents) // _TEXTS][:_TEXTS]


def sample_lists() -> list[tuple[str, list[str]]]:
    """6 queries with 20 documents each: those that were judged, then others."""
    documents, topics = _documents(), _lines("topics.jsonl")
    lists = []
    for place in range(_QUERIES):
        topic = topics[place * (len(topics) // _QUERIES)]
        judged = [doc_id for doc_id in topic["qrels"] if doc_id in documents]
        others = [doc_id for doc_id in documents if doc_id not in topic["qrels"]]
        chosen = (judged + others[place :: len(others) // _DOCUMENTS])[:_DOCUMENTS]
        lists.append((str(topic["text"]), [documents[doc_id] for doc_id in chosen]))
    return lists


def _documents() -> dict[str, str]:
    lines = _lines("documents.jsonl")
    return {str(one["doc_id"]): f"{one['title']} {one['text']}" for one in lines}


def _lines(name: str) -> list[dict[str, Any]]:
    text = (_FOLDER / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]
