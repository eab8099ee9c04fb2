"""What the model is judged on goes out of the choice; SciFact's train claims come in."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from scisearch.benchmarks.collection import Collection, judged_texts
from scisearch.benchmarks.collection_places import read_collections
from scisearch.benchmarks.science_training.choice import Choice, ChosenList
from scisearch.index.documents import full_text
from scisearch.rerank.training.leakage import LeakReport, SeenText, find_leaks

SCIFACT = "scifact"
_DEV_CLAIMS = 200  # of the train claims, to choose settings with


@dataclass(frozen=True, slots=True)
class Claims:
    """SciFact's train claims as lists, the ids of those kept back, and the collections to spare."""

    choice: Choice
    dev_ids: tuple[str, ...]
    judged: tuple[SeenText, ...]


def scifact_claims(
    folder: Path, *, seed: int, times: int = 2, left_out: Sequence[str] = ()
) -> Claims:
    """The train claims but 200, each `times`; and every text that the model will be judged on.

    `folder` holds the test collections. Those named in `left_out` are not judged on. Without a
    train split of SciFact there is no claim.

    Raises:
        ConfigError: the folder holds no collection, or a part of one is missing.
    """
    collections = [one for one in read_collections(folder) if one.name.split()[0] not in left_out]
    train = next((one for one in collections if one.name == f"{SCIFACT} train"), None)
    if train is None:
        return Claims(Choice([], {}), (), tuple(_judged(collections, train, frozenset())))
    ids = sorted(query.query_id for query in train.queries)
    dev = tuple(random.Random(seed).sample(ids, min(_DEV_CLAIMS, len(ids) // 2)))
    lists = [
        ChosenList("scifact", SCIFACT, query.text, _relevant(train, query.query_id), None, SCIFACT)
        for query in train.queries
        if query.query_id not in dev
    ]
    documents = {doc_id: ("", text) for doc_id, text in train.documents()}
    judged = tuple(_judged(collections, train, frozenset(dev)))
    return Claims(Choice(lists * times, {SCIFACT: documents}), dev, judged)


def without_leaks(
    choice: Choice, judged: Sequence[SeenText], *, own: str = SCIFACT
) -> tuple[Choice, LeakReport]:
    """The choice without texts of `judged`, and what they were.

    The documents of the corpus `own` are a judged collection's by design, so only its queries are
    looked at. A list goes when its query leaks or no relevant document is left.
    """
    report = find_leaks(_texts(choice, own), judged)
    documents = {
        name: held
        if name == own
        else {i: pair for i, pair in held.items() if not report.holds(full_text(*pair))}
        for name, held in choice.documents.items()
    }
    lists: list[ChosenList] = []
    for one in choice.lists:
        left = tuple(doc_id for doc_id in one.positives if doc_id in documents[one.corpus])
        if left and len(one.query) > 7 and not report.holds(one.query):
            lists.append(one._replace(positives=left))
    return Choice(lists, documents), report


def _texts(choice: Choice, own: str) -> Iterator[SeenText]:
    for name, documents in choice.documents.items():
        if name != own:
            for doc_id, pair in documents.items():
                yield SeenText(full_text(*pair), "document", name, doc_id)
    for query in dict.fromkeys(one.query for one in choice.lists):
        yield SeenText(query, "query")


def _judged(
    collections: Sequence[Collection], train: Collection | None, dev: frozenset[str]
) -> Iterator[SeenText]:
    """Documents once for each corpus, and every query but the claims that are learned from."""
    told: set[Path] = set()
    for one in collections:
        for text in judged_texts(one):
            if text.role == "query":
                if one is not train or text.text_id in dev:
                    yield text
            elif one.corpus not in told:
                yield text
        told.add(one.corpus)


def _relevant(collection: Collection, query_id: str) -> tuple[str, ...]:
    gains = collection.qrels[query_id]
    return tuple(doc_id for doc_id, gain in gains.items() if gain > 0)
