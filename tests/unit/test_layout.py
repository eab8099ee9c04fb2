"""The repository root is the package `scisearch`; these tests keep that arrangement honest."""

import tomllib
from pathlib import Path

import scisearch

ROOT = Path(__file__).resolve().parents[2]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
NOT_SHIPPED = {"tests", "docs"}


def test_tests_run_this_checkout() -> None:
    assert Path(scisearch.__file__).resolve().parent == ROOT


def test_every_package_is_listed() -> None:
    found = {
        ".".join(("scisearch", *p.parent.relative_to(ROOT).parts))
        for p in ROOT.glob("[a-z]*/**/__init__.py")
        if p.relative_to(ROOT).parts[0] not in NOT_SHIPPED
    }
    assert set(SETUPTOOLS["packages"]) == found | {"scisearch"}


def test_no_stray_module_at_the_root() -> None:
    assert {p.name for p in ROOT.glob("*.py")} == {"__init__.py", "cli.py", "pipeline.py"}


def test_tests_is_not_a_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))
