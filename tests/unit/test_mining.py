"""Hard negatives: which candidates become negatives, on fixed first-stage lists."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index
from scisearch.index.errors import ConfigError, TrainingError
from scisearch.index.opened import OpenIndex, open_index
from scisearch.rerank.training.data import DataOptions, mine_training_data
from scisearch.rerank.training.mining import MiningOptions, mine_lists
from scisearch.rerank.training.relations import RelatedQuery, Relations, read_relations
from scisearch.retrieval.ranking import Retriever, Scored

FIELDS = ("gold", "silver", "copper", "iron", "tin", "lead", "zinc", "nickel", "cobalt", "chrome")
TEXTS = [
    f"{name} ore is found in {name} mines and smelted, place {i}" for i, name in enumerate(FIELDS)
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> OpenIndex:
    """Ten documents d0 to d9, and d10, a copy of d0 in capitals."""
    folder = tmp_path_factory.mktemp("mining")
    texts = [*TEXTS, TEXTS[0].upper()]
    rows = [{"doc_id": f"d{i}", "title": f"On {i}", "text": t} for i, t in enumerate(texts)]
    rows[10]["title"] = "On 0"
    pq.write_table(pa.Table.from_pylist(rows), folder / "corpus.parquet")
    build_index(folder / "corpus.parquet", folder / "index", BuildConfig(encoder=None))
    return open_index(folder / "index")


class Fixed:
    """A first stage that gives every query all documents, in the order of the index."""

    def __init__(self, scores: Sequence[float]) -> None:
        self._scores = np.array(scores, np.float32)

    def retrieve(self, queries: Sequence[str], *, depth: int, **_: Any) -> list[Scored]:
        whole = Scored(np.arange(len(self._scores)), self._scores)
        return [whole.cut(depth) for _ in queries]


FALLING = [1.0, 0.98, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]


def mine(index: OpenIndex, query: RelatedQuery, **options: Any) -> list[int]:
    """The ordinals of the query's negatives."""
    retrievers: Mapping[str, Retriever] = {"bm25": Fixed(FALLING)}
    relations = Relations([query], 0)
    mined = mine_lists(index, relations, retrievers, options=MiningOptions(**options))
    texts = index.documents.full_texts(range(len(index.documents)))
    return sorted(texts.index(text) for text in mined.lists[0].negatives)


def test_known_positives_copies_and_what_scores_too_close_are_out(index: OpenIndex) -> None:
    # d0 is relevant, d10 its copy, d1 scores above 0.95 of d0
    assert mine(index, RelatedQuery("gold", None, None, [0])) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_the_margin_counts_from_the_best_positive(index: OpenIndex) -> None:
    query = RelatedQuery("gold", None, None, [4, 2])
    assert mine(index, query, margin=0.5) == [7, 8, 9, 10]


def test_the_ranks_bound_what_is_mined(index: OpenIndex) -> None:
    query = RelatedQuery("gold", None, None, [0])
    assert mine(index, query, first_rank=4, last_rank=6) == [3, 4, 5]


def test_the_document_that_asks_has_no_rank(index: OpenIndex) -> None:
    query = RelatedQuery("gold", 1, None, [0])
    assert mine(index, query, first_rank=3, last_rank=4) == [3, 4]


def test_without_a_retrieved_positive_only_the_ranks_bound(index: OpenIndex) -> None:
    query = RelatedQuery("gold", None, None, [9])
    assert mine(index, query, last_rank=3) == [0, 1, 2]


def test_two_negatives_are_never_copies_of_each_other(index: OpenIndex) -> None:
    found = mine(index, RelatedQuery("gold", None, None, [9]), margin=1.0, last_rank=11)
    assert len({0, 10} & set(found)) <= 1


def test_the_draw_follows_from_seed_and_query_alone(index: OpenIndex) -> None:
    query = RelatedQuery("gold", None, None, [0])
    three = mine(index, query, negatives=3)
    assert len(three) == 3
    assert three == mine(index, query, negatives=3)
    others = [mine(index, query, negatives=3, seed=seed) for seed in range(5)]
    assert any(one != three for one in others)


def test_lists_carry_what_the_first_stage_said(index: OpenIndex) -> None:
    retrievers: Mapping[str, Retriever] = {"bm25": Fixed(FALLING)}
    related = Relations([RelatedQuery("gold", 1, None, [0, 9], kind="keywords")], 0)
    options = MiningOptions(negatives=3, last_rank=7)
    one = mine_lists(index, related, retrievers, options=options).lists[0]
    # without d1, which asks, the seven first are d0 and d2 to d7, with 1.0 and 0.9 to 0.4
    texts = index.documents.full_texts(range(len(index.documents)))
    assert one.kind == "keywords"
    assert one.first_stage is not None
    assert one.first_stage.positives == (1.0, None)
    by_hand = [(FALLING[texts.index(text)] - 0.4) / 0.6 for text in one.negatives]
    assert one.first_stage.negatives == pytest.approx(by_hand)
    assert one.first_stage.rates == (3 / 6,) * 3  # three of d2 to d7


def test_copies_that_were_passed_over_count_as_looked_at(index: OpenIndex) -> None:
    retrievers: Mapping[str, Retriever] = {"bm25": Fixed(FALLING)}
    options = MiningOptions(negatives=20, last_rank=11)
    related = Relations([RelatedQuery("gold", None, None, [0])], 0)
    one = mine_lists(index, related, retrievers, options=options).lists[0]
    assert len(one.negatives) == 8
    assert one.first_stage is not None
    assert set(one.first_stage.rates) == {1.0}  # all there were


def test_no_negative_at_all_is_an_error(index: OpenIndex) -> None:
    query = RelatedQuery("gold", None, None, [0])
    with pytest.raises(TrainingError, match="none of 1 queries has a negative at ranks 1 to 2"):
        mine(index, query, last_rank=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"negatives": 0}, "negatives 0; expected at least 1"),
        ({"first_rank": 5, "last_rank": 4}, "ranks 5 to 4; expected two numbers from 1, rising"),
        ({"margin": 1.5}, r"margin 1\.5; expected a number above 0 and at most 1"),
    ],
)
def test_wrong_options_are_named(options: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MiningOptions(**options)


def relations(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_relations_by_text_and_by_document(index: OpenIndex, tmp_path: Path) -> None:
    path = relations(
        tmp_path / "r.jsonl",
        {"query": "gold", "doc_id": "d0"},
        {"query": "gold", "doc_id": "d1", "licence": "CC0"},
        {"query": "gold", "doc_id": "d1"},
        {"query_doc_id": "d2", "doc_id": "d3"},
        {"query_doc_id": "d2", "doc_id": "d2"},
        {"query": "gold", "doc_id": "elsewhere"},
        {"query_doc_id": "elsewhere", "doc_id": "d3"},
    )
    found = read_relations(path, index.documents)
    assert found.queries == [
        RelatedQuery("gold", None, None, [0, 1]),
        RelatedQuery("On 2", 2, None, [3]),
    ]
    assert found.n_unknown == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"doc_id": "d0"}, r"r\.jsonl:1: found the keys doc_id, expected"),
        ({"query": "q"}, r"r\.jsonl:1: doc_id is 'None', expected a text"),
        ({"query": "", "doc_id": "d0"}, r"r\.jsonl:1: query is '', expected a text"),
        ({"query": "q", "doc_id": "x"}, "none of its 1 relations is between a query and a docum"),
    ],
)
def test_a_bad_relation_is_named(
    index: OpenIndex, tmp_path: Path, row: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        read_relations(relations(tmp_path / "r.jsonl", row), index.documents)


def test_from_an_index_to_training_data(index: OpenIndex, tmp_path: Path) -> None:
    rows = [{"query": f"{name} ore", "doc_id": f"d{i}"} for i, name in enumerate(FIELDS)]
    table = tmp_path / "relations.parquet"
    pq.write_table(pa.Table.from_pylist(rows), table)
    data = mine_training_data(
        index.path,
        table,
        DataOptions(licence="CC0"),
        mining=MiningOptions(negatives=4),
        models={},
    )
    assert len(data.train) == 9
    assert len(data.validation) == 1
    assert all(len(one.negatives) == 4 for one in data.train)
    assert data.sources == ("relations.parquet", "index (11 documents)")
    assert data.notes[0].startswith("negatives: at most 4 of ranks 1 to 100 of bm25")
