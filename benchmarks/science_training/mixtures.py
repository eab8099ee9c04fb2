"""Which share of the lists is of which kind, from the first step to the last."""

from collections.abc import Mapping

from scisearch.index.errors import ConfigError

Mixture = Mapping[str, tuple[float, float]]  # a kind's share at the first step and at the last

# General first, science and claims last.
MIXTURE: Mixture = {
    "question": (0.28, 0.24),
    "qkeywords": (0.09, 0.07),
    "claim": (0.09, 0.13),
    "definition": (0.03, 0.02),
    "citation": (0.08, 0.06),
    "context": (0.07, 0.06),
    "cocitation": (0.03, 0.03),
    "tldr": (0.06, 0.07),
    "keywords": (0.11, 0.11),
    "sentence": (0.06, 0.05),
    "title": (0.05, 0.05),
    "heading": (0.02, 0.02),
    "scifact": (0.03, 0.05),
}
# In a million lists those of the small kinds would come dozens of times with the shares of MIXTURE;
# here, some six times.
GPU_MIXTURE: Mixture = {
    "question": (0.26, 0.23),
    "qkeywords": (0.08, 0.07),
    "claim": (0.07, 0.08),
    "definition": (0.02, 0.015),
    "citation": (0.12, 0.11),
    "context": (0.12, 0.12),
    "cocitation": (0.05, 0.05),
    "tldr": (0.02, 0.02),
    "keywords": (0.13, 0.12),
    "sentence": (0.1, 0.08),
    "title": (0.06, 0.05),
    "heading": (0.005, 0.005),
    "scifact": (0.004, 0.008),
}


def with_shares(mixture: Mixture, shares: Mapping[str, float]) -> Mixture:
    """The mixture with these shares, from the first step to the last.

    The kinds that are not named share the rest as they did among themselves.

    Raises:
        ConfigError: a kind is not in the mixture, or a share or their sum is not within [0, 1].
    """
    unknown = [kind for kind in shares if kind not in mixture]
    if unknown:
        raise ConfigError(f"kind {unknown[0]!r} of lists; expected one of {', '.join(mixture)}")
    rest = 1 - sum(shares.values())
    if not rest >= -1e-9 or not min(shares.values(), default=0.0) >= 0:
        told = ", ".join(f"{kind}={share:g}" for kind, share in shares.items())
        raise ConfigError(f"shares of lists {told}; expected numbers from 0, together at most 1")
    others = {kind: both for kind, both in mixture.items() if kind not in shares}
    first, last = (sum(both[end] for both in others.values()) for end in (0, 1))
    mixed = {kind: (share, share) for kind, share in shares.items() if share}
    if rest > 1e-9 and others:
        mixed |= {
            kind: (rest * begin / first, rest * end / last) for kind, (begin, end) in others.items()
        }
    return mixed
