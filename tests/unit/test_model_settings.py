"""What is kept beside a cross-encoder's weights."""

from pathlib import Path

import pytest

from scisearch.index.errors import ModelError
from scisearch.rerank.interpolation import Interpolation
from scisearch.rerank.model_settings import (
    SETTINGS_FILE,
    ModelSettings,
    read_model_settings,
    write_model_settings,
)


def test_a_folder_without_the_file_has_the_defaults(tmp_path: Path) -> None:
    assert read_model_settings(tmp_path) == ModelSettings(Interpolation(0.5, "minmax"), None)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    settings = ModelSettings(Interpolation(0.7, "zscore"), {"kind": "temperature", "value": 2.0})
    write_model_settings(tmp_path, settings)
    assert read_model_settings(tmp_path) == settings
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_FILE]
    ramp = ModelSettings(Interpolation(0.7, "logit", (100, 200), (0.1, 0.25)))
    write_model_settings(tmp_path, ramp)
    assert read_model_settings(tmp_path) == ramp
    both = ModelSettings(ramp.interpolation, lexical=Interpolation(0.6, "logit", (0, 90)))
    write_model_settings(tmp_path, both)
    assert read_model_settings(tmp_path) == both


def test_an_index_without_vectors_has_its_own_weight_where_the_model_has_one() -> None:
    fused, lexical = Interpolation(0.4), Interpolation(0.6)
    both = ModelSettings(fused, lexical=lexical)
    assert (both.beside(vectors=True), both.beside(vectors=False)) == (fused, lexical)
    assert ModelSettings(fused).beside(vectors=False) == fused


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"interpolation": {"weight": 2}}',
        '{"interpolation": {"weight": "high"}}',
        '{"interpolation": {"wieght": 0.5}}',
        '{"interpolation": {"lengths": [1]}}',
        '{"interpolation": {"lengths": [200, 100]}}',
        '{"interpolation": {"likeness": [0.2, 0.1]}}',
        '{"lexical": {"weight": 2}}',
        '{"lexical": 3}',
        '{"calibration": 3}',
        '{"bound": 3}',
        '{"bound": {"allowed": 0.1}}',
        '{"bound": {"coefficients": [1, 2], "excess": [0], "chances": [0.5], "allowed": 0.1}}',
        '{"bound": {"coefficients": ["a", 0, 0, 0], "excess": [0], "chances": [1], "allowed": 1}}',
    ],
)
def test_another_content_is_one_line_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(text)
    with pytest.raises(ModelError, match=r"scisearch\.json: .*expected interpolation"):
        read_model_settings(tmp_path)
