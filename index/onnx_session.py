"""An ONNX model over rows of token ids, on the processor's cores. Needs no PyTorch.

Every row is computed by itself: nothing is padded, nothing is masked, a row's output depends on no
other row, and the cores share the rows instead of the matrices. ONNX Runtime's own thread pool
stays off, so that it does not compete with those of FAISS and PyTorch.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scisearch.index.errors import ModelError

Floats = NDArray[np.float32]

# Slower than Add and LayerNormalization by themselves: the fused kernel of CPUs is a scalar loop.
_LEFT_OUT = ["SkipLayerNormFusion"]
_ERRORS_ONLY = 3


class TokenRow(NamedTuple):
    """One input of a model, special tokens included; both arrays are (n,) int64."""

    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]


class OnnxModel:
    """An open session; satisfies any number of callers at once."""

    def __init__(self, content: bytes, where: str, *, threads: int | None = None) -> None:
        """Open a model from its bytes. `threads` None is one for each core there is.

        Raises:
            ModelError: ONNX Runtime does not open it; `where` is what the message names.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # one pattern a length would be kept
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session: Any = onnxruntime.InferenceSession(
                content,
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_LEFT_OUT,
            )
        except Exception as error:  # its exceptions have no common base but Exception
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ModelError(f"{where}: ONNX Runtime does not open it ({line})") from error
        self._inputs = {one.name for one in self._session.get_inputs()}
        self._outputs = [one.name for one in self._session.get_outputs()]
        self.threads = core_count() if threads is None else threads

    def run(self, rows: Sequence[TokenRow]) -> list[Floats]:
        """The first output of each row, in order, without its first axis."""
        threads = min(self.threads, len(rows))
        if threads < 2:
            return [self._first(row) for row in rows]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self._first, rows))

    def run_all(self, row: TokenRow) -> dict[str, Floats]:
        """Every output of one row by name, without its first axis."""
        outputs = self._session.run(self._outputs, self._feed(row))
        return {name: value[0] for name, value in zip(self._outputs, outputs, strict=True)}

    def _first(self, row: TokenRow) -> Floats:
        output: Floats = self._session.run(self._outputs[:1], self._feed(row))[0][0]
        return output

    def _feed(self, row: TokenRow) -> dict[str, NDArray[np.int64]]:
        feed = {"input_ids": row.ids[None]}
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = row.type_ids[None]
        return feed


def core_count() -> int:
    """The cores this process may use; fewer where OMP_NUM_THREADS says so."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return max(1, min(cores, int(wanted))) if wanted.isdigit() else max(1, cores)
