"""From a corpora folder to one packed file: chosen, cleaned, first stage asked, tokenised."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scisearch.benchmarks.science_training.candidates import (
    FirstStage,
    Told,
    candidates,
    index_corpora,
)
from scisearch.benchmarks.science_training.caps import KIND_CAPS, SOURCE_CAPS, Caps, large_caps
from scisearch.benchmarks.science_training.choice import Choice, choose
from scisearch.benchmarks.science_training.cleaning import scifact_claims, without_leaks
from scisearch.benchmarks.science_training.packed import write_packed
from scisearch.benchmarks.science_training.packing import Lengths, pack_lists
from scisearch.index.durable import replace_file
from scisearch.index.errors import ConfigError
from scisearch.index.models import DEFAULT_BI_ENCODER, resolve_model
from scisearch.index.progress import Progress
from scisearch.rerank.training.leakage import render_leaks

PACKED_FILE = "packed.npz"
_LEXICAL = 32  # candidates of BM25 that a large preparation keeps


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is prepared, and how."""

    collections: Path  # a folder of test collections: what the model is judged on
    not_judged: Sequence[str] = ()  # of those, collections that it may learn from
    share: float = 1.0  # of the lists of every kind and of the papers
    large: bool = False  # nearly all lists, and of each BM25's best: a GPU adds the dense list
    encoder: str | None = None
    no_dense: bool = False
    tokenizer: Path | None = None
    offline: bool = False

    def caps(self) -> Caps:
        """How much is chosen.

        Raises:
            ConfigError: the share is not above 0 and at most 1, or the preparation is large and
                also has a share, or an encoder for the first stage.
        """
        if not 0 < self.share <= 1:
            raise ConfigError(f"share {self.share}; expected above 0 and at most 1")
        if self.large:
            if self.share != 1 or self.encoder is not None or self.no_dense:
                raise ConfigError(
                    "large preparation: found a share or an encoder too, expected neither: it"
                    " takes nearly all lists and BM25's candidates, and `learn` adds the dense ones"
                )
            return large_caps()
        return Caps(
            kinds=_part(KIND_CAPS, self.share),
            sources=_part(SOURCE_CAPS, self.share),
            other_source=max(1, round(Caps().other_source * self.share)),
            more_passages=round(Caps().more_passages * self.share),
            papers=round(Caps().papers * self.share),
        )

    def first_stage(self) -> FirstStage:
        """How candidates are found."""
        if self.large:
            return FirstStage(negatives=_LEXICAL, best_only=True)
        encoder = None if self.no_dense else self.encoder or DEFAULT_BI_ENCODER
        return FirstStage(encoder=encoder, offline=self.offline)

    def tokenizer_folder(self) -> Path:
        """The model whose tokenizer makes the ids."""
        if self.tokenizer is not None:
            return self.tokenizer
        name = self.encoder or DEFAULT_BI_ENCODER
        return resolve_model(name, offline=self.offline, kind="bi-encoder").folder


def prepare_lists(
    corpora: Path, output: Path, options: Preparation, *, progress: Progress | None = None
) -> str:
    """Write `output/packed.npz`, and beside it what leaked and which claims were kept back.

    Indexes stay in `output`; a killed preparation finds them again. Returns what was done, as text.

    Raises:
        ScisearchError: as its parts say.
    """
    caps = options.caps()
    tokenizer = options.tokenizer_folder()
    output.mkdir(parents=True, exist_ok=True)
    claims = scifact_claims(options.collections, seed=caps.seed, left_out=options.not_judged)
    chosen = choose(corpora, caps)
    whole = Choice(
        [*chosen.lists, *claims.choice.lists], {**chosen.documents, **claims.choice.documents}
    )
    clean, leaks = without_leaks(whole, claims.judged)
    first_stage = options.first_stage()
    indexes = index_corpora(clean, output, first_stage, progress=progress)
    told: list[Told] = []
    for name, index in indexes.items():
        lists = [one for one in clean.lists if one.corpus == name]
        told += candidates(lists, index, first_stage, progress=progress)
    documents = {name: index.documents for name, index in indexes.items()}
    lengths = Lengths(text=340) if options.large else Lengths()
    packed = pack_lists(told, documents, tokenizer, lengths=lengths)
    for name, value in (("leaks", leaks.to_json()), ("scifact-dev", list(claims.dev_ids))):
        replace_file(output / f"{name}.json", json.dumps(value, ensure_ascii=False).encode())
    path = output / PACKED_FILE
    write_packed(packed, path)
    return (
        f"{render_leaks(leaks)}\n{len(whole.lists)} lists chosen, {len(clean.lists)} without leaks,"
        f" {len(packed)} with candidates\n{path}: {path.stat().st_size / 1e6:.1f} MB"
    )


def _part(caps: Mapping[str, int], share: float) -> dict[str, int]:
    return {name: max(1, round(cap * share)) for name, cap in caps.items()}
