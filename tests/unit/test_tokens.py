import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from scisearch.index.errors import BuildError, CorruptIndexError, IndexFormatError, ModelError
from scisearch.index.tokenizer import text_tokenizer
from scisearch.index.tokens import MAX_IDS, TokenStore, TokenStoreWriter, tokenizer_digest

TEXTS = ["Protein folding", "", "a cross-encoder reads [SEP] β-catenin " * 5, "zebrafish"]


def write(folder: Path, tokenizer: Path, *shards: list[str]) -> TokenStore:
    writer = TokenStoreWriter(folder, tokenizer)
    for shard in shards:
        writer.add(shard)
    writer.finish()
    return TokenStore.open(folder)


def rows(*ordinals: int) -> NDArray[np.int64]:
    return np.array(ordinals, dtype=np.int64)


def test_a_store_gives_back_the_ids_of_each_text(tmp_path: Path, bert_folder: Path) -> None:
    store = write(tmp_path, bert_folder, TEXTS)
    expected = Tokenizer.from_file(str(bert_folder / "tokenizer.json"))
    expected.no_truncation()
    expected.no_padding()
    assert len(store) == len(TEXTS)
    for ordinal, text in enumerate(TEXTS):
        ids = expected.encode(text, add_special_tokens=False).ids
        assert store.ids(ordinal).tolist() == ids
        assert store.lengths(rows(ordinal)).tolist() == [len(ids)]
    assert store.ids(0).dtype == np.uint16


def test_shards_do_not_matter(tmp_path: Path, bert_folder: Path) -> None:
    write(tmp_path / "one", bert_folder, TEXTS)
    write(tmp_path / "many", bert_folder, TEXTS[:1], [], TEXTS[1:])
    for name in ("ids.npy", "offsets.npy", "lengths.npy", "tokens.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()


def test_gather_keeps_the_order_asked_for(tmp_path: Path, bert_folder: Path) -> None:
    store = write(tmp_path, bert_folder, TEXTS)
    found = store.gather(rows(3, 0, 3))
    assert [ids.tolist() for ids in found.ids] == [store.ids(i).tolist() for i in (3, 0, 3)]
    assert found.lengths.tolist() == store.lengths(rows(3, 0, 3)).tolist()


def test_a_long_text_keeps_its_beginning_and_its_length(tmp_path: Path, bert_folder: Path) -> None:
    store = write(tmp_path, bert_folder, ["zebrafish " * 5000, "mice"])
    whole = text_tokenizer(bert_folder).encode(["zebrafish " * 5000])[0]
    assert len(whole) > MAX_IDS
    assert store.ids(0).tolist() == whole[:MAX_IDS].tolist()
    assert store.lengths(rows(0)).tolist() == [len(whole)]
    assert store.ids(1).tolist() == text_tokenizer(bert_folder).encode(["mice"])[0].tolist()


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_a_store_without_ids_opens(texts: list[str], tmp_path: Path, bert_folder: Path) -> None:
    store = write(tmp_path, bert_folder, texts)
    assert len(store) == len(texts)
    assert [len(ids) for ids in store.gather(np.arange(len(texts))).ids] == [0] * len(texts)


def test_a_large_vocabulary_takes_four_bytes(tmp_path: Path) -> None:
    vocabulary = {f"w{i}": i for i in range(65537)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    store = write(tmp_path / "store", tmp_path, ["w65536 w1"])
    assert store.ids(0).dtype == np.uint32
    assert store.ids(0).tolist() == [65536, 1]


def test_documents_are_copied_from_another_store(tmp_path: Path, bert_folder: Path) -> None:
    store = write(tmp_path / "old", bert_folder, TEXTS)
    writer = TokenStoreWriter(tmp_path / "new", bert_folder)
    writer.copy(store, rows(2, 0))
    writer.add(["mice"])
    writer.finish()
    new = TokenStore.open(tmp_path / "new")
    assert new.ids(0).tolist() == store.ids(2).tolist()
    assert new.ids(1).tolist() == store.ids(0).tolist()
    assert len(new) == 3


def test_ids_of_another_tokenizer_are_not_copied(
    tmp_path: Path, bert_folder: Path, roberta_folder: Path
) -> None:
    store = write(tmp_path / "old", roberta_folder, TEXTS)
    writer = TokenStoreWriter(tmp_path / "new", bert_folder)
    with pytest.raises(BuildError, match=r"token ids of tokenizer \w{12} cannot go"):
        writer.copy(store, rows(0))
    writer.finish()


def changed(folder: Path, to: Path, **parts: object) -> Path:
    shutil.copytree(folder, to, dirs_exist_ok=True)
    content = json.loads((to / "tokenizer.json").read_text())
    (to / "tokenizer.json").write_text(json.dumps({**content, **parts}))
    return to


@pytest.mark.parametrize("part", ["truncation", "padding", "post_processor", "decoder"])
def test_the_digest_leaves_out_what_does_not_decide_the_ids(
    part: str, tmp_path: Path, bert_folder: Path
) -> None:
    other = changed(bert_folder, tmp_path, **{part: None})
    assert tokenizer_digest(other) == tokenizer_digest(bert_folder)


def test_the_digest_covers_the_normalizer(tmp_path: Path, bert_folder: Path) -> None:
    other = changed(bert_folder, tmp_path, normalizer=None)
    assert tokenizer_digest(other) != tokenizer_digest(bert_folder)


def test_the_digest_is_written_with_the_store(tmp_path: Path, bert_folder: Path) -> None:
    digest = TokenStoreWriter(tmp_path, bert_folder).finish()
    assert digest == tokenizer_digest(bert_folder) == TokenStore.open(tmp_path).tokenizer_digest


def test_half_surrogates_are_read_as_question_marks(bert_folder: Path) -> None:
    tokenizer = text_tokenizer(bert_folder)
    first, second = tokenizer.encode(["mice \ud800 cells", "mice ? cells"])
    assert first.tolist() == second.tolist()


def test_a_group_border_changes_nothing(bert_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = text_tokenizer(bert_folder)
    expected = [ids.tolist() for ids in tokenizer.encode(TEXTS)]
    monkeypatch.setattr("scisearch.index.tokenizer._GROUP_CHARACTERS", 20)
    assert [ids.tolist() for ids in tokenizer.encode(TEXTS)] == expected


def test_a_missing_or_changed_file_is_told(tmp_path: Path, bert_folder: Path) -> None:
    write(tmp_path, bert_folder, TEXTS)
    np.save(tmp_path / "lengths.npy", np.zeros(9, np.int64))
    with pytest.raises(CorruptIndexError, match="9 documents, 5 offsets and"):
        TokenStore.open(tmp_path)
    (tmp_path / "ids.npy").write_bytes(b"")
    with pytest.raises(CorruptIndexError, match=r"ids\.npy: .*expected an array"):
        TokenStore.open(tmp_path)
    (tmp_path / "tokens.json").unlink()
    with pytest.raises(CorruptIndexError, match=r"tokens\.json: FileNotFoundError"):
        TokenStore.open(tmp_path)


def test_another_format_is_told(tmp_path: Path, bert_folder: Path) -> None:
    write(tmp_path, bert_folder, TEXTS)
    (tmp_path / "tokens.json").write_text('{"format": 7, "tokenizer_digest": "x"}')
    with pytest.raises(IndexFormatError, match="format 7, this version reads format 1"):
        TokenStore.open(tmp_path)


def test_a_broken_tokenizer_is_told(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json: cannot be read as a tokenizer"):
        tokenizer_digest(tmp_path)
