"""The bi-encoder of a build: found, on a runtime, or distilled into a static one first."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scisearch.index.build_plan import BuildConfig
from scisearch.index.models import (
    DEFAULT_BI_ENCODER,
    STATIC_ENCODER,
    ResolvedModel,
    resolve_model,
)
from scisearch.index.runtimes import Choice, choose_for_encoder, devices_of, encoder_on
from scisearch.index.static_encoder import (
    STATIC_FOLDER,
    STATIC_VERSION,
    WEIGHTS_NAME,
    StaticEncoder,
)

if TYPE_CHECKING:
    from scisearch.index.embedding import Opener


@dataclass(frozen=True, slots=True, eq=False)
class BuildEncoder:
    """A model and what computes it; with `is_static` it is the teacher of a static encoder."""

    model: ResolvedModel
    choice: Choice
    is_static: bool

    def settings(self) -> dict[str, object]:
        """What decides the vectors, besides the texts."""
        found: dict[str, object] = {"encoder": self.model.sha256, "runtime": self.choice.name}
        return {**found, "static": STATIC_VERSION} if self.is_static else found

    def openers(self) -> "list[Opener]":
        """What opens the model itself, also where it is only the teacher, on each device."""
        if self.choice.stored is not None:
            return [partial(encoder_on, self.model, self.choice)]
        n_devices = len(devices_of(self.choice.device))
        return [partial(encoder_on, self.model, self.choice, place=i) for i in range(n_devices)]

    def document_openers(self, generation: Path) -> "list[Opener]":
        """What opens what embeds the documents; a static encoder is read from the generation."""
        if self.is_static:
            return [partial(StaticEncoder.open, generation / STATIC_FOLDER)]
        return self.openers()

    def entry(self, generation: Path, dimension: object) -> Mapping[str, object]:
        """What the manifest tells of the encoder."""
        own = {"name": self.model.name, "sha256": self.model.sha256}
        if not self.is_static:
            return {**own, "dimension": dimension, "runtime": self.choice.name}
        from scisearch.index.manifest import file_sha256

        return {
            "name": STATIC_ENCODER,
            "sha256": file_sha256(generation / STATIC_FOLDER / WEIGHTS_NAME),
            "dimension": dimension,
            "runtime": StaticEncoder.runtime_name,
            "teacher": {**own, "runtime": self.choice.name},
        }


def find_encoder(config: BuildConfig) -> BuildEncoder | None:
    """The encoder that the build asks for; None for a lexical build.

    Raises:
        ModelError: it cannot be found, or not be computed as asked.
    """
    if config.encoder is None:
        return None
    is_static = config.encoder == STATIC_ENCODER
    name = DEFAULT_BI_ENCODER if is_static else config.encoder
    model = resolve_model(name, offline=config.offline, kind="bi-encoder")
    choice = choose_for_encoder(model, device=config.device, runtime=config.runtime)
    return BuildEncoder(model, choice, is_static)
