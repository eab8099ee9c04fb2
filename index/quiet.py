"""Libraries that load and train models talk a lot; what matters in it is raised or told by us."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOGGERS = ("sentence_transformers", "transformers", "accelerate", "datasets")


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, no reports, no warnings from the libraries; restored afterwards."""
    from transformers.utils import logging as reports

    # Named anew because transformers leaves its two switches without types.
    show_bars: Callable[[], None] = reports.enable_progress_bar
    hide_bars: Callable[[], None] = reports.disable_progress_bar
    had_bars = reports.is_progress_bar_enabled()
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    hide_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if had_bars:
            show_bars()
