from dataclasses import fields
from pathlib import Path

import click
import pytest

from scisearch.console.options import search_config
from scisearch.index.errors import ConfigError
from scisearch.rerank.config_file import KEYS, config_of, config_text, read_config, write_config
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.fusion import Fusion


def test_every_setting_of_a_search_has_a_key() -> None:
    own = {one.name for one in fields(SearchConfig)} - {"fusion"}
    of_fusion = {"fusion", *(one.name for one in fields(Fusion))} - {"kind"}
    assert set(KEYS) == own | of_fusion


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[fusion]\nkind = "rrf"\nrrf_k = 10  # whole numbers are numbers\n')
    settings = read_config(path)
    assert settings == {"fusion": "rrf", "rrf_k": 10.0}
    assert config_of(settings) == SearchConfig(fusion=Fusion("rrf", rrf_k=10.0))


def test_what_is_written_reads_well(tmp_path: Path) -> None:
    settings = {"mode": "rerank", "depth": 50, "fusion": "convex", "reranker": 'C:\\a "model"'}
    assert config_text(settings, comments=["why", "two\nlines"]) == (
        '# why\n# two lines\n\n[search]\nmode = "rerank"\n\n[first_stage]\ndepth = 50\n\n'
        '[fusion]\nkind = "convex"\n\n[rerank]\nmodel = "C:\\\\a \\"model\\""\n'
    )
    write_config(tmp_path / "new" / "c.toml", settings)
    assert read_config(tmp_path / "new" / "c.toml") == settings


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[serach]\n", r"c.toml:serach: unknown section, expected one of .*; did you mean search"),
        ("[rerank]\nwieght = 1\n", r"c.toml:rerank.wieght: unknown key, .*did you mean weight\?"),
        ("[rerank]\nmode = 1\n", r"c.toml:rerank.mode: unknown key, expected one of model, depth"),
        ("depth = 3\n", r"c.toml:depth: unknown section"),
        ("search = 3\n", r"c.toml:search: found a value, expected a section \[search\]"),
        ('[search]\nmode = "best"\n', r"c.toml:search.mode: found 'best', expected one of bm25, "),
        ('[fusion]\nrrf_k = "6"\n', r"c.toml:fusion.rrf_k: found '6', expected a number"),
        ("[first_stage]\ndepth = 1.5\n", r"depth: found 1.5, expected a whole number"),
        ("[first_stage]\ndepth = true\n", r"depth: found True, expected a whole number"),
        ("[first_stage]\ndepth = 0\n", r"c.toml: depth 0; expected at least 1"),
        ("[models]\noffline = 1\n", r"offline: found 1, expected true or false"),
        ("[rerank]\nweight = 2\n", r"c.toml: rerank weight 2.0; expected a number from 0"),
        ("[fusion]\ndense_weight = nan\n", r"c.toml: dense weight nan; expected"),
        ('[rerank]\nscoring = "some"\n', r"scoring: found 'some', expected one of full, auto, cas"),
        ("[rerank]\nbudget_ms = 0\n", r"c.toml: budget 0 ms; expected at least 1"),
        ('[rerank]\nscoring = "auto"\nmin_probability = 0.5\n', r"c.toml: rerank auto with a min"),
        ('[rerank]\nscoring = "cascade"\nbudget_ms = 9\n', r"c.toml: rerank cascade with a bud"),
        ("[search\n", r"c.toml: is no TOML: .*line 1"),
        ("\ud800", r"c.toml: is no TOML: "),
    ],
)
def test_mistakes_in_a_file_are_named_with_their_place(
    tmp_path: Path, content: str, words: str
) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(ConfigError, match=words) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent.toml: cannot be read .*, expected a config"):
        read_config(tmp_path / "absent.toml")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"c.toml: the config cannot be written"):
        write_config(tmp_path / "file" / "c.toml", {"depth": 3})
    with pytest.raises(ConfigError, match=r"c.toml: the config cannot be written"):
        write_config(tmp_path / "c.toml", {"device": "\ud800"})


@pytest.mark.parametrize(
    ("more", "shows_top", "top"),
    [("", True, 3), ("auto_top = 7\n", True, 7), ("", False, 10)],
)
def test_auto_looks_at_the_hits_that_are_shown(
    tmp_path: Path, more: str, shows_top: bool, top: int
) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[search]\ncutoff = 3\n[rerank]\nscoring = "auto"\n' + more)
    with click.Context(click.Command("query")):
        config = search_config(10, {"config": path}, shows_top=shows_top)
    assert (config.rerank, config.cutoff, config.auto_top) == ("auto", 3, top)


@pytest.mark.parametrize(
    ("options", "rerank"),
    [
        ({}, "auto"),
        ({"reranker": "fast"}, "auto"),
        ({"reranker": "fast", "rerank": "full"}, "full"),
        ({"reranker": "fast", "min_probability": 0.2}, "full"),
        ({"reranker": "mine"}, "full"),
    ],
)
def test_a_query_stops_early_with_models_whose_bound_comes_with_them(
    options: dict[str, str | float], rerank: str
) -> None:
    shown = search_config(10, {"config": None, "mode": "rerank", **options}, shows_top=True)
    assert (shown.rerank, shown.auto_top) == (rerank, 10)
    assert search_config(10, {"config": None, **options}).rerank == options.get("rerank", "full")
