"""Word vectors for a corpus, distilled from a bi-encoder.

1. The words: those of the corpus, the most frequent first.
2. A first vector for each word: what the bi-encoder makes of the word alone, weighed by how rare
   it is in the corpus: a / (a + p), Arora, Liang and Ma, "A Simple but Tough-to-Beat Baseline for
   Sentence Embeddings", ICLR 2017. So far as model2vec goes.
3. The fit: the smallest change of these vectors with which a sample of the documents get the
   vectors that the bi-encoder gives them (ridge regression in closed form: no chance, no epochs).

Knows nothing of indexes; the bi-encoder's vectors are kept in a folder, so that a distillation
that was stopped continues.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scisearch.index.documents import Documents
from scisearch.index.embedding import Opener, embed_shards, read_shards
from scisearch.index.progress import Progress, stage_of
from scisearch.index.static_encoder import write_static_encoder
from scisearch.index.static_words import UNKNOWN, WordIds, count_words

Matrix = NDArray[np.float64]

_MOST_WORDS = 60_000
_LEAST_DOCUMENTS = 2  # that a word stands in; a word of one document tells BM25 enough
_COUNTED_DOCUMENTS = 100_000
_FITTED_DOCUMENTS = 4_096
_RARITY = 1e-3  # the `a` of the weights: the share of all words at which a word's weight is half
_STIFFNESS = 1.0  # of the ridge, in mean squared lengths of the rows fitted
_SHARD = 256  # texts the bi-encoder embeds between two points to continue from


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the bi-encoder is asked: words alone, and texts to fit; and the words' shares."""

    words: list[str]
    shares: Matrix  # (n_words,) of all the words counted
    texts: list[str]


def distil(
    documents: Documents,
    work: Path,
    folder: Path,
    openers: Sequence[Opener],
    progress: Progress,
) -> None:
    """Write a static encoder for these documents into `folder`.

    The same documents and bi-encoder give the same bytes on the same machine.

    Args:
        documents: what it shall be good at.
        work: keeps what is done of it; of use only for the same documents and bi-encoder.
        folder: where to write; is made.
        openers: each opens the bi-encoder on a device, where something is to be embedded.
        progress: told how many words and texts the bi-encoder has embedded.
    """
    sample = _draw(documents)
    asked = [*sample.words, *sample.texts]
    with stage_of(progress, "distil", len(asked)):
        embed_shards(_shards(asked, progress), work, openers)
    answers = np.concatenate(list(read_shards(work))) if asked else np.zeros((0, 1))
    own, targets = np.split(answers.astype(np.float64), [len(sample.words)])
    vocabulary = [UNKNOWN, *sample.words]
    rarity = np.concatenate([[0], _RARITY / (_RARITY + sample.shares)])
    first = rarity[:, None] * np.concatenate([np.zeros((1, own.shape[1])), own])
    ids = WordIds(vocabulary)
    fitted = fit(first, [ids.ids(text) for text in sample.texts], targets, np.sqrt(rarity))
    # Rounded, so that the last bits of the algebra, which depend on the number of its threads, do
    # not show.
    write_static_encoder(folder, vocabulary, fitted.astype(np.float16).astype(np.float32))


def fit(
    first: Matrix, rows: Sequence[NDArray[np.int64]], targets: Matrix, readiness: Matrix
) -> Matrix:
    """The word vectors nearest to `first` whose sums over the rows point as the targets do.

    With A the shares of the words in each row, each row scaled so that it gives a vector of about
    unit length, and W = diag(readiness): M = argmin |A first M - targets|, then
    first M + W (A W)' (A W W' A' + s I)^-1 (targets - A first M).

    Args:
        first: (n_words, dimension).
        rows: the word ids of each text fitted.
        targets: (n_rows, dimension), unit rows.
        readiness: (n_words,) how readily each word's vector changes; 0 is not at all.
    """
    import scipy.sparse

    sizes = [len(row) for row in rows]
    if not sum(sizes):
        return first.copy()
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    shape = (len(rows), len(first))
    ones = np.ones(sum(sizes))
    a = scipy.sparse.csr_array((ones, np.concatenate(rows), bounds), shape=shape)
    a.sum_duplicates()
    sums = a @ first
    lengths = np.linalg.norm(sums @ _turn(sums, targets), axis=1)
    a = scipy.sparse.diags_array(1 / np.where(lengths > 0, lengths, np.inf)) @ a
    turned = first @ _turn(a @ first, targets)
    changed = a @ scipy.sparse.diags_array(readiness)
    gram = (changed @ changed.T).toarray()
    gram.flat[:: len(rows) + 1] += max(_STIFFNESS * gram.trace() / len(rows), 1e-12)
    change = changed.T @ np.linalg.solve(gram, targets - a @ turned)
    return np.asarray(turned + readiness[:, None] * change)


def _turn(means: Matrix, targets: Matrix) -> Matrix:
    """The matrix that brings the means nearest to the targets; kept from growing by a hair."""
    square = means.T @ means
    square.flat[:: len(square) + 1] += 1e-6 * max(float(square.trace()), 1e-12) / len(square)
    return np.asarray(np.linalg.solve(square, means.T @ targets), np.float64)


def _draw(documents: Documents) -> _Sample:
    counted = documents.full_texts(_spread(len(documents), _COUNTED_DOCUMENTS))
    occurrences, spread = count_words(counted)
    words = _frequent(spread)
    total = max(occurrences.total(), 1)
    shares = np.array([occurrences[word] / total for word in words], np.float64)
    places = _spread(len(documents), _FITTED_DOCUMENTS)
    return _Sample(words, shares, documents.full_texts(places))


def _frequent(documents: Counter[str]) -> list[str]:
    """The words of the most documents, ties in rising order; all of them in a tiny corpus."""
    enough = [word for word, n in documents.items() if n >= _LEAST_DOCUMENTS] or list(documents)
    return sorted(enough, key=lambda word: (-documents[word], word))[:_MOST_WORDS]


def _spread(n_rows: int, count: int) -> NDArray[np.int64]:
    """`count` row numbers evenly over all: a corpus sorted by year is learnt from as a whole."""
    return np.unique(np.linspace(0, max(n_rows - 1, 0), min(count, n_rows)).astype(np.int64))


def _shards(texts: Sequence[str], progress: Progress) -> Iterator[list[str]]:
    for start in range(0, len(texts), _SHARD):
        yield list(texts[start : start + _SHARD])
        progress.advance(min(_SHARD, len(texts) - start))
