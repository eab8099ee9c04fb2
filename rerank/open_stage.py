"""Which cross-encoder reranks, and how it is weighed: from a configuration to an open stage."""

from dataclasses import replace

from scisearch.index.errors import ConfigError
from scisearch.index.models import DEFAULT_CROSS_ENCODER, FAST_CROSS_ENCODER, resolve_model
from scisearch.index.opened import OpenIndex
from scisearch.rerank.calibration import Calibration
from scisearch.rerank.model_settings import SETTINGS_FILE, read_model_settings
from scisearch.rerank.search_config import SearchConfig
from scisearch.rerank.stage import RerankStage
from scisearch.retrieval.likeness import mean_likeness


def prepare_built_in(device: str | None = None) -> None:
    """Make the built-in cross-encoder ready for queries without PyTorch."""
    from scisearch.rerank.cross_encoder import runtime_of

    model = resolve_model(DEFAULT_CROSS_ENCODER, offline=True, kind="cross-encoder")
    runtime_of(model, device=device)


def open_rerank_stage(index: OpenIndex, config: SearchConfig) -> RerankStage:
    """Find and load the cross-encoder of a configuration for the documents of an index.

    A weight or normalisation that the configuration leaves open is that kept with the model, for
    an index with vectors or for one without. With `rerank` "cascade" the small built-in one,
    weighed as is kept with it, chooses what it scores.

    Raises:
        ModelError: it cannot be found or loaded, or is none.
        ConfigError: a cascade of the small one alone.
    """
    stage = _open_stage(index, config)
    if config.rerank == "cascade":
        small = replace(
            config,
            reranker=FAST_CROSS_ENCODER,
            rerank_weight=None,
            rerank_normalisation=None,
            rerank="full",
        )
        stage.small = _open_stage(index, small)
        if stage.small.sha256 == stage.sha256:
            raise ConfigError(
                "rerank cascade: found the small cross-encoder alone, expected a larger one that"
                " reads what it puts first (leave out --reranker, or --rerank full)"
            )
    return stage


def _open_stage(index: OpenIndex, config: SearchConfig) -> RerankStage:
    """The stage of the cross-encoder that is named, alone."""
    from scisearch.rerank.cross_encoder import LocalCrossEncoder

    weight, normalisation = config.rerank_weight, config.rerank_normalisation
    name = config.reranker or DEFAULT_CROSS_ENCODER
    model = resolve_model(name, offline=config.offline, kind="cross-encoder")
    settings = read_model_settings(model.folder)
    own = settings.beside(vectors=index.has_vectors)
    interpolation = own.changed(weight, normalisation)
    calibration = settings.calibration
    cross_encoder = LocalCrossEncoder(
        model,
        texts=index.documents.full_texts,
        store=index.tokens,
        long_documents=config.long_documents,
        device=config.device,
        runtime=config.runtime,
        score_cache=config.score_cache,
    )
    where = f"{model.folder / SETTINGS_FILE}: calibration"
    return RerankStage(
        cross_encoder,
        interpolation,
        index.documents.id_rank,
        model.sha256,
        calibration=None
        if calibration is None
        else Calibration.from_json(calibration, where=where),
        bound=settings.bound,
        likeness=None if interpolation.likeness is None else mean_likeness(index),
    )
