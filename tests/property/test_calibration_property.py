import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from scisearch.index.errors import TrainingError
from scisearch.rerank.calibration import METHODS, Calibration, Method, fit_calibration

logits = st.floats(-30, 30).map(lambda value: round(value, 3))
pairs = st.lists(st.tuples(logits, st.integers(0, 1)), min_size=2, max_size=40)


@given(pairs=pairs, asked=st.lists(logits, min_size=1), method=st.sampled_from(METHODS))
def test_probabilities_lie_inside_0_and_1_and_never_fall(
    pairs: list[tuple[float, int]], asked: list[float], method: Method
) -> None:
    scores, labels = (np.array(column) for column in zip(*pairs, strict=True))
    try:
        found = fit_calibration(scores, labels, method=method)
    except TrainingError:
        assume(False)
        return
    given_ = found.probabilities(np.sort(asked))
    assert ((given_ > 0) & (given_ < 1)).all()
    assert (np.diff(given_) >= 0).all()
    assert Calibration.from_json(found.to_json()) == found
