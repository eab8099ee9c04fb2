"""Where a benchmark ran: versions, hardware, memory; and what a fresh command costs there."""

import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scisearch.index.errors import ConfigError
from scisearch.index.manifest import library_versions

_MORE_LIBRARIES = ("ir-measures", "scipy", "tokenizers", "transformers")
_SHOWN_ERROR = 200
_LOOK_SECONDS = 0.02


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that take part."""
    found = {"python": platform.python_version(), **library_versions()}
    for name in _MORE_LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, object]:
    """Processor, cores, memory in bytes, threads allowed, accelerator and system."""
    return {
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "memory_bytes": _memory(),
        "accelerator": _accelerator(),
    }


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process holds and held at most, in bytes; None where the system does not say.

    Resident pages of memory-mapped index files are among it. `vram_allocated` is what tensors
    took at most, `vram_reserved` what torch took from the GPU for them, both without the driver's
    own; None without CUDA.
    """

    rss: int | None
    peak_rss: int | None
    vram_allocated: int | None
    vram_reserved: int | None
    since: str  # when the peak was last set back


def reset_peak_memory() -> str:
    """Count the peaks from now on where the system can; since when they are counted."""
    torch = _cuda()
    if torch is not None:
        torch.cuda.reset_peak_memory_stats()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # man 5 proc: resets VmHWM
    except OSError:
        return "process start"
    return "models loaded"


def memory(since: str) -> Memory:
    """The memory of this process; `since` is what `reset_peak_memory` told."""
    found = _status_bytes("self")
    torch = _cuda()
    return Memory(
        rss=found.get("VmRSS"),
        peak_rss=found.get("VmHWM", peak_rss_bytes()),
        vram_allocated=torch and int(torch.cuda.max_memory_allocated()),
        vram_reserved=torch and int(torch.cuda.max_memory_reserved()),
        since=since,
    )


def peak_rss_bytes() -> int | None:
    """The largest resident memory of this process so far; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    return _maxrss_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def cold_start(arguments: Sequence[str]) -> dict[str, object]:
    """Wall time in seconds and peak memory of one fresh `search` command, from start to end.

    The files it reads are in the system's cache or not, as they happen to be.

    Raises:
        ConfigError: the command failed.
    """
    # -P: a folder named `index` where the user stands must not be taken for ours
    command = [sys.executable, "-P", "-m", "scisearch.cli", *arguments]
    begin = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        peaks: list[int] = []
        watcher = threading.Thread(target=watch_memory, args=(process.pid, peaks), daemon=True)
        watcher.start()
        _, message = process.communicate()
    seconds = time.perf_counter() - begin
    watcher.join()
    if process.returncode:
        last = " ".join(message.decode(errors="replace").split())[-_SHOWN_ERROR:]
        raise ConfigError(
            f"cold start: search {arguments[0]} ended with code {process.returncode}: {last}"
        )
    return {"seconds": seconds, "peak_rss_bytes": max(peaks, default=None)}


def watch_memory(pid: int, peaks: list[int]) -> None:
    """Note the peak of a process every few milliseconds until it is gone.

    Not wait4's maximum: that of a started process begins with the memory of its parent.
    """
    while True:
        peak = _status_bytes(pid).get("VmHWM")
        if peak is None:  # ended, waited for or not
            return
        peaks.append(peak)
        time.sleep(_LOOK_SECONDS)


def _status_bytes(pid: int | str) -> dict[str, int]:
    """VmRSS and VmHWM of a process; nothing where it has ended, or the system has no /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    fields = (line.partition(":") for line in lines)
    return {
        name: int(value.split()[0]) * 1024
        for name, _, value in fields
        if name in ("VmRSS", "VmHWM")
    }


def _maxrss_bytes(value: int) -> int:
    """Linux counts kilobytes here, macOS bytes."""
    return value if sys.platform == "darwin" else value * 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _accelerator() -> str | None:
    """What torch would use; None where no system needed torch."""
    torch = _cuda()
    return None if torch is None else str(torch.cuda.get_device_name(0))


def _cuda() -> Any:
    """torch, where a system needed it and it has a GPU; else None."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_available() else None
