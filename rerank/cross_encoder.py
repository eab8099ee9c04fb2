"""The cross-encoder over the documents of one index, on ONNX Runtime or PyTorch."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scisearch.index.cache_folder import cache_folder
from scisearch.index.models import ResolvedModel
from scisearch.index.runtimes import Choice, choose, devices_of
from scisearch.index.runtimes import Runtime as RuntimeName
from scisearch.index.stopwatch import Stopwatch
from scisearch.index.tokens import TokenStore
from scisearch.index.weights import weights_digest
from scisearch.rerank.document_tokens import Texts, document_tokens
from scisearch.rerank.pair_model import PairModel, read_pair_model
from scisearch.rerank.passages import LongDocuments, check_long_documents
from scisearch.rerank.scoring import Cache, PairScorer, Progress, RerankScores, Runtime
from scisearch.rerank.truncation import Truncation
from scisearch.retrieval.ranking import Ordinals

if TYPE_CHECKING:
    from scisearch.index.onnx_prepare import Trial


class LocalCrossEncoder:
    """Any local sequence-classification folder with one output.

    `runtime_name` is what computes it, e.g. "onnx int8", and `runtime_reason` why. On ONNX Runtime
    a pair's logit does not depend on other pairs; on PyTorch it moves by float noise (below 1e-4
    on a CPU) with those it shares a batch with.
    """

    def __init__(
        self,
        model: ResolvedModel | Path,
        *,
        texts: Texts,
        store: TokenStore | None = None,
        long_documents: LongDocuments = "cut",
        max_length: int | None = None,
        device: str | None = None,
        batch_tokens: int | None = None,
        runtime: RuntimeName = "auto",
        score_cache: bool = False,
    ) -> None:
        """Load the model.

        Args:
            model: the cross-encoder's folder.
            texts: the full texts of documents by ordinal, for an index without fitting tokens.
            store: the index's token store; used when its ids are this model's.
            long_documents: cut documents that are too long, or score their passages (maxp).
            max_length: ids of a pair, special tokens included; None: as many as the model allows.
            device: None is CUDA, MPS or CPU, the first there is; several are named with commas, and
                cuda is all of them.
            batch_tokens: rows x longest of one forward pass; None: by runtime and device.
            runtime: auto is ONNX Runtime on a CPU, where its drift is small, else PyTorch.
            score_cache: take known logits from the user's cache folder, and keep new ones there.

        Raises:
            ModelError: the folder is no whole cross-encoder with one output, or does not load.
            ConfigError: `long_documents`, `max_length` or `runtime` is not possible.
        """
        check_long_documents(long_documents)
        pair_model = read_pair_model(model, max_length=max_length)
        documents = document_tokens(pair_model.tokenizer, store, texts)
        self.name = pair_model.name
        self.max_length = pair_model.max_length
        self.uses_store = documents is store
        resolved = _resolved(model)
        choice = _choose(resolved, pair_model, device, runtime)
        self.device = choice.device
        self.runtime_name, self.runtime_reason = choice.name, choice.reason
        opened = _open(pair_model, choice, batch_tokens)
        cache = _cache(resolved, pair_model, choice) if score_cache else None
        self._scorer = PairScorer(pair_model, documents, opened, long_documents, cache)

    def score(
        self,
        queries: Sequence[str],
        candidates: Sequence[Ordinals],
        *,
        watch: Stopwatch | None = None,
        on_progress: Progress | None = None,
    ) -> RerankScores:
        """One array of raw float32 logits per query, aligned with its candidates.

        Stages of `watch`: "assemble pairs", "cross-encoder". `on_progress` is called with how many
        pairs were finished since its last call.

        Raises:
            ModelError: the device has no memory for one pair alone.
        """
        return self._scorer.score(queries, candidates, watch=watch, on_progress=on_progress)

    def truncation(
        self, queries: Sequence[str], candidates: Sequence[Ordinals]
    ) -> list[Truncation]:
        """For each query, how much of its pairs is not read; nothing is scored."""
        return self._scorer.truncation(queries, candidates)

    def lengths(self, ordinals: Ordinals) -> NDArray[np.int64]:
        """How many tokens each document has, whole, without special ones; (n,)."""
        return self._scorer.lengths(ordinals)


class TorchCrossEncoder(LocalCrossEncoder):
    """The cross-encoder on PyTorch, whatever the device: the reference for other runtimes."""

    def __init__(
        self,
        model: ResolvedModel | Path,
        *,
        texts: Texts,
        store: TokenStore | None = None,
        long_documents: LongDocuments = "cut",
        max_length: int | None = None,
        device: str | None = None,
        batch_tokens: int | None = None,
    ) -> None:
        """Load the model, as `LocalCrossEncoder` does."""
        super().__init__(
            model,
            texts=texts,
            store=store,
            long_documents=long_documents,
            max_length=max_length,
            device=device,
            batch_tokens=batch_tokens,
            runtime="torch",
        )


def runtime_of(model: ResolvedModel, *, device: str | None = None) -> Choice:
    """What computes a cross-encoder where nothing is asked for; prepares its ONNX form if need be.

    Raises:
        ModelError: the folder is no whole cross-encoder with one output.
    """
    return _choose(model, read_pair_model(model), device, "auto")


def _resolved(model: ResolvedModel | Path) -> ResolvedModel:
    if isinstance(model, Path):
        return ResolvedModel(str(model), model, weights_digest(model), "folder")
    return model


def _choose(
    model: ResolvedModel, pair_model: PairModel, device: str | None, runtime: RuntimeName
) -> Choice:
    def trial() -> "Trial":
        from scisearch.rerank.onnx_runtime import pair_trial

        return pair_trial(pair_model)

    return choose(model, "cross-encoder", trial, device=device, runtime=runtime)


def _cache(model: ResolvedModel, pair_model: PairModel, choice: Choice) -> Cache:
    """The logits of this model, on this runtime, processor and device."""
    from scisearch.index.onnx_store import computed_by
    from scisearch.rerank.score_cache import SCORES_FILE, ScoreCache

    parts = [
        model.sha256,
        hashlib.sha256((model.folder / "config.json").read_bytes()).hexdigest(),
        repr(pair_model.template),
        str(pair_model.has_segments),
        choice.name,
        *computed_by(choice.stored),
    ]
    return ScoreCache(cache_folder() / SCORES_FILE, "\n".join(parts))


def _open(pair_model: PairModel, choice: Choice, batch_tokens: int | None) -> Runtime:
    if choice.stored is not None:
        from scisearch.rerank.onnx_runtime import OnnxRuntime

        return OnnxRuntime(pair_model, choice.stored, batch_tokens)
    devices = devices_of(choice.device)
    if len(devices) == 1:
        from scisearch.rerank.torch_runtime import TorchRuntime

        return TorchRuntime(pair_model, devices[0], batch_tokens)
    from scisearch.rerank.torch_devices import TorchDevices

    return TorchDevices(pair_model, devices, batch_tokens)
