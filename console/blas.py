"""The threads of numpy's OpenBLAS: asleep where a command has no work for them."""

import os

# OpenBLAS's exponent of 2 of processor cycles; its own is 26, some 30 ms on each core.
_IDLE_CYCLES = "20"


def rest_idle_threads() -> None:
    """Let them spin for 0.3 ms, then sleep. To be called before numpy is imported.

    By its own setting OpenBLAS has every thread but one spin from numpy's import on, which costs
    a command that multiplies nothing as much processor time as importing numpy itself.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", _IDLE_CYCLES)
