"""With which numbers a training computes: float32, or half precision with float32 weights."""

import platform
from pathlib import Path
from typing import Literal, get_args

from scisearch.index.errors import ConfigError

Precision = Literal["auto", "float32", "mixed"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Arithmetic = Literal["float32", "fp16", "bf16"]

# what a processor calls its own bfloat16 products, in PyTorch's words and in Linux's
_NATIVE = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")


def arithmetic(precision: Precision, device: str) -> Arithmetic:
    """What `precision` means on a device: fp16 on CUDA, bf16 on a CPU that has it, else float32.

    `fp16` and `bf16` are automatic mixed precision: products in 16 bits, weights in float32.

    Raises:
        ConfigError: mixed precision was asked for where it would only be slower.
    """
    if precision == "float32":
        return "float32"
    if device.startswith("cuda"):
        return "fp16"
    if device == "cpu" and has_native_bf16():
        return "bf16"
    if precision == "mixed":
        raise ConfigError(
            f"precision mixed on {device}: found no bfloat16 arithmetic in this processor, expected"
            " amx_bf16 or avx512_bf16; use --precision auto"
        )
    return "float32"


def has_native_bf16() -> bool:
    """Whether this processor multiplies bfloat16 numbers itself."""
    import torch

    if hasattr(torch.cpu, "get_capabilities"):  # since PyTorch 2.10 or so
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name) for name in _NATIVE)
    if platform.system() != "Linux":
        return False
    return any(name in _processor_flags() for name in _NATIVE)


def _processor_flags() -> frozenset[str]:
    """The flags of the first processor that Linux names."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def told(chosen: Arithmetic) -> str:
    """The choice as a card says it."""
    return chosen if chosen == "float32" else f"mixed precision ({chosen}, weights in float32)"
