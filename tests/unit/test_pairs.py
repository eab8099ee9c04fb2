from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, processors

from scisearch.index.errors import ModelError
from scisearch.index.tokenizer import read_tokenizer
from scisearch.rerank.pairs import PairTemplate, cut_longest_first, pair_template

BERT = PairTemplate(
    head=(101,),
    middle=(102,),
    tail=(102,),
    head_types=(0,),
    middle_types=(0,),
    tail_types=(1,),
    query_type=0,
    document_type=1,
)


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint16)


def test_a_bert_pair() -> None:
    pair = BERT.assemble(ids(7, 8), ids(9), 512)
    assert pair.ids.tolist() == [101, 7, 8, 102, 9, 102]
    assert pair.type_ids.tolist() == [0, 0, 0, 0, 1, 1]
    assert pair.dropped == 0


def test_an_empty_document_keeps_the_special_tokens() -> None:
    assert BERT.assemble(ids(7), ids(), 512).ids.tolist() == [101, 7, 102, 102]


def test_a_long_document_is_cut_and_counted() -> None:
    pair = BERT.assemble(ids(7, 8), ids(*range(1, 11)), 9)
    assert pair.ids.tolist() == [101, 7, 8, 102, 1, 2, 3, 4, 102]
    assert pair.dropped == 6


@pytest.mark.parametrize(
    ("query", "document", "room", "kept"),
    [
        (5, 5, 10, (5, 5)),
        (20, 20, 29, (14, 15)),  # both cut; equally long: the odd one goes to the document
        (4, 200, 29, (4, 25)),
        (200, 4, 29, (25, 4)),
        (16, 14, 29, (15, 14)),
        (30, 20, 29, (15, 14)),
        (0, 40, 29, (0, 29)),
        (1, 1, 1, (0, 1)),
    ],
)
def test_longest_first(query: int, document: int, room: int, kept: tuple[int, int]) -> None:
    assert cut_longest_first(query, document, room) == kept


def test_the_template_of_a_bert_tokenizer(bert_folder: Path) -> None:
    template = pair_template(read_tokenizer(bert_folder), bert_folder)
    assert (template.head, template.middle, template.tail) == ((2,), (3,), (3,))
    assert (template.query_type, template.document_type, template.tail_types) == (0, 1, (1,))
    assert template.has_segments
    assert template.n_special == 3


def test_the_template_of_a_roberta_tokenizer(roberta_folder: Path) -> None:
    template = pair_template(read_tokenizer(roberta_folder), roberta_folder)
    assert (template.head, template.middle, template.tail) == ((0,), (2, 2), (2,))
    assert not template.has_segments


def test_a_tokenizer_that_puts_the_document_first_is_refused() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "|": 2}, unk_token="a"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$B | $A", special_tokens=[("|", 2)]
    )
    with pytest.raises(ModelError, match=r"makes \['b', '\|', 'a'\] of the pair"):
        pair_template(tokenizer, Path("a-model"))
