"""Both models against sentence-transformers: the same weights on the same texts, taking turns.

    python -m scisearch.benchmarks.model_speed --index search-index --topics queries.jsonl

The candidates of some queries are scored by `CrossEncoder.predict` and by our runtime; some
documents are embedded by `SentenceTransformer.encode` and by our encoder; some queries are answered
from end to end by both. sentence-transformers has its defaults: batches of 32, PyTorch; float32
whatever the precision of the weights' file (on CUDA half precision, as ours). Seconds are of the
wall clock and of the processor, all cores counted. All candidates of all queries are also scored
at once, as a run does.
"""

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from scisearch.benchmarks.commands import Command
from scisearch.benchmarks.environment import hardware, versions
from scisearch.benchmarks.latency import spread_queries
from scisearch.benchmarks.matrix_rate import encoder_operations, matrix_rate, precision_on
from scisearch.benchmarks.turns import Turns, Work
from scisearch.index.models import DEFAULT_CROSS_ENCODER, ResolvedModel, resolve_model
from scisearch.index.opened import OpenIndex, open_index
from scisearch.index.runtimes import choose_device, devices_of, open_encoder
from scisearch.index.vector_recall import spread
from scisearch.pipeline import SearchPipeline
from scisearch.rerank.open_stage import open_rerank_stage
from scisearch.rerank.pair_model import read_pair_model
from scisearch.rerank.search_config import SearchConfig
from scisearch.retrieval.ranking import Query
from scisearch.retrieval.topics import read_topics

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder, SentenceTransformer

    from scisearch.index.encoder import Encoder

_DEPTH = 100
_TOP = 10
_PART = 64  # documents embedded in a turn


def compare_models(
    index: OpenIndex,
    topics: Sequence[Query],
    *,
    reranker: str = DEFAULT_CROSS_ENCODER,
    n_documents: int = 256,
    device: str | None = None,
    offline: bool = False,
) -> dict[str, Any]:
    """Seconds, ratios and agreement: `reranking`, `embedding` and `query`.

    Args:
        index: has vectors; its documents are embedded again, its candidates reranked.
        topics: one turn each, the first of all turns warms up and is not counted.
        reranker: the cross-encoder of both.
        n_documents: how many are embedded, evenly spread, 64 in a turn.
        device: of both, the best there is by default; of several, theirs has the first.
        offline: never ask a hub.

    Raises:
        ScisearchError: a model cannot be found, or the index has no vectors.
    """
    from sentence_transformers import CrossEncoder, SentenceTransformer

    device = device or devices_of(choose_device())[0]
    first = devices_of(device)[0]
    config = SearchConfig(mode="rerank", reranker=reranker, device=device, offline=offline)
    pipeline = SearchPipeline(index, config)
    cross_encoder = resolve_model(reranker, offline=offline, kind="cross-encoder")
    bi_encoder = resolve_model(
        str((index.manifest.encoder or {})["name"]), offline=offline, kind="bi-encoder"
    )
    # without it they compute in the file's precision, and the built-in cross-encoder's has 16 bits
    settings: dict[str, Any] = {
        "device": first,
        "local_files_only": True,
        "model_kwargs": {"dtype": precision_on(first)},
    }
    theirs = CrossEncoder(str(cross_encoder.folder), **settings)
    encoder = SentenceTransformer(str(bi_encoder.folder), **settings)
    rate = matrix_rate(first)
    return {
        "device": device,
        "matrix_rate": rate,
        "precision_of_sentence_transformers": [
            str(model.dtype).removeprefix("torch.") for model in (theirs, encoder)
        ],
        "reranking": _reranking(index, topics, config, cross_encoder, theirs, rate),
        "embedding": _embedding(
            index, open_encoder(bi_encoder, device=first), encoder, n_documents
        ),
        "query": _queries(index, topics, pipeline, (encoder, theirs)),
        "models": {one.name: one.sha256 for one in (cross_encoder, bi_encoder)},
        "hardware": hardware(),
        "versions": versions(),
    }


def _reranking(
    index: OpenIndex,
    topics: Sequence[Query],
    config: SearchConfig,
    model: ResolvedModel,
    theirs: "CrossEncoder",
    rate: float,
) -> dict[str, Any]:
    from torch import nn

    ours = open_rerank_stage(index, config)
    hybrid = SearchPipeline(index, SearchConfig(mode="hybrid", cutoff=_DEPTH, offline=True))

    def own_logits(query: str, candidates: NDArray[np.int64]) -> NDArray[Any]:
        return ours.logits([query], [candidates])[0]

    turns, overlaps, correlations = Turns(), list[float](), list[float]()
    asked: list[NDArray[np.int64]] = []
    for place, topic in enumerate(topics):
        ids = [hit.document.doc_id for hit in hybrid.search(topic.text).hits]
        ordinals = np.array([index.documents.ordinal(one) for one in ids], np.int64)
        texts = [(topic.text, text) for text in index.documents.full_texts(ordinals)]
        works: dict[str, Work] = {
            "scisearch": partial(own_logits, topic.text, ordinals),
            "sentence-transformers": partial(
                theirs.predict, texts, activation_fn=nn.Identity(), show_progress_bar=False
            ),
        }
        if place == 0:
            Turns().take(works, first=0)
        found = turns.take(works, first=place)
        own, other = found["scisearch"], found["sentence-transformers"]
        best = [set(np.argsort(-x)[:_TOP].tolist()) for x in (own, other)]
        overlaps.append(len(best[0] & best[1]) / _TOP)
        correlations.append(float(np.corrcoef(own, other)[0, 1]))
        asked.append(ordinals)
    start = time.perf_counter()
    queries = [topic.text for topic in topics]
    ours.logits(queries, asked)
    at_once = time.perf_counter() - start
    read = [one.lengths - one.dropped for one in ours.truncation(queries, asked)]
    pairs = sum(map(len, asked))
    return {
        **turns.to_json(),
        "pairs": pairs,
        "pairs_per_second": {
            **{name: round(pairs / wall, 1) for name, wall in turns.wall().items()},
            "scisearch, all queries at once": round(pairs / at_once, 1),
        },
        "share_of_matrix_rate": _shares(model, np.concatenate(read), turns, rate),
        "runtime": ours.runtime_name,
        "top_10_kept": round(float(np.mean(overlaps)), 3),
        "correlation": round(min(correlations), 4),
    }


def _shares(
    model: ResolvedModel, read: NDArray[np.int64], turns: Turns, rate: float
) -> dict[str, float] | None:
    """Of the rate of a plain matrix product, by who scored pairs with so many ids of texts."""
    operations = encoder_operations(model.folder, read + read_pair_model(model).template.n_special)
    if operations is None:
        return None
    return {name: round(operations / wall / rate, 3) for name, wall in turns.wall().items()}


def _embedding(
    index: OpenIndex, ours: "Encoder", theirs: "SentenceTransformer", n_documents: int
) -> dict[str, Any]:
    ordinals = spread(index.vectors.n_docs, n_documents)
    turns, least = Turns(), 1.0
    for place, start in enumerate(range(0, len(ordinals), _PART)):
        texts = index.documents.full_texts(ordinals[start : start + _PART])
        works: dict[str, Work] = {
            "scisearch": partial(ours.encode_documents, texts),
            "sentence-transformers": partial(
                theirs.encode, texts, normalize_embeddings=True, show_progress_bar=False
            ),
        }
        if place == 0:
            Turns().take(works, first=0)
        found = turns.take(works, first=place)
        cosines = (found["scisearch"] * found["sentence-transformers"]).sum(axis=1)
        least = min(least, float(cosines.min()))
    return {
        **turns.to_json(),
        "documents": len(ordinals),
        "runtime": ours.runtime_name,
        "least_cosine": round(least, 4),
    }


def _queries(
    index: OpenIndex,
    topics: Sequence[Query],
    pipeline: SearchPipeline,
    models: "tuple[SentenceTransformer, CrossEncoder]",
) -> dict[str, Any]:
    """A query from its text to ten documents: 100 candidates reranked by both."""
    import torch
    from sentence_transformers.util import semantic_search

    encoder, cross_encoder = models
    corpus = torch.from_numpy(index.vectors.rows(np.arange(index.vectors.n_docs)))

    def theirs(text: str) -> NDArray[Any]:
        vector = encoder.encode(text, convert_to_tensor=True, show_progress_bar=False)
        found = semantic_search(vector, corpus, top_k=_DEPTH)[0]
        rows = np.array([int(hit["corpus_id"]) for hit in found])
        texts = index.documents.full_texts(rows)
        ranks = cross_encoder.rank(text, texts, top_k=_TOP, show_progress_bar=False)
        return rows[[int(rank["corpus_id"]) for rank in ranks]]

    def ours(text: str) -> NDArray[Any]:
        return np.array([hit.document.doc_id for hit in pipeline.search(text).hits])

    turns = Turns()
    for place, topic in enumerate(topics):
        works: dict[str, Work] = {
            "scisearch": partial(ours, topic.text),
            "sentence-transformers": partial(theirs, topic.text),
        }
        if place == 0:
            Turns().take(works, first=0)
        turns.take(works, first=place)
    return turns.to_json()


@click.command(cls=Command)
@click.option("--index", "folder", required=True, type=click.Path(path_type=Path))
@click.option("--topics", required=True, type=click.Path(path_type=Path))
@click.option("--queries", default=7, show_default=True)
@click.option("--documents", default=256, show_default=True)
@click.option("--reranker", default=DEFAULT_CROSS_ENCODER, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1, ...; the best there is by default.")
@click.option("--offline", is_flag=True, help="Never ask a hub.")
def main(
    folder: Path,
    topics: Path,
    queries: int,
    documents: int,
    reranker: str,
    device: str | None,
    offline: bool,
) -> None:
    """Print the times and ratios as JSON."""
    result = compare_models(
        open_index(folder),
        spread_queries(read_topics(topics), queries),
        reranker=reranker,
        n_documents=documents,
        device=device,
        offline=offline,
    )
    click.echo(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
