"""Which share of a device's matrix rate a model reaches.

That is its operations a second, by those of a plain matrix product measured there and then.
"""

import json
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

_SIDES = {"cpu": 2048, "cuda": 8192}
_TURNS = 7


def precision_on(device: str) -> "torch.dtype":
    """What models are computed in there: half precision on CUDA, float32 elsewhere."""
    import torch

    return torch.float16 if device.startswith("cuda") else torch.float32


def matrix_rate(device: str) -> float:
    """Operations a second of a square matrix product, in the precision of the device.

    An operation is a multiplication or an addition; a product of side n has 2 n^3.
    """
    import torch

    side = _SIDES.get(device.partition(":")[0], _SIDES["cpu"])
    kind = precision_on(device)
    one, other = (torch.randn(side, side, dtype=kind, device=device) for _ in range(2))
    seconds = []
    for _ in range(_TURNS):
        _wait(one)
        start = time.perf_counter()
        product = one @ other
        _wait(product)
        seconds.append(time.perf_counter() - start)
    return float(2 * side**3 / median(seconds))


def encoder_operations(folder: Path, lengths: NDArray[np.int64]) -> float | None:
    """Operations of a transformer encoder's products for texts of these lengths, without padding.

    For each layer 2 n (4 h^2 + 2 h f) + 4 n^2 h, with n tokens, hidden size h and feed-forward size
    f: query, key, value and output, both feed-forward products, scores and their mean (Kaplan et
    al. 2020, arXiv:2001.08361, table 1). None: config.json does not name the three sizes.

    Args:
        folder: the model's.
        lengths: tokens of each text, special ones included; (n,) int64.
    """
    config = json.loads((folder / "config.json").read_bytes())
    names = ("num_hidden_layers", "hidden_size", "intermediate_size")
    if not all(isinstance(config.get(name), int) for name in names):
        return None
    layers, hidden, wide = (config[name] for name in names)
    n = lengths.astype(np.float64)
    products = 2 * n * (4 * hidden**2 + 2 * hidden * wide) + 4 * n**2 * hidden
    return float(layers * products.sum())


def _wait(tensor: "torch.Tensor") -> None:
    import torch

    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
