"""Imports go one way: cli -> console -> benchmarks -> pipeline -> rerank -> retrieval -> index."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ["index", "retrieval", "rerank", "pipeline", "benchmarks", "console", "cli"]
MODULES = [
    p for layer in LAYERS for p in (*ROOT.glob(f"{layer}.py"), *ROOT.glob(f"{layer}/**/*.py"))
]


@pytest.mark.parametrize("module", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_its_own_layer_and_those_below(module: Path) -> None:
    own = LAYERS.index(module.relative_to(ROOT).parts[0].removesuffix(".py"))
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scisearch."):
            layer = str(node.module).split(".")[1]
            assert LAYERS.index(layer) <= own, f"{module.name}:{node.lineno} imports {node.module}"
