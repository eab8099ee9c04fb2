"""A model without embeddings of its own is whole in the cache folder, and made there once."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save, save_file

from scisearch.index.composed_weights import OWN_WEIGHTS, compose, own_weights, whole_weights
from scisearch.index.errors import ModelError

EMBEDDINGS = {
    "bert.embeddings.word_embeddings.weight": np.arange(6, dtype=np.float16).reshape(3, 2),
    "bert.embeddings.LayerNorm.bias": np.ones(2, np.float16),
}


def layers(value: float) -> dict[str, np.ndarray]:
    return {"bert.encoder.layer.0.weight": np.full((2, 2), value, np.float16)}


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    folder = tmp_path / "parent"
    folder.mkdir()
    save_file({**EMBEDDINGS, **layers(1)}, folder / "model.safetensors")
    for name in ("tokenizer.json", "tokenizer_config.json", "README.md"):
        (folder / name).write_text(f"{name} of the parent")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    folder.mkdir()
    whole = folder / "whole.safetensors"
    save_file({**EMBEDDINGS, **layers(7)}, whole)
    (folder / OWN_WEIGHTS).write_bytes(own_weights(whole))
    whole.unlink()
    for name in ("config.json", "README.md"):
        (folder / name).write_text(f"{name} of the small one")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_has_the_layers_of_one_and_the_embeddings_of_the_other(
    small: Path, parent: Path
) -> None:
    assert set(load_file(small / OWN_WEIGHTS)) == set(layers(7))
    content = whole_weights(small / OWN_WEIGHTS, parent / "model.safetensors")
    assert content == save({**layers(7), **EMBEDDINGS}, metadata={"format": "pt"}), "always alike"
    digest = sha256(content).hexdigest()
    found = compose(small, parent, digest)
    assert (found / "model.safetensors").read_bytes() == content
    assert sorted(path.name for path in found.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (found / "README.md").read_text() == "README.md of the small one"
    assert (found / "tokenizer.json").read_text() == "tokenizer.json of the parent"


def test_a_tokenizer_file_of_its_own_stays(small: Path, parent: Path) -> None:
    content = whole_weights(small / OWN_WEIGHTS, parent / "model.safetensors")
    digest = sha256(content).hexdigest()
    with_parents = compose(small, parent, digest)
    (small / "tokenizer_config.json").write_text("of the small one")
    found = compose(small, parent, digest)
    assert found != with_parents
    assert (found / "tokenizer_config.json").read_text() == "of the small one"
    assert (found / "tokenizer.json").read_text() == "tokenizer.json of the parent"


def test_it_is_made_once(small: Path, parent: Path) -> None:
    found = compose(small, parent, "a" * 64)
    (small / OWN_WEIGHTS).unlink()
    assert compose(small, parent, "a" * 64) == found
    assert list(found.parent.iterdir()) == [found], "nothing half is left"


def test_new_settings_beside_the_weights_are_a_new_folder(small: Path, parent: Path) -> None:
    first = compose(small, parent, "a" * 64)
    (small / "config.json").write_text("other")
    second = compose(small, parent, "a" * 64)
    assert second != first
    assert (second / "config.json").read_text() == "other"


def test_what_cannot_be_read_or_written_is_one_line(small: Path, parent: Path, cache: Path) -> None:
    (cache / "models").parent.mkdir()
    (cache / "models").write_text("a file")
    with pytest.raises(ModelError, match=r"models: cannot be written .*SCISEARCH_CACHE names"):
        compose(small, parent, "b" * 64)
    (small / OWN_WEIGHTS).write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"cannot be read with .*; reinstall scisearch$"):
        compose(small, parent, "b" * 64)
