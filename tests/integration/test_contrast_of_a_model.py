"""The contrast suite with a cross-encoder: the tiny one, whose weights are random."""

from pathlib import Path

import numpy as np
import pytest

from scisearch.benchmarks.contrast import contrast, contrast_pairs, cross_encoder_scorer

pytestmark = pytest.mark.slow


def test_a_cross_encoder_scores_every_pair(tiny_cross_encoder: Path) -> None:
    score = cross_encoder_scorer(tiny_cross_encoder, device="cpu")
    report = contrast(score)
    assert report.overall.n == len(contrast_pairs())
    pair = contrast_pairs()[-1]
    better, worse = score([pair.query] * 2, [pair.better, pair.worse])
    assert np.isfinite([better, worse]).all()
    assert (pair.pair_id in report.lost) == (better <= worse)
