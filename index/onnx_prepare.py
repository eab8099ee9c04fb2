"""Which form of a model may take PyTorch's place on a processor: 8 bits, float32 or none?

Decided once for a model and a processor, by trying each form on the sample texts against PyTorch
float32, then kept (index/onnx_store.py). Only this needs PyTorch.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from scisearch.index.cache_folder import CACHE_VARIABLE
from scisearch.index.models import Kind, ResolvedModel
from scisearch.index.onnx_bert import Output
from scisearch.index.onnx_drift import Drift
from scisearch.index.onnx_rounding import LARGEST
from scisearch.index.onnx_saturation import largest_code
from scisearch.index.onnx_session import Floats, OnnxModel, TokenRow
from scisearch.index.onnx_store import Decision, Form, Stored, can_keep, find, keep, store_folder

_log = logging.getLogger("scisearch")
_FLOAT_SHARES: dict[Output, float] = {"tokens": 1 / 48, "logit": 0}
"""Of a layer norm's channels before attention, in 8-bit forms. It costs a thirtieth of the speed;
rankings by vectors want their third decimals, reranked ones do not (benchmarks/LOG.md)."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What a form is tried on, and by what it is judged."""

    output: Output
    has_segments: bool
    rows: Sequence[TokenRow]
    finish: Callable[[Sequence[Floats]], Floats]  # outputs of the rows -> scores or vectors
    reference: Callable[[], Floats]  # the same by PyTorch float32
    drift: Callable[[Floats, Floats], Drift]  # of reference and form


class UnsupportedModel(Exception):
    """Why a model is left to PyTorch before any form is tried."""


def prepared(model: ResolvedModel, kind: Kind, trial: Callable[[], Trial]) -> Stored:
    """The kept decision about a model, or a new one, which takes some seconds and says so."""
    found = find(model, kind)
    if found is not None:
        return found
    if not can_keep():
        reason = f"the cache folder {store_folder()} cannot be written; {CACHE_VARIABLE} names one"
        return Stored(Decision("none", reason, {}), b"")
    try:
        tried_on = trial()
    except UnsupportedModel as unsupported:
        return Stored(Decision("none", str(unsupported), {}), b"")
    _log.warning("%s: preparing it for this processor, once (some 10 to 30 seconds)", model.name)
    made = _decide(model, tried_on)
    try:
        keep(model, kind, made)
    except OSError as error:
        _log.warning("%s: %s; prepared again next time", error.filename, error.strerror)
    return made


def _decide(model: ResolvedModel, trial: Trial) -> Stored:
    expected = trial.reference()
    refused: list[str] = []
    for form, content in _forms(model, trial, refused):
        try:
            drift = _drift(content, trial, expected)
        except Exception as error:  # a kernel may refuse a graph only when it runs
            refused.append(f"{form}: {_first_line(error)}")
            continue
        if drift.accepted:
            told = [f"{form}: {drift.words}"]
            if form == "int8" and largest_code() < LARGEST:
                told.append("weights of 7 bits, since this processor cuts off sums of larger ones")
            reason = "; ".join([*told, *(f"not {one}" for one in refused)])
            digest = hashlib.sha256(content).hexdigest()
            return Stored(Decision(form, reason, drift.measures, digest), content)
        refused.append(f"{form}: {drift.words}")
    return Stored(Decision("none", "; ".join(f"not {one}" for one in refused), {}), b"")


def _forms(model: ResolvedModel, trial: Trial, refused: list[str]) -> Iterator[tuple[Form, bytes]]:
    """The forms, the fastest first; what cannot be made is added to `refused`."""
    from scisearch.index.onnx_calibration import calibrated
    from scisearch.index.onnx_export import float_graph
    from scisearch.index.onnx_quantise import quantised

    try:
        graph = float_graph(model.folder, trial.output, has_segments=trial.has_segments)
        whole = graph.SerializeToString()
        seen = calibrated(graph, trial.rows)
    except Exception as error:  # whatever PyTorch's tracer and the model's own code raise
        refused.append(f"ONNX: {_first_line(error)}")
        return
    try:
        small = quantised(graph, seen, float_share=_FLOAT_SHARES[trial.output])
        yield "int8", small.SerializeToString()
    except ValueError as error:  # more than protobuf's 2 GiB, moments that have no inverse
        refused.append(f"int8: {_first_line(error)}")
    yield "float32", whole


def _drift(content: bytes, trial: Trial, expected: Floats) -> Drift:
    return trial.drift(expected, trial.finish(OnnxModel(content, "trial").run(trial.rows)))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
