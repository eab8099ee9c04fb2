"""No network, proven: sockets raise. The hub itself is never asked by the test suite."""

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from scisearch.index.encoder import SentenceTransformerEncoder
from scisearch.index.errors import ModelError
from scisearch.index.models import resolve_model

TENSOR = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'


class Asked(OSError):
    """Somebody tried to open a connection."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Close every way out; the list says who knocked."""
    calls: list[object] = []

    def refuse(*args: object, **_: object) -> None:
        calls.append(args)
        raise Asked("the network is closed")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return calls


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    return tmp_path


def cache_model(cache: Path, owner: str, name: str) -> Path:
    repository = cache / f"models--{owner}--{name}"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    (snapshot / "config.json").write_text(json.dumps({"architectures": ["BertModel"]}))
    weights = len(TENSOR).to_bytes(8, "little") + TENSOR + b"\0" * 8
    (snapshot / "model.safetensors").write_bytes(weights)
    return snapshot


@pytest.mark.slow
def test_the_built_in_encoder_needs_no_network(asked: list[object], hub_cache: Path) -> None:
    model = resolve_model("all-MiniLM-L6-v2", kind="bi-encoder")
    assert model.source == "built-in"
    assert model.name == "sentence-transformers/all-MiniLM-L6-v2"
    vectors = SentenceTransformerEncoder(model, device="cpu").encode_queries(["protein folding"])
    assert np.isclose(np.linalg.norm(vectors), 1, atol=1e-6)
    assert asked == []
    assert list(hub_cache.iterdir()) == []


def test_a_cached_model_is_found_without_a_probe(asked: list[object], hub_cache: Path) -> None:
    snapshot = cache_model(hub_cache, "somebody", "model")
    model = resolve_model("somebody/model", kind="bi-encoder")
    assert (model.folder, model.source) == (snapshot, "cache")
    assert asked == []


@pytest.mark.parametrize("variable", [None, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_forbids_the_hub(
    variable: str | None,
    asked: list[object],
    hub_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if variable is not None:
        monkeypatch.setenv(variable, "1")
    with pytest.raises(ModelError, match=r"^somebody/else: .* the hub is forbidden"):
        resolve_model("somebody/else", offline=variable is None, kind="bi-encoder")
    assert asked == []
    assert list(hub_cache.iterdir()) == []


def test_an_unreachable_hub_is_one_line(asked: list[object], hub_cache: Path) -> None:
    with pytest.raises(ModelError, match="the hub cannot be reached") as caught:
        resolve_model("somebody/else", kind="bi-encoder")
    assert "\n" not in str(caught.value)
    assert asked
    assert hub_cache.is_dir()


def test_a_cached_tokenizer_alone_is_no_model(asked: list[object], hub_cache: Path) -> None:
    (cache_model(hub_cache, "somebody", "model") / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="nor whole in the local hub cache"):
        resolve_model("somebody/model", offline=True, kind="bi-encoder")
    assert asked == []


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, hub_cache: Path) -> Iterator[dict[str, tuple[int, str]]]:
    """A hub on this machine that answers each request as the test says."""
    answer: dict[str, tuple[int, str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, code = answer["all"]
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        assert hub_cache.is_dir()
        yield answer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "line"),
    [
        (404, "RepoNotFound", "neither a folder here nor a model on the hub; check the spelling"),
        (403, "GatedRepo", "run `hf auth login`"),
        (400, "", "the hub did not deliver the model"),
    ],
)
def test_what_the_hub_refuses_is_one_line(
    status: int, code: str, line: str, hub: dict[str, tuple[int, str]]
) -> None:
    hub["all"] = (status, code)
    with pytest.raises(ModelError, match=f"^somebody/else: .*{line}") as caught:
        resolve_model("somebody/else", kind="bi-encoder")
    assert "\n" not in str(caught.value)


def test_a_malformed_hub_id_is_one_line(asked: list[object], hub_cache: Path) -> None:
    with pytest.raises(ModelError, match="neither a folder nor a hub id"):
        resolve_model("what is this?", kind="bi-encoder")
    assert asked == []
    assert hub_cache.is_dir()
