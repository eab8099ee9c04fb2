"""What is kept with a cross-encoder's weights beside the weights: `scisearch.json` in its folder.

    {
      "interpolation": {"weight": 0.5, "normalisation": "minmax",
                        "lengths": null, "likeness": null},
      "lexical": null,
      "calibration": null,
      "bound": null
    }

They were chosen on dev data. `lexical` is the interpolation of an index without vectors, where BM25
alone finds the candidates; null: as of any other. A folder without the file, a hub model say, has
defaults.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError, ModelError
from scisearch.rerank.anytime import LogitBound
from scisearch.rerank.interpolation import Interpolation

SETTINGS_FILE = "scisearch.json"


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """How a model's logits are weighed against the first stages', calibrated, and bounded."""

    interpolation: Interpolation = field(default_factory=Interpolation)
    calibration: Mapping[str, Any] | None = None  # None: its scores have no probabilities
    bound: LogitBound | None = None  # of logits not computed, for --rerank auto; None: not fitted
    lexical: Interpolation | None = None  # beside BM25 alone; None: as beside the fused list

    def beside(self, *, vectors: bool) -> Interpolation:
        """The interpolation for an index with vectors, or without."""
        return self.lexical if self.lexical and not vectors else self.interpolation


def read_model_settings(folder: Path) -> ModelSettings:
    """The settings in a model's folder, or the defaults where it has none.

    Raises:
        ModelError: the file is there and holds something else.
    """
    path = folder / SETTINGS_FILE
    if not path.is_file():
        return ModelSettings()
    try:
        values = json.loads(path.read_bytes())
        weighed = values.get("interpolation") or {}
        calibration = values.get("calibration")
        if not isinstance(calibration, dict | None):
            raise TypeError(f"calibration is {calibration!r}")
        bound, lexical = values.get("bound"), values.get("lexical")
        return ModelSettings(
            _interpolation(weighed),
            calibration,
            None if bound is None else LogitBound.from_json(bound),
            None if lexical is None else _interpolation(lexical),
        )
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        raise ModelError(
            f"{path}: {error}; expected interpolation and lexical (weight, normalisation, lengths,"
            " likeness), calibration and bound as `search train` writes them; remove the file to"
            " use the defaults"
        ) from error


def _interpolation(values: Mapping[str, Any]) -> Interpolation:
    own = dict(values)
    if own.get("lengths") is not None:
        short, long = map(int, own["lengths"])
        own["lengths"] = (short, long)
    if own.get("likeness") is not None:
        broad, narrow = map(float, own["likeness"])
        own["likeness"] = (broad, narrow)
    return Interpolation(**own)


def write_model_settings(folder: Path, settings: ModelSettings) -> None:
    """Write the settings into a model's folder; a reader sees the old ones or these."""
    text = json.dumps(asdict(settings), indent=2) + "\n"
    replace_file(folder / SETTINGS_FILE, text.encode())
