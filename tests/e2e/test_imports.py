"""What a command does not import: that keeps `search --help` and a BM25 query fast."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scisearch.index.build_plan import BuildConfig
from scisearch.index.builder import build_index

RUN = """
import json, sys
from scisearch.cli import main
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
SETTING = "OPENBLAS_THREAD_TIMEOUT"
AT_NUMPY = f"""
import os, sys
from scisearch.cli import main

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("{SETTING}"), file=sys.stderr)

sys.meta_path.insert(0, Watch())
main(sys.argv[1:], standalone_mode=False)
"""
MODELS = {"faiss", "onnx", "onnxruntime", "sentence_transformers", "torch", "transformers"}
REST = {"bm25s", "datasets", "ir_measures", "matplotlib", "pandas", "rank_bm25", "sklearn", "tqdm"}
TOKENIZERS = {"huggingface_hub", "safetensors", "tokenizers"}
DATA = {"numpy", "pyarrow", "scipy", "Stemmer"}
SLOW_PARTS = {"numpy.f2py", "pyarrow.compute", "scipy.linalg", "scipy.sparse"}


def imported(*arguments: str) -> set[str]:
    """The packages and modules that are there when the command has ended."""
    process = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], capture_output=True, text=True, check=True
    )
    return set(json.loads(process.stderr.splitlines()[-1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imports")
    rows = [{"doc_id": f"d{i}", "text": f"gene {i} folds in sleep"} for i in range(5)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "topics.tsv").write_text("1\tgene\n2\tsleep\n")
    return folder


@pytest.fixture(scope="module")
def index(folder: Path) -> Path:
    build_index(folder / "corpus.jsonl", folder / "index", BuildConfig(encoder=None))
    return folder / "index"


@pytest.mark.parametrize(
    "arguments", [["--help"], ["query", "--help"], ["run", "--help"], ["build-index", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not imported(*arguments) & (MODELS | REST | TOKENIZERS | DATA)


def test_a_bm25_query_imports_no_model_library(index: Path) -> None:
    found = imported("query", "gene", "--index", str(index), "--mode", "bm25")
    assert {"numpy", "pyarrow", "Stemmer"} <= found
    assert not found & (MODELS | REST | TOKENIZERS | SLOW_PARTS)


def test_a_bm25_run_imports_no_model_library(folder: Path, index: Path) -> None:
    topics, out = str(folder / "topics.tsv"), str(folder / "bm25.run")
    found = imported("run", topics, "-o", out, "--index", str(index), "--mode", "bm25")
    assert not found & ((MODELS | REST | TOKENIZERS) - {"tqdm"})  # the bar


@pytest.mark.parametrize(("own", "expected"), [(None, "20"), ("24", "24")])
def test_before_numpy_idle_blas_threads_are_told_to_sleep(
    index: Path, own: str | None, expected: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    if own is not None:
        environment[SETTING] = own
    process = subprocess.run(
        [sys.executable, "-c", AT_NUMPY, "query", "gene", "--index", str(index), "--mode", "bm25"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert process.stderr.split() == [expected]
