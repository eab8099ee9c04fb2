"""Tiny tokenizers and models, made here in a moment, so that no test needs one from elsewhere."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
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
