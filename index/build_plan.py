"""What a build is asked for, and what it tells afterwards."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scisearch.index.analyzer import AnalyzerConfig
from scisearch.index.corpus import ColumnNames
from scisearch.index.lexical import BM25Parameters
from scisearch.index.models import DEFAULT_BI_ENCODER
from scisearch.index.runtimes import Runtime


@dataclass(frozen=True, slots=True)
class BuildConfig:
    """What is built, and how."""

    columns: ColumnNames = field(default_factory=ColumnNames)
    skip_bad_rows: bool = False  # leave rejected rows out instead of stopping
    analyzer: AnalyzerConfig = field(default_factory=AnalyzerConfig)
    bm25: BM25Parameters = field(default_factory=BM25Parameters)
    # hub id, folder, built-in name, or "static" (index/static_distil.py); None: lexical only
    encoder: str | None = DEFAULT_BI_ENCODER
    vectors: str | None = None  # a faiss.index_factory string; None: by size
    device: str | None = None  # of the encoder; None: CUDA, MPS or CPU, the first there is
    offline: bool = False  # never ask a hub
    runtime: Runtime = "auto"  # of the encoder: ONNX Runtime on a CPU, or PyTorch
    shard_rows: int = 512  # documents embedded between two points from which a build continues


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a finished build did."""

    index: Path
    generation: str
    n_documents: int
    n_rejected: int
    rejects: Path | None  # the list of rejected rows, where there are any
    continued: bool  # whether it went on from the work of an interrupted build
    vectors: Mapping[str, object] | None  # the vector index: its type and measured recall
    seconds: Mapping[str, float]  # wall time by stage, of this process only
