"""The report of a card: the same blocks as markdown and as a page that needs nothing beside it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scisearch.benchmarks.card import MEASURES, STAGES
from scisearch.benchmarks.kept_cards import kept_card
from scisearch.benchmarks.reranker_report import score_reliability
from scisearch.console.benchmark_run import write_report
from scisearch.console.blocks import Block, Heading, Picture, html_report, markdown_report
from scisearch.console.tables import Table

NASTY = 'is 3 < 4 & "x" | <script>alert(1)</script> `so`?'


def system(name: str, mean: float) -> dict[str, Any]:
    points = {"mean": 2.0, "p5": 1.0, "p50": 2.0, "p95": 4.0, "p99": 5.0}
    deltas = {
        "against": "bm25",
        "best": [{"query_id": "q1", "text": NASTY, "before": 0.1, "after": 0.9}],
        "worst": [],
    }
    reranks = name == "rerank"
    chances = {"q0": {f"d{i}": i / 20 for i in range(20)}}
    gains = {"q0": {f"d{i}": int(i > 12) for i in range(20)}}
    return {
        "models": {"encoder": "ab" * 32, "encoder_runtime": "onnx int8"},
        "quality": {
            "measures": {m: {"mean": mean, "interval": [mean - 0.1, mean + 0.1]} for m in MEASURES},
            "ties": {"hits": 2, "intervals": {m: [mean, mean + 0.01] for m in MEASURES}},
            "deltas": deltas if name != "bm25" else None,
            "per_query": {"q0": mean, "q1": mean / 2},
            "findings": [],
        },
        "latency": {
            "n": 2,
            "total": {point: 8 * value for point, value in points.items()},
            "stages": {stage: points for stage in (STAGES if reranks else STAGES[:2])},
        },
        "pairs_per_second": 40.0 if reranks else None,
        "batch": {"queries_per_second": 9.0, "pairs_per_second": 50.0 if reranks else None},
        "reliability": score_reliability(chances, gains) if reranks else None,
        "cold_start": None,
    }


@pytest.fixture
def card() -> dict[str, Any]:
    return {
        "card_format": 2,
        "collection": {
            "name": "words", "n_documents": 9, "n_queries": 2, "digests": {"qrels": "c"},
        },
        "systems": {"bm25": system("bm25", 0.4), "rerank": system("rerank", 0.6)},
        "tests": [],
        "loss": {
            "depth": 100,
            "deep": 1000,
            "candidates_of": "bm25",
            "recall_ceiling": 0.9,
            "oracle": 0.8,
            "last": "rerank",
            "reached": 0.6,
            "relevant": {
                "candidates": 3, "cut_by_fusion": 0, "cut_by_depth": 2, "never": 1, "total": 6,
            },
            "steps": [],
            "advice": ["50% of it is missing.", "Change --depth."],
            "recall_by_depth": {"bm25": [[1, 0.2], [10, 0.8]], "rerank": [[1, 0.4], [10, 0.8]]},
            "truncation": {
                "documents": 9, "documents_cut": 3, "pairs": 18, "pairs_cut": 5, "tokens": 2000,
                "tokens_unseen": 500, "relevant_pairs": 3, "relevant_pairs_cut": 0,
                "relevant_tokens": 300, "relevant_tokens_unseen": 0,
            },
        },
        "index": {
            "build_seconds": None, "documents_per_second": None, "bytes_per_document": {"a": 2.0},
        },
        "environment": {
            "versions": {"numpy": "2"},
            "hardware": {"processor": "a processor", "cores": 2, "accelerator": None},
            "memory_bytes": {
                "rss": 1, "peak_rss": 250_000_000, "vram_allocated": None, "vram_reserved": None,
                "since": "models loaded", "index_built": False,
            },
            "command": ["search", "benchmark", "/home/somebody/words"],
            "seed": 1,
            "bootstrap_resamples": 2,
            "randomisation_samples": 3,
        },
        "request": {
            "collection": "/home/somebody/words", "split": None, "systems": None,
            "search": {"encoder": "/home/somebody/model", "reranker": None}, "latency_queries": 9,
        },
    }  # fmt: skip


class Page(HTMLParser):
    """What a page would load, which elements it has, and what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "data", "action") and value is not None:
                self.loaded.append(value)
            if name == "id" and value is not None:
                self.ids.append(value)


def test_the_page_is_written_from_the_card_alone_and_loads_nothing(
    card: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    write_report(json.loads(json.dumps(card)), tmp_path, plots=True)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.open.count("svg") == 5  # reliability and gains are among them
    assert not {"script", "link", "img", "iframe", "object"} & set(page.open)
    assert all(one.startswith("#") for one in page.loaded)
    # every marker and clip path that is referred to is there, once
    wanted = set(one[1:] for one in page.loaded) | set(re.findall(r"url\(#([^)]+)\)", text))
    assert all(page.ids.count(one) == 1 for one in wanted), wanted
    assert not re.search(r"url\((?!#)|@import", text)
    assert "prefers-color-scheme: dark" in text
    assert NASTY not in text
    assert "&lt;script&gt;" in text
    body = text[text.index("<svg") :]
    assert not re.search(r"(fill|stroke): #", body), "a colour that a dark page cannot change"
    assert {path.name for path in tmp_path.iterdir()} > {"report.md", "reliability.svg"}


def test_what_the_report_says(card: dict[str, Any], tmp_path: Path) -> None:
    write_report(card, tmp_path, plots=False)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in (
        "cut by the depth: below rank 100 of the first stages",
        "0.4000 to 0.4100",
        "expected calibration error",
        "held at most 250 MB while searching, after the models were loaded",
        "25.0%",
    ):
        assert words in text
        assert words in page
    assert "<svg" not in page
    assert ".png" not in text


def test_the_same_card_gives_the_same_page(card: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pages = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(card, tmp_path / name, plots=True)
        pages.append((tmp_path / name / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_blocks_in_both_forms() -> None:
    table = Table(["n", "v"], [["a [b]", "1 [0, 2]"]])
    blocks: list[Block] = [Heading("A & B", 1), "**so** with `--x`", table]
    assert markdown_report(blocks).startswith("# A & B\n\n**so** with `--x`\n\n| n ")
    page = html_report([*blocks, Picture("a-b")], {"a-b": "<svg></svg>"})
    assert "<title>A &amp; B</title>" in page
    assert "<strong>so</strong> with <code>--x</code>" in page
    assert '<td>a [b]</td><td class="number">1<br><small>[0, 2]</small></td>' in page
    assert "<figure><svg></svg></figure>" in page


def test_a_kept_card_has_numbers_and_no_text_and_no_path(card: dict[str, Any]) -> None:
    kept = json.dumps(kept_card(card, times=False))
    assert "somebody" not in kept.lower()
    assert "alert" not in kept
    assert "q0" not in kept
    assert json.loads(kept)["systems"]["bm25"]["latency"] is None
    whole = kept_card(card)
    assert whole["systems"]["rerank"]["latency"]["total"]["p50"] == 16.0
    assert set(whole["systems"]["rerank"]["reliability"]) == {"ece", "brier"}


def test_reliability_by_hand() -> None:
    """Two judged pairs and an unjudged one, which counts as not relevant."""
    found = score_reliability(
        {"q": {"a": 0.9, "b": 0.2, "c": 0.1}, "x": {"a": 1.0}}, {"q": {"a": 3, "b": 0}}
    )
    assert found is not None
    assert found["pairs"] == 3
    assert found["judged"] == pytest.approx(2 / 3)
    assert found["relevant"] == pytest.approx(1 / 3)
    assert found["brier"] == pytest.approx(np.mean([0.01, 0.04, 0.01]))
    assert found["equal_width"]["ece"] == pytest.approx((0.1 + 0.2 + 0.1) / 3)
    assert score_reliability({}, {"q": {"a": 1}}) is None
