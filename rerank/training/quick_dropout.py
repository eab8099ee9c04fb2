"""Dropout on a CPU whose random numbers do not take half of a training step.

PyTorch draws a CPU's dropout one number after another, 10 ns each: of a step of 16 pairs of 256
tokens that was 0.95 of 1.95 s (benchmarks/LOG.md, 2026-11-28). Imports torch at the top: import it
inside functions only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_VALUES = 2**16  # a number's 16 bits say whether its place stays


class QuickDropout(TorchFunctionMode):
    """Within it `torch.nn.functional.dropout` of a CPU's tensors takes its bits four at once.

    The chance is p to 2^-17, the scale 1 over what really stays. The numbers follow PyTorch's
    generator, which checkpoints keep, so that a continued training draws what a whole one would.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace dropout, and leave everything else as it is."""
        if func is functional.dropout:
            return _dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """The arguments of `torch.nn.functional.dropout`, by its names."""
    dropped = round(p * _VALUES)
    if not training or inplace or not 0 < dropped < _VALUES or input.device.type != "cpu":
        return functional.dropout(input, p, training, inplace)
    seed = int(torch.randint(2**63 - 1, ()))
    numbers = np.random.SFC64(seed).random_raw((input.numel() + 3) // 4).view(np.int16)
    kept = torch.from_numpy(numbers[: input.numel()]) >= dropped - _VALUES // 2
    scale = kept.view(input.shape).to(input.dtype).mul_(_VALUES / (_VALUES - dropped))
    return input * scale
