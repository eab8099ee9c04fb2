"""One cross-encoder on several devices that take batches in turn."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scisearch.rerank.batches import Batch
from scisearch.rerank.pair_model import PairModel
from scisearch.rerank.scoring import Pending
from scisearch.rerank.torch_runtime import TorchRuntime


class TorchDevices:
    """Satisfies `Runtime` (rerank/scoring.py).

    A device's copy of the model is loaded when all before it are busy for the first time: one
    query's candidates are one batch, and need one device.
    """

    def __init__(
        self, model: PairModel, devices: Sequence[str], batch_tokens: int | None = None
    ) -> None:
        """Load the model onto the first device.

        Raises:
            ModelError: the model does not load there, or its file lacks weights.
        """
        self._model, self._devices, self._asked = model, devices, batch_tokens
        self._open = [TorchRuntime(model, devices[0], batch_tokens)]
        self._busy = [0] * len(devices)  # batches started there and not waited for
        self.in_flight = self._open[0].in_flight * len(devices)
        self.length_step = self._open[0].length_step

    @property
    def batch_tokens(self) -> int:
        """Rows x longest of one forward pass, on the device with the least memory."""
        return min(one.batch_tokens for one in self._open)

    def start(self, batch: Batch) -> Pending:
        """Start a batch on the device with the fewest batches.

        Raises:
            ModelError: there is no memory for one pair alone, or the model does not load there.
        """
        place = int(np.argmin(self._busy))
        while len(self._open) <= place:
            device = self._devices[len(self._open)]
            self._open.append(TorchRuntime(self._model, device, self._asked))
        pending = self._open[place].start(batch)
        self._busy[place] += 1

        def wait() -> NDArray[np.float32]:
            self._busy[place] -= 1
            return pending()

        return wait
