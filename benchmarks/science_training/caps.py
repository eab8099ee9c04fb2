"""How much of each kind is learned from, and which queries never are: settings are chosen on them.

Whether a query is held out is told by a hash of its text, so that no list of them need be kept and
every preparation holds out the same ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

Held = Literal["without", "only"]

# Lists of each kind, at most: what people type most has most.
KIND_CAPS: Mapping[str, int] = {
    "citation": 11_000,
    "context": 8_000,
    "tldr": 10_000,
    "heading": 10_000,
    "keywords": 9_000,
    "cocitation": 3_000,
    "sentence": 8_000,
    "title": 4_500,
}
# Queries of each source of questions.parquet, at most; the noisiest have none.
SOURCE_CAPS: Mapping[str, int] = {
    "bioasq_snippets": 4_500,
    "bioasq_train6b_sentences": 1_500,
    "boolq": 2_000,
    "disease_ontology": 1_800,
    "edam_ontology": 900,
    "evidence_inference": 4_500,
    "fever_dev": 4_000,
    "fever_symmetric": 800,
    "medalpaca_wikidoc": 2_500,
    "medquad": 5_500,
    "wiki_leads": 2_000,
    "wiki_sections": 4_000,
}
# Share of the queries of a kind, or of a source of questions, that is never learned from.
HELD_OUT: Mapping[str, float] = {
    "citation": 0.02,
    "context": 0.012,
    "cocitation": 0.02,
    "heading": 0.4,
    "keywords": 0.01,
    "tldr": 0.05,
    "bioasq_snippets": 0.15,
    "check_covid": 0.4,
    "covid_qa_deepset": 0.2,
    "disease_ontology": 0.02,
    "evidence_inference": 0.04,
    "medquad": 0.03,
    "sciqag": 0.03,
}


@dataclass(frozen=True, slots=True)
class Caps:
    """How much is chosen."""

    kinds: Mapping[str, int] = field(default_factory=lambda: KIND_CAPS)
    sources: Mapping[str, int] = field(default_factory=lambda: SOURCE_CAPS)
    other_source: int = 3_000  # queries of a source that `sources` does not name
    more_passages: int = 1_500  # of each source, whose questions are not asked
    papers: int = 88_000  # documents of the papers' corpus, those that answer included
    seed: int = 20261127
    licences: tuple[str, ...] = ("open", "share-alike")  # of questions
    held: Held = "without"  # lists without the queries held out, or only those
    held_out: Mapping[str, float] = field(default_factory=lambda: HELD_OUT)

    def takes(self, kind: str, text: str) -> bool:
        """Whether a query of this kind (or source of questions) may be chosen."""
        digest = blake2b(text.strip().lower().encode(), digest_size=8).digest()
        is_out = int.from_bytes(digest, "big") < self.held_out.get(kind, 0.0) * 2**64
        return is_out == (self.held == "only")


def large_caps() -> Caps:
    """What a GPU learns from in half an hour: nearly all there is.

    Questions of unstated terms are among it, those that forbid commerce or allow research alone are
    not. Sentences and titles of papers are without end, and are kept to a third.
    """
    return Caps(
        kinds={
            "citation": 40_000,
            "context": 40_000,
            "tldr": 10_000,
            "heading": 10_000,
            "keywords": 40_000,
            "cocitation": 16_000,
            "sentence": 60_000,
            "title": 30_000,
        },
        sources={
            "bioasq_train6b_sentences": 3_000,
            "disease_ontology": 5_000,
            "edam_ontology": 1_500,
            "fever_dev": 9_000,
            "trec_cast": 0,
        },
        other_source=20_000,
        more_passages=0,
        papers=190_000,
        licences=("open", "share-alike", "unstated"),
    )
