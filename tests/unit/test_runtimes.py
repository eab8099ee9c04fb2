import os
import sys

import numpy as np
import pytest

from scisearch.index.errors import ConfigError
from scisearch.index.onnx_drift import ranking_drift, vector_drift
from scisearch.index.onnx_sample import sample_lists, sample_texts
from scisearch.index.onnx_session import core_count
from scisearch.index.runtimes import accelerator_possible, check_runtime, devices_of
from scisearch.rerank.search_config import SearchConfig


def test_an_unknown_runtime_is_one_line() -> None:
    check_runtime("onnx")
    with pytest.raises(ConfigError, match="runtime 'tpu'; expected one of auto, onnx, torch"):
        SearchConfig(runtime="tpu")  # type: ignore[arg-type]


def test_a_device_may_be_several(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert devices_of("cpu") == ("cpu",)
    assert devices_of("cuda:1, cuda:3") == ("cuda:1", "cuda:3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert devices_of("cuda") == ("cuda",)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert devices_of("cuda") == ("cuda:0", "cuda:1", "cuda:2")
    with pytest.raises(ConfigError, match=r"device ' ,'; expected one or, with commas, several"):
        devices_of(" ,")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_there(hidden: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "darwin":
        pytest.skip("Metal is not hidden by CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not accelerator_possible()


def test_no_more_threads_than_cores_or_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert core_count() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert core_count() <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert core_count() >= 1


def test_threads_keep_to_the_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert core_count() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_rankings_are_near_or_not() -> None:
    scores = np.tile(np.arange(20, dtype=np.float32), (3, 1))
    same = ranking_drift(scores, scores * 2 + 1)
    assert same.accepted
    assert same.measures == pytest.approx({"kendall_tau": 1, "top_10_overlap": 1})
    swapped = scores.copy()
    swapped[:, [9, 10]] = swapped[:, [10, 9]]  # one of 190 pairs, across the border of the top
    near = ranking_drift(scores, swapped)
    assert near.measures == pytest.approx({"kendall_tau": 1 - 2 / 190, "top_10_overlap": 0.9})
    assert not near.accepted
    assert not ranking_drift(scores, np.zeros_like(scores)).accepted  # no order at all
    assert not ranking_drift(scores, scores * np.float32(np.nan)).accepted


def test_vectors_are_near_or_not() -> None:
    vectors = np.eye(4, dtype=np.float32)
    assert vector_drift(vectors, vectors).accepted
    turned = vectors.copy()
    turned[3] = [0, 0, 0.6, 0.8]
    drift = vector_drift(vectors, turned)
    assert not drift.accepted
    assert drift.measures == pytest.approx({"least_cosine": 0.8, "mean_cosine": 0.95})
    assert not vector_drift(vectors, np.eye(4, 5, dtype=np.float32)).accepted


def test_the_sample_comes_with_the_package() -> None:
    texts, lists = sample_texts(), sample_lists()
    assert len(set(texts)) == 48
    assert [len(set(documents)) for _, documents in lists] == [20] * 6
    assert len({query for query, _ in lists}) == 6
