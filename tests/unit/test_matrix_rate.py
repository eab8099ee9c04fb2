import json
from pathlib import Path

import numpy as np
import torch

from scisearch.benchmarks.matrix_rate import encoder_operations, matrix_rate, precision_on


def test_operations_by_hand(tmp_path: Path) -> None:
    sizes = {"num_hidden_layers": 2, "hidden_size": 3, "intermediate_size": 5}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    # query, key, value and output; feed forward; scores and their mean
    of_seven = 4 * 2 * 7 * 9 + 2 * 2 * 7 * 15 + 2 * 2 * 49 * 3
    of_one = 4 * 2 * 9 + 2 * 2 * 15 + 2 * 2 * 3
    assert encoder_operations(tmp_path, np.array([7, 1])) == 2 * (of_seven + of_one)


def test_sizes_that_are_not_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert encoder_operations(tmp_path, np.array([7])) is None


def test_the_rate_of_this_processor() -> None:
    assert matrix_rate("cpu") > 1e8
    assert precision_on("cuda:1") == torch.float16
    assert precision_on("cpu") == torch.float32
