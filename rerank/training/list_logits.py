"""The logits of a batch of lists, as the losses over lists need them.

Imports torch at the top: import it inside functions only.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

ABSENT = -1e4  # the correction of a place without a text: finite, and its softmax is 0


class ScoredLists:
    """A batch of `examples.residual_rows` with its logits; all are (lists, texts) float32.

    Where a list has fewer texts than the longest, its logits and offsets are 0 and its corrections
    ABSENT. `has_offset` (lists,) is 1, or 0 where the offsets mean nothing.
    """

    def __init__(
        self,
        model: "CrossEncoder",
        inputs: tuple[list[str], list[list[str]]],
        labels: Sequence[Tensor],
        *,
        prompt: str | None = None,
        task: str | None = None,
    ) -> None:
        """Score all pairs of (queries, texts of each); a label: `examples.residual_rows`."""
        queries, texts = inputs
        pairs = [(query, text) for query, some in zip(queries, texts, strict=True) for text in some]
        features = {
            name: value.to(model.device) if isinstance(value, Tensor) else value
            for name, value in model.preprocess(pairs, prompt=prompt, task=task).items()
        }
        flat = model(features)["scores"].view(-1).float()
        lengths = [len(some) for some in texts]
        numbers = [label.to(flat) for label in labels]
        self.logits = _padded(list(flat.split(lengths)), 0.0)
        self.offsets = _padded([one[:n] for one, n in zip(numbers, lengths, strict=True)], 0.0)
        corrections = [one[n:-1] for one, n in zip(numbers, lengths, strict=True)]
        self.corrections = _padded(corrections, ABSENT)
        self.has_offset = torch.stack([one[-1] for one in numbers])


def _padded(rows: list[Tensor], fill: float) -> Tensor:
    """Rows of several lengths as one matrix."""
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=fill)
