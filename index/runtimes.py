"""What computes a model: ONNX Runtime on the processor, or PyTorch; and why that one."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Literal, get_args

from scisearch.index.errors import ConfigError, ModelError
from scisearch.index.models import Kind, ResolvedModel
from scisearch.index.openmp import prepare_openmp

if TYPE_CHECKING:
    from scisearch.index.encoder import Encoder
    from scisearch.index.onnx_prepare import Trial
    from scisearch.index.onnx_store import Stored

Runtime = Literal["auto", "onnx", "torch"]
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """`name` is e.g. "onnx int8" or "torch cpu"; `stored` is the graph, None with PyTorch."""

    name: str
    reason: str
    device: str
    stored: "Stored | None" = None


def check_runtime(runtime: str) -> None:
    """Refuse an unknown runtime.

    Raises:
        ConfigError: it is none of auto, onnx, torch.
    """
    if runtime not in RUNTIMES:
        raise ConfigError(f"runtime {runtime!r}; expected one of {', '.join(RUNTIMES)}")


def choose_device() -> str:
    """`cuda`, `mps` or `cpu`: the first that is here. Imports torch only where one may be."""
    if not accelerator_possible():
        return "cpu"
    prepare_openmp()
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def devices_of(device: str) -> tuple[str, ...]:
    """The devices that `device` names: those between commas, and with `cuda` all that are there.

    Raises:
        ConfigError: it names none.
    """
    names = tuple(name for name in (one.strip() for one in device.split(",")) if name)
    if not names:
        raise ConfigError(
            f"device {device!r}; expected one or, with commas, several: cuda:0,cuda:1"
        )
    if names != ("cuda",):
        return names
    import torch

    n_devices = torch.cuda.device_count()
    return names if n_devices < 2 else tuple(f"cuda:{i}" for i in range(n_devices))


def accelerator_possible() -> bool:
    """Whether the system shows a GPU that PyTorch may be able to use: false is certain."""
    if sys.platform == "darwin":
        return True
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    if sys.platform != "linux":
        return which("nvidia-smi") is not None
    devices = Path("/dev")
    return any(devices.glob("nvidia[0-9]*")) or any(
        (devices / name).exists() for name in ("kfd", "dxg", "nvidiactl")
    )


def choose(
    model: ResolvedModel,
    kind: Kind,
    trial: Callable[[], "Trial"],
    *,
    device: str | None = None,
    runtime: Runtime = "auto",
) -> Choice:
    """The runtime of a model: ONNX Runtime on a CPU where its drift is small, else PyTorch.

    Raises:
        ConfigError: an unknown runtime, or ONNX Runtime and a device that is no CPU.
        ModelError: ONNX Runtime was asked for, and no form of the model is good enough.
    """
    check_runtime(runtime)
    if device is None:
        device = "cpu" if runtime == "onnx" else choose_device()
    if runtime == "onnx" and device != "cpu":
        raise ConfigError(
            f"runtime onnx with device {device}; expected device cpu: leave out one of them"
        )
    if runtime == "torch" or device != "cpu":
        reason = "asked for" if runtime == "torch" else f"there is {device}"
        return Choice(f"torch {device}", reason, device)
    stored = _prepared(model, kind, trial)
    if stored.decision.form != "none":
        return Choice(f"onnx {stored.decision.form}", stored.decision.reason, device, stored)
    if runtime == "onnx":
        raise ModelError(
            f"{model.name}: cannot be computed by ONNX Runtime ({stored.decision.reason});"
            " leave out --runtime onnx"
        )
    return Choice("torch cpu", stored.decision.reason, device)


def told(model: ResolvedModel, kind: Kind) -> str:
    """What computes a model here unless an option says otherwise, and why, in one line."""
    from scisearch.index.onnx_store import find_decision

    device = choose_device()
    if device != "cpu":
        return f"torch {device}: there is {device}"
    decision = find_decision(model, kind)
    if decision is None:
        return "not decided yet: the first build or query with it does, and says so"
    if decision.form == "none":
        return f"torch cpu: {decision.reason}"
    return f"onnx {decision.reason}"


def open_encoder(
    model: ResolvedModel, *, device: str | None = None, runtime: Runtime = "auto"
) -> "Encoder":
    """The bi-encoder on the runtime that is chosen for it.

    Raises:
        ModelError, ConfigError: as `choose`, or the model does not load.
    """
    return encoder_on(model, choose_for_encoder(model, device=device, runtime=runtime))


def choose_for_encoder(
    model: ResolvedModel, *, device: str | None = None, runtime: Runtime = "auto"
) -> Choice:
    """`choose` for a bi-encoder."""

    def trial() -> "Trial":
        from scisearch.index.onnx_encoder import sentence_trial

        return sentence_trial(model)

    return choose(model, "bi-encoder", trial, device=device, runtime=runtime)


def encoder_on(model: ResolvedModel, choice: Choice, *, place: int = 0) -> "Encoder":
    """The bi-encoder, loaded; where the choice has several devices, onto that at `place`."""
    if choice.stored is not None:
        from scisearch.index.onnx_encoder import OnnxEncoder

        return OnnxEncoder(model, choice.stored)
    from scisearch.index.encoder import SentenceTransformerEncoder

    return SentenceTransformerEncoder(model, device=devices_of(choice.device)[place])


def _prepared(model: ResolvedModel, kind: Kind, trial: Callable[[], "Trial"]) -> "Stored":
    from scisearch.index.onnx_prepare import prepared

    return prepared(model, kind, trial)
