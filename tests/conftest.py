"""Tiny tokenizers and models, made here in a moment, so that no test needs one from elsewhere."""

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

SENTENCES = (
    "The cross-encoder reads a query and a document together, token by token.",
    "Protein folding with attention: self-attention layers predict residue contacts.",
    "Retrieval of scientific abstracts; BM25 and dense vectors find candidates, 100 of them.",
    "β-catenin signalling in zebrafish embryos, and the naïve T cells of mice.",
)

TINY: dict[str, Any] = {
    "vocab_size": 150,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """ONNX forms of the models are kept here, also by commands the tests start."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCISEARCH_CACHE", str(folder))
        yield folder


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def _vocabulary(size: int) -> dict[str, int]:
    """Letters, the same inside words, and words; not trained, as training breaks ties by chance."""
    text = " ".join(SENTENCES).lower()
    letters = sorted({*text, *"abcdefghijklmnopqrstuvwxyz0123456789"} - {" "})
    words = sorted({word for word in text.replace("-", " ").split() if word.isalpha()})
    tokens = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *words]
    return {token: number for number, token in enumerate(tokens[:size])}


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece tokenizer with BERT's template and segments 0 and 1."""
    tokenizer = Tokenizer(models.WordPiece(_vocabulary(150), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    # A file as all-MiniLM-L6-v2 has it: what a single text is cut and padded to says nothing here.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return _save(tokenizer, tmp_path_factory.mktemp("bert"), "BertTokenizer", names)


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer with RoBERTa's template and segment 0 throughout."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "cls_token": "<s>", "sep_token": "</s>"}
    return _save(tokenizer, tmp_path_factory.mktemp("roberta"), "PreTrainedTokenizerFast", names)


def _save(tokenizer: Tokenizer, folder: Path, kind: str, names: dict[str, str]) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": kind, "model_max_length": 64, **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="session")
def tiny_corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """corpora/ and collections/ with some forty made-up papers, to learn from and to be judged."""
    folder = tmp_path_factory.mktemp("science")
    write_corpora(folder / "corpora")
    write_collections(folder / "collections")
    return folder


@pytest.fixture(scope="session")
def packed_lists(
    tiny_corpora: Path, bert_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The packed file of the tiny corpora, by the command."""
    from scisearch.benchmarks.science_training.__main__ import main

    output = tmp_path_factory.mktemp("prepared")
    call = ["prepare", str(tiny_corpora / "corpora"), "-o", str(output), "--no-dense"]
    call += ["--collections", str(tiny_corpora / "collections"), "--tokenizer", str(bert_folder)]
    done = CliRunner().invoke(main, call, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "near: 1 equal, document and document" in done.stdout
    return output / "packed.npz"


def made_up_papers(n: int = 40) -> list[dict[str, str]]:
    """Papers of six sentences each, of words of the sentences above."""
    draw = random.Random(11)
    words = sorted({word for text in SENTENCES for word in text.lower().split() if word.isalpha()})

    def sentence() -> str:
        return " ".join(draw.choices(words, k=9)).capitalize() + "."

    return [
        {
            "doc_id": f"p{i}",
            "title": " ".join(draw.sample(words, 4)),
            "text": " ".join(sentence() for _ in range(6)),
        }
        for i in range(n)
    ]


def write_corpora(folder: Path) -> None:
    """The relation files of a corpora folder."""
    folder.mkdir()
    papers = made_up_papers()

    def relation(name: str, rows: list[tuple[str | None, str, str | None]]) -> None:
        keys = ("query_text", "target_doc_id", "query_doc_id")
        table = pa.Table.from_pylist([dict(zip(keys, row, strict=True)) for row in rows])
        pq.write_table(table, folder / f"{name}.parquet")

    pq.write_table(pa.Table.from_pylist(papers), folder / "papers.parquet")
    titles = [f"{one['title']} and more" for one in papers]
    pairs = [(i, i + k) for i in range(8) for k in (10, 20)]
    cited: list[tuple[str | None, str, str | None]] = [(None, "p1", "p2")]  # no title is known
    relation("citations", cited + [(titles[i], f"p{j}", f"p{i}") for i, j in pairs])
    context = "As was shown for the folding of proteins by {}"
    relation("citation_contexts", [(context.format(titles[i]), f"p{i}", None) for i in range(4)])
    relation("tldr", [(f"We fold {titles[i]} in {i + 3} steps", f"p{i}", None) for i in range(4)])
    relation("reading_lists", [("Folding: proteins", f"p{i}", None) for i in range(7)])
    keywords = [(word, f"p{i}", None) for i in range(6) for word in titles[i].split()[:3]]
    relation("keywords", [*keywords, ("lonely", "p9", None), ("gone", "elsewhere", None)])
    beside = [{"a_doc_id": f"p{i}", "b_doc_id": f"p{i + 5}", "n": 3} for i in range(4)]
    pq.write_table(pa.Table.from_pylist(beside), folder / "cocitations.parquet")
    rows = [
        {
            "query": f"What are {titles[i]}",
            "positive": papers[i]["text"][:150],
            "negative": [papers[i + 1]["text"][:150]],
            "source": "medquad",
            "kind": "question",
            "licence_class": licence,
        }
        for licence, some in (("open", range(12)), ("research", range(20, 25)))
        for i in some
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "questions.parquet")


def write_collections(folder: Path) -> None:
    """SciFact with both splits, and a collection that has the abstract of paper p3."""
    papers = made_up_papers(60)
    own = papers[40:]
    for name in ("scifact", "near"):
        (folder / name).mkdir(parents=True)
    claims = [(f"c{i}", f"Claims of {one['title']}") for i, one in enumerate(own)]
    queries = "".join(f"{i}\t{text}\n" for i, text in claims)
    (folder / "scifact" / "topics.tsv").write_text(queries)
    (folder / "near" / "topics.tsv").write_text("n1\tsomething else entirely\n")
    for split, part in (("train", range(12)), ("test", range(12, 20))):
        lines = "".join(f"c{i} 0 p{i + 40} 1\n" for i in part)
        (folder / "scifact" / f"qrels.{split}.tsv").write_text(lines)
    (folder / "near" / "qrels.tsv").write_text("n1 0 x3 1\n")
    copies = {"scifact": own, "near": [{**papers[3], "doc_id": "x3"}]}
    for name, documents in copies.items():
        lines = "".join(json.dumps(one) + "\n" for one in documents)
        (folder / name / "corpus.jsonl").write_text(lines)


@pytest.fixture(scope="session")
def tiny_encoder(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bi-encoder of two small layers with random weights, saved by sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers import BertConfig, BertModel

    torch.manual_seed(7)
    base = tmp_path_factory.mktemp("encoder-base")
    shutil.copytree(bert_folder, base, dirs_exist_ok=True)
    BertModel(BertConfig(**TINY)).save_pretrained(base)
    folder = tmp_path_factory.mktemp("encoder")
    SentenceTransformer(str(base), device="cpu").save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_cross_encoder(bert_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder of two small layers with random weights and one logit."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(8)
    folder = tmp_path_factory.mktemp("cross-encoder")
    shutil.copytree(bert_folder, folder, dirs_exist_ok=True)
    BertForSequenceClassification(BertConfig(**{**TINY, "num_labels": 1})).save_pretrained(folder)
    return folder


@pytest.fixture
def cross_encoder_with(tiny_cross_encoder: Path, tmp_path: Path) -> Callable[..., Path]:
    """Copies it into the test's own folder `model`, with settings."""
    from scisearch.rerank.model_settings import ModelSettings, write_model_settings

    def made(settings: ModelSettings) -> Path:
        folder = shutil.copytree(tiny_cross_encoder, tmp_path / "model")
        write_model_settings(folder, settings)
        return folder

    return made
