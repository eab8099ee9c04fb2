"""A SearchConfig as a TOML file, a section for each stage: reading, checking, writing.

    [search]
    mode = "hybrid"

    [fusion]
    kind = "convex"
    dense_weight = 0.6

A key that is left out has its default. Names of models are read as on the command line. What an
option of the command line does to a file's value is not known here.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.fusion import Fusion

# Field of SearchConfig (for the fusion: the option that sets it) -> section and key of the file.
KEYS: Mapping[str, tuple[str, str]] = {
    "mode": ("search", "mode"),
    "cutoff": ("search", "cutoff"),
    "depth": ("first_stage", "depth"),
    "bm25_engine": ("first_stage", "bm25_engine"),
    "encoder": ("first_stage", "encoder"),
    "fusion": ("fusion", "kind"),
    "dense_weight": ("fusion", "dense_weight"),
    "dense_span": ("fusion", "dense_span"),
    "rrf_k": ("fusion", "rrf_k"),
    "neighbour_weight": ("fusion", "neighbour_weight"),
    "reranker": ("rerank", "model"),
    "rerank_depth": ("rerank", "depth"),
    "rerank": ("rerank", "scoring"),
    "auto_top": ("rerank", "auto_top"),
    "budget_ms": ("rerank", "budget_ms"),
    "score_cache": ("rerank", "score_cache"),
    "phrase_weight": ("rerank", "phrase_weight"),
    "rerank_weight": ("rerank", "weight"),
    "rerank_normalisation": ("rerank", "normalisation"),
    "min_probability": ("rerank", "min_probability"),
    "long_documents": ("rerank", "long_documents"),
    "device": ("models", "device"),
    "offline": ("models", "offline"),
    "runtime": ("models", "runtime"),
}
_OF_FUSION = {
    "fusion": "kind",
    **{name: name for name in ("dense_weight", "dense_span", "rrf_k", "neighbour_weight")},
}
_NAMES: Mapping[tuple[str, str], str] = {place: name for name, place in KEYS.items()}
_SECTIONS = tuple(dict.fromkeys(section for section, _ in KEYS.values()))

Settings = Mapping[str, Any]  # name of KEYS -> value


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a file, by the names of KEYS; only those that it has.

    Raises:
        ConfigError: it cannot be read, is no TOML, has a key that is none, or a value that does not
            fit.
    """
    try:
        content = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}), expected a config such as `search tune`"
            " writes"
        ) from error
    except ValueError as error:
        raise ConfigError(f"{path}: is no TOML: {error}") from error
    settings: dict[str, Any] = {}
    for section, values in content.items():
        if section not in _SECTIONS:
            raise ConfigError(f"{path}:{section}: {_unknown('section', section, _SECTIONS)}")
        if not isinstance(values, dict):
            raise ConfigError(f"{path}:{section}: found a value, expected a section [{section}]")
        for key, value in values.items():
            name = _name(path, section, key)
            settings[name] = _value(f"{path}:{section}.{key}", name, value)
    try:
        config_of(settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return settings


def load_config(path: str | Path) -> SearchConfig:
    """The configuration in a file, with the defaults of what it leaves out.

    Raises:
        ConfigError: as `read_config`.
    """
    return config_of(read_config(Path(path)))


def config_of(settings: Settings) -> SearchConfig:
    """The configuration with these settings, by the names of KEYS, and the defaults of the others.

    Raises:
        ConfigError: a value outside its range.
    """
    fusion = {_OF_FUSION[name]: settings[name] for name in _OF_FUSION if name in settings}
    rest = {name: value for name, value in settings.items() if name not in _OF_FUSION}
    return SearchConfig(fusion=Fusion(**fusion), **rest)


def settings_of(config: SearchConfig) -> dict[str, Any]:
    """All settings of a configuration that have a value; `config_of` makes it of them again."""
    values = {name: getattr(config.fusion, field) for name, field in _OF_FUSION.items()}
    own = [one.name for one in fields(config) if one.name != "fusion"]
    values |= {name: getattr(config, name) for name in own}
    return {name: values[name] for name in KEYS if values[name] is not None}


def write_config(path: Path, settings: Settings, *, comments: Sequence[str] = ()) -> None:
    """Write settings as a file that `read_config` reads; an earlier one is replaced.

    Args:
        path: the file.
        settings: values by the names of KEYS.
        comments: lines above them.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, config_text(settings, comments=comments).encode())
    except (OSError, UnicodeEncodeError) as error:
        raise ConfigError(f"{path}: the config cannot be written ({error})") from error


def config_text(settings: Settings, *, comments: Sequence[str] = ()) -> str:
    """The settings as TOML, below lines of comment."""
    blocks = ["\n".join(f"# {_without_controls(line)}".rstrip() for line in comments)]
    for section in _SECTIONS:
        lines = [
            f"{KEYS[name][1]} = {_toml(settings[name])}"
            for name in KEYS
            if KEYS[name][0] == section and name in settings
        ]
        blocks.append("\n".join([f"[{section}]", *lines]) if lines else "")
    return "\n\n".join(filter(None, blocks)) + "\n"


def _name(path: Path, section: str, key: str) -> str:
    name = _NAMES.get((section, key))
    if name is not None:
        return name
    there = [name for of, name in _NAMES if of == section]
    raise ConfigError(f"{path}:{section}.{key}: {_unknown('key', key, there)}")


def _unknown(what: str, found: str, there: Sequence[str]) -> str:
    meant = get_close_matches(found, there, 1)
    hint = f"; did you mean {meant[0]}?" if meant else ""
    return f"unknown {what}, expected one of {', '.join(there)}{hint}"


def _value(where: str, name: str, value: object) -> object:
    """The value, a whole number as float where a float is meant."""
    allowed = _types(name)
    choices = [one for kind in allowed if get_origin(kind) is Literal for one in get_args(kind)]
    if choices:
        if value not in choices:
            raise ConfigError(f"{where}: found {value!r}, expected one of {', '.join(choices)}")
        return value
    (kind,) = allowed
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ConfigError(f"{where}: found {value!r}, expected {_KINDS[kind]}")
    return value


_KINDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}


def _types(name: str) -> list[Any]:
    """The types that a setting may have, None aside."""
    hints = (
        get_type_hints(Fusion)[_OF_FUSION[name]]
        if name in _OF_FUSION
        else get_type_hints(SearchConfig)[name]
    )
    parts = [hints] if get_origin(hints) is Literal else list(get_args(hints) or [hints])
    return [part for part in parts if part is not NoneType]


def _toml(value: object) -> str:
    """A value as TOML 1.0 writes it; repr of a float is exact."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(map(_character, value)) + '"'
    return repr(value)


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if ord(character) < 0x20 or ord(character) == 0x7F:
        return f"\\u{ord(character):04x}"
    return character


def _without_controls(line: str) -> str:
    return "".join(character if character.isprintable() else " " for character in line)
