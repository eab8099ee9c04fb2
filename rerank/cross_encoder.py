"""The cross-encoder over the documents of one index, on PyTorch."""

from collections.abc import Sequence
from pathlib import Path

from scisearch.index.encoder import choose_device
from scisearch.index.models import ResolvedModel
from scisearch.index.stopwatch import Stopwatch
from scisearch.index.tokens import TokenStore
from scisearch.rerank.document_tokens import Texts, document_tokens
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.passages import LongDocuments, check_long_documents
from scisearch.rerank.scoring import PairScorer, Progress, RerankScores
from scisearch.rerank.torch_runtime import TorchRuntime
from scisearch.retrieval.ranking import Ordinals


class TorchCrossEncoder:
    """Any local sequence-classification folder with one output.

    A pair's logit moves by float noise (below 1e-4 on a CPU) with the pairs it shares a batch with.
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
    ) -> None:
        """Load the model.

        Args:
            model: the cross-encoder's folder.
            texts: the full texts of documents by ordinal, for an index without fitting tokens.
            store: the index's token store; used when its ids are this model's.
            long_documents: cut documents that are too long, or score their passages (maxp).
            max_length: ids of a pair, special tokens included; None: as many as the model allows.
            device: None is CUDA, MPS or CPU, the first there is.
            batch_tokens: rows x longest of one forward pass; None: by the device.

        Raises:
            ModelError: the folder is no whole cross-encoder with one output, or does not load.
            ConfigError: `long_documents` or `max_length` is not possible.
        """
        check_long_documents(long_documents)
        pair_model = read_pair_model(model, max_length=max_length)
        documents = document_tokens(pair_model.tokenizer, store, texts)
        self.name = pair_model.name
        self.max_length = pair_model.max_length
        self.device = choose_device() if device is None else device
        self.uses_store = documents is store
        runtime = TorchRuntime(pair_model, self.device, batch_tokens)
        self._scorer = PairScorer(pair_model, documents, runtime, long_documents)

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
