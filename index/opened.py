"""An open index: its parts, each opened when first used."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from scisearch.index.analyzer import Analyzer, AnalyzerConfig
from scisearch.index.documents import Documents
from scisearch.index.errors import ConfigError
from scisearch.index.generations import Generation, live_generation
from scisearch.index.lexical import LexicalIndex
from scisearch.index.manifest import Manifest, check_sizes
from scisearch.index.seal import check_seal

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from scisearch.index.static_encoder import StaticEncoder
    from scisearch.index.tokens import TokenStore
    from scisearch.index.vectors import VectorIndex


class OpenIndex:
    """One generation, open for reading; a generation published later does not change it."""

    def __init__(self, index: Path, generation: Generation) -> None:
        """Hold a generation that `open_index` has checked."""
        self.path = index
        self.generation = generation

    @property
    def manifest(self) -> Manifest:
        """The contents page of the generation."""
        return self.generation.manifest

    @property
    def has_vectors(self) -> bool:
        """Whether the index was built with an encoder."""
        return self.manifest.vectors is not None

    @cached_property
    def documents(self) -> Documents:
        """The documents, memory-mapped."""
        return Documents.open(self._part("documents.arrow"))

    @cached_property
    def analyzer(self) -> Analyzer:
        """The analyzer the documents were indexed with."""
        return Analyzer(AnalyzerConfig.from_json(self.manifest.analyzer))

    @cached_property
    def lexical(self) -> LexicalIndex:
        """The BM25 arrays, memory-mapped."""
        return LexicalIndex.open(self._part("lexical"))

    @cached_property
    def vectors(self) -> "VectorIndex":
        """The FAISS index.

        Raises:
            ConfigError: the index was built without vectors.
        """
        from scisearch.index.vectors import VectorIndex

        if not self.has_vectors:
            raise ConfigError(
                f"{self.path}: was built with --no-dense and has no vectors; search it with"
                " --mode bm25, or build it again without --no-dense"
            )
        return VectorIndex.open(self._part("vectors.faiss"))

    @property
    def vectors_of(self) -> "Callable[[NDArray[np.int64]], NDArray[np.float32]] | None":
        """Gives the vectors of documents; None where there are none, or their type cannot."""
        return self.vectors.rows if self.has_vectors and self.vectors.gives_rows else None

    @cached_property
    def static_encoder(self) -> "StaticEncoder":
        """The encoder that was distilled for this index, its vectors memory-mapped.

        Raises:
            CorruptIndexError: it is not there, or not what was written.
        """
        from scisearch.index.static_encoder import STATIC_FOLDER, StaticEncoder

        return StaticEncoder.open(self._part(STATIC_FOLDER))

    @cached_property
    def tokens(self) -> "TokenStore | None":
        """The documents' token ids for the reranker, or None where they were not stored."""
        from scisearch.index.tokens import TokenStore

        if self.manifest.tokens is None:
            return None
        return TokenStore.open(self._part("tokens"))

    def _part(self, name: str) -> Path:
        return self.generation.folder / name


def open_index(index: str | Path) -> OpenIndex:
    """Open the live generation of an index folder, after a check of sizes (or, in a copy, of sums).

    Raises:
        IndexFormatError: there is no index, or one of another format.
        CorruptIndexError: a file is missing or is not what was written.
    """
    folder = Path(index)
    generation = live_generation(folder)
    check_sizes(generation.folder, generation.manifest)
    check_seal(generation)
    return OpenIndex(folder, generation)
