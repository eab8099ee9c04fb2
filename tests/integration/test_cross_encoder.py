"""The cross-encoder on tiny random models, held to sentence-transformers on the same pairs."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.models import ResolvedModel
from scisearch.index.stopwatch import Stopwatch
from scisearch.index.tokens import TokenStore, TokenStoreWriter
from scisearch.rerank.batches import Batch
from scisearch.rerank.cross_encoder import TorchCrossEncoder
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.passages import passage_windows
from scisearch.rerank.torch_devices import TorchDevices
from scisearch.rerank.torch_runtime import TorchRuntime, compute_output_in_float32

pytestmark = pytest.mark.slow

DOCUMENTS = [
    "Protein folding with attention",
    "",
    "Zebrafish embryos and β-catenin. " * 20,
    "BM25 finds candidates",
    "The naïve T cells of mice [SEP] read a query together",
]
QUERIES = ["protein folding", "dense retrieval of abstracts " * 12, ""]
CANDIDATES = [np.array([4, 0, 2, 3, 1]), np.array([2, 0]), np.array([], np.int64)]


def texts(ordinals: NDArray[np.int64]) -> Sequence[str]:
    return [DOCUMENTS[i] for i in ordinals]


def save_model(kind: str, tokenizer: Path, folder: Path, **changes: Any) -> Path:
    """A random two-layer model, wide-spread enough for its logits to differ."""
    import torch
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        RobertaConfig,
        RobertaForSequenceClassification,
    )

    sizes: dict[str, Any] = {
        "vocab_size": 400,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "initializer_range": 0.5,
        "num_labels": 1,
        **changes,
    }
    torch.manual_seed(3)
    model: Any
    if kind == "bert":
        model = BertForSequenceClassification(BertConfig(max_position_embeddings=64, **sizes))
    else:
        model = RobertaForSequenceClassification(
            RobertaConfig(max_position_embeddings=66, type_vocab_size=1, **sizes)
        )
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / file, folder)
    return folder


@pytest.fixture(scope="module")
def models(
    bert_folder: Path, roberta_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "bert": save_model("bert", bert_folder, root / "bert"),
        "roberta": save_model("roberta", roberta_folder, root / "roberta"),
    }


def reference_logits(folder: Path) -> list[NDArray[np.float32]]:
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    return [
        model.predict([(query, DOCUMENTS[i]) for i in ones], activation_fn=torch.nn.Identity())
        for query, ones in zip(QUERIES, CANDIDATES, strict=True)
    ]


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_logits_are_those_of_sentence_transformers(kind: str, models: dict[str, Path]) -> None:
    model = TorchCrossEncoder(models[kind], texts=texts, device="cpu")
    assert model.max_length == 64
    scores = model.score(QUERIES, CANDIDATES)
    for found, expected in zip(scores.logits, reference_logits(models[kind]), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.ptp(scores.logits[0]) > 0.1  # the random model tells documents apart
    assert scores.pairs == 7
    assert scores.truncated_pairs == 3
    assert scores.dropped_tokens == sum(int(one.sum()) for one in scores.dropped) > 0


def test_a_model_saved_by_sentence_transformers(models: dict[str, Path], tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    CrossEncoder(str(models["bert"]), device="cpu").save_pretrained(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "modules.json").is_file()
    resolved = ResolvedModel("a/name", tmp_path / "saved", "0" * 64, "folder")
    model = TorchCrossEncoder(resolved, texts=texts, device="cpu")
    assert model.name == "a/name"
    scores = model.score(QUERIES, CANDIDATES)
    for found, expected in zip(scores.logits, reference_logits(models["bert"]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("long", ["cut", "maxp"])
def test_batches_and_the_store_change_nothing(
    long: Any, models: dict[str, Path], tmp_path: Path
) -> None:
    writer = TokenStoreWriter(tmp_path, models["bert"])
    writer.add(DOCUMENTS)
    writer.finish()
    store = TokenStore.open(tmp_path)
    results = []
    for batch_tokens in (1, 200, 10**6):
        model = TorchCrossEncoder(
            models["bert"],
            texts=texts,
            long_documents=long,
            device="cpu",
            batch_tokens=batch_tokens,
        )
        assert not model.uses_store
        results.append(model.score(QUERIES, CANDIDATES))
    stored = TorchCrossEncoder(
        models["bert"], texts=texts, store=store, long_documents=long, device="cpu"
    )
    assert stored.uses_store
    watch = Stopwatch()
    expected = stored.score(QUERIES, CANDIDATES, watch=watch)
    assert list(watch.milliseconds()) == ["assemble pairs", "cross-encoder"]
    for result in results:
        for one, other in zip(result.logits, expected.logits, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
        assert result.dropped_tokens == expected.dropped_tokens


def test_a_store_of_another_tokenizer_is_not_used(models: dict[str, Path], tmp_path: Path) -> None:
    writer = TokenStoreWriter(tmp_path, models["roberta"])
    writer.add(DOCUMENTS)
    writer.finish()
    store = TokenStore.open(tmp_path)
    model = TorchCrossEncoder(models["bert"], texts=texts, store=store, device="cpu")
    assert not model.uses_store
    expected = TorchCrossEncoder(models["bert"], texts=texts, device="cpu")
    found = model.score(QUERIES[:1], CANDIDATES[:1]).logits[0]
    assert found.tolist() == expected.score(QUERIES[:1], CANDIDATES[:1]).logits[0].tolist()


def test_maxp_is_the_best_window_of_the_whole_document(models: dict[str, Path]) -> None:
    model = TorchCrossEncoder(models["bert"], texts=texts, long_documents="maxp", device="cpu")
    pair_model = read_pair_model(models["bert"])
    query, document = pair_model.tokenizer.encode([QUERIES[0], DOCUMENTS[2]])
    width = pair_model.room - len(query)
    runtime = TorchRuntime(pair_model, "cpu")
    logits = []
    for begin, end in passage_windows(len(document), width, stride=width // 2):
        pair = pair_model.template.assemble(query, document[begin:end], pair_model.max_length)
        row = pair.ids[None], np.ones_like(pair.ids)[None], pair.type_ids[None]
        logits.append(float(runtime.forward(Batch(*row))[0]))
    scores = model.score(QUERIES[:1], [np.array([2])])
    assert len(logits) > 2
    assert scores.logits[0][0] == pytest.approx(max(logits), abs=1e-4)
    assert scores.truncated_pairs == 0


def test_several_devices_take_batches_in_turn(models: dict[str, Path]) -> None:
    one = TorchCrossEncoder(models["bert"], texts=texts, device="cpu", batch_tokens=1)
    two = TorchCrossEncoder(models["bert"], texts=texts, device="cpu, cpu", batch_tokens=1)
    expected, found = (model.score(QUERIES, CANDIDATES).logits for model in (one, two))
    assert [row.tolist() for row in found] == [row.tolist() for row in expected]


def test_a_device_is_loaded_when_those_before_it_are_busy(models: dict[str, Path]) -> None:
    runtime = TorchDevices(read_pair_model(models["bert"]), ["cpu", "cpu"])
    ids = np.arange(5, 45, dtype=np.int64).reshape(8, 5)
    batch = Batch(ids, np.ones_like(ids), np.zeros_like(ids))
    assert runtime.in_flight == 2
    first = runtime.start(batch)()
    assert len(runtime._open) == 1
    both = [runtime.start(batch), runtime.start(batch)]
    assert len(runtime._open) == 2
    assert [one().tolist() for one in both] == [first.tolist()] * 2


def test_a_batch_without_memory_is_halved(models: dict[str, Path]) -> None:
    import torch

    pair_model = read_pair_model(models["bert"])
    runtime = TorchRuntime(pair_model, "cpu")
    ids = np.arange(5, 45, dtype=np.int64).reshape(8, 5)
    batch = Batch(ids, np.ones_like(ids), np.zeros_like(ids))
    expected = runtime.forward(batch)
    most_rows = 3

    def out_of_memory(_module: object, _args: object, inputs: dict[str, Any]) -> None:
        if len(inputs["input_ids"]) > most_rows:
            raise torch.cuda.OutOfMemoryError("out of memory")

    runtime._model.register_forward_pre_hook(out_of_memory, with_kwargs=True)
    np.testing.assert_allclose(runtime.forward(batch), expected, atol=1e-5)
    assert runtime.batch_tokens == 4 * 5 // 2
    most_rows = 0
    with pytest.raises(ModelError, match="no memory on cpu for one pair of 5 tokens"):
        runtime.forward(batch)


def test_attention_is_computed_without_cudnn(models: dict[str, Path]) -> None:
    """Its kernels are planned for every shape; the flag is read on machines without CUDA too."""
    import torch

    seen: list[bool] = []

    def is_allowed() -> bool:
        return bool(torch.backends.cuda.cudnn_sdp_enabled())  # type: ignore[no-untyped-call]

    before = is_allowed()
    runtime = TorchRuntime(read_pair_model(models["bert"]), "cpu")
    runtime._model.register_forward_pre_hook(lambda *_: seen.append(is_allowed()))
    ids = np.arange(5, 25, dtype=np.int64).reshape(4, 5)
    runtime.forward(Batch(ids, np.ones_like(ids), np.zeros_like(ids)))
    assert seen == [False]
    assert is_allowed() == before


def test_half_precision_checkpoints_are_computed_in_float32(
    bert_folder: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    import torch
    from transformers import BertForSequenceClassification

    half = BertForSequenceClassification.from_pretrained(models["bert"], dtype=torch.float16)
    half.save_pretrained(tmp_path)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert_folder / file, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"
    runtime = TorchRuntime(read_pair_model(tmp_path), "cpu")
    assert {parameter.dtype for parameter in runtime._model.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_half_precision_models_give_float32_logits(kind: str, models: dict[str, Path]) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(models[kind], dtype=torch.bfloat16)
    ids = torch.arange(5, 305).reshape(30, 10)
    with torch.inference_mode():
        coarse = model.eval()(input_ids=ids).logits
        compute_output_in_float32(model)
        fine = model(input_ids=ids).logits
    assert (coarse.dtype, fine.dtype) == (torch.bfloat16, torch.float32)
    assert len(fine.unique()) == 30 > len(coarse.unique())
    np.testing.assert_allclose(fine, coarse.float(), atol=0.1)


def test_several_labels_are_refused(bert_folder: Path, tmp_path: Path) -> None:
    save_model("bert", bert_folder, tmp_path, num_labels=3)
    with pytest.raises(ModelError, match="has num_labels 3, expected a cross-encoder with"):
        TorchCrossEncoder(tmp_path, texts=texts)


def test_a_file_without_the_head_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(models["bert"], tmp_path, dirs_exist_ok=True)
    weights = load_file(tmp_path / "model.safetensors")
    body = {name: tensor for name, tensor in weights.items() if "classifier" not in name}
    save_file(body, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no weights for classifier\.bias, classifier\.weight"):
        TorchCrossEncoder(tmp_path, texts=texts, device="cpu")


def test_a_folder_without_weights_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(models["bert"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="no weights"):
        TorchCrossEncoder(tmp_path, texts=texts)


def test_weights_of_another_shape_are_refused(models: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(models["bert"], tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(ModelError, match="does not load as a cross-encoder on cpu"):
        TorchCrossEncoder(tmp_path, texts=texts, device="cpu")


def test_a_chain_of_modules_and_a_prompt_are_refused(
    models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(models["bert"], tmp_path, dirs_exist_ok=True)
    (tmp_path / "config_sentence_transformers.json").write_text('{"default_prompt_name": "q"}')
    with pytest.raises(ModelError, match="puts the prompt 'q' before its inputs"):
        read_pair_model(tmp_path)
    (tmp_path / "modules.json").write_text('[{"path": ""}, {"path": "1_Dense"}]')
    with pytest.raises(ModelError, match="is a chain of 2 sentence-transformers modules"):
        read_pair_model(tmp_path)


@pytest.mark.parametrize("max_length", [4, 65])
def test_an_impossible_length_is_refused(max_length: int, models: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=f"max_length {max_length}; expected 5 to 64 tokens"):
        read_pair_model(models["bert"], max_length=max_length)


def test_max_length_is_obeyed(models: dict[str, Path]) -> None:
    model = TorchCrossEncoder(models["bert"], texts=texts, max_length=16, device="cpu")
    assert model.score(QUERIES, CANDIDATES).truncated_pairs > 3
