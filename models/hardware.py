"""The machine: its devices, its name in words, and what its C library does with freed memory.

Importing it imports no torch, so that a device is checked only where one is named.
"""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

from models.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def resolve_device(device: str) -> str:
    """'auto' is the GPU where there is one; UserError for a device this machine lacks."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= found:
        raise UserError(
            f"run.device: expected a device of this machine, got {device!r} and {found} GPUs are found; "
            "use 'auto' or 'cpu'"
        )
    return device


def hardware() -> str:
    """Processor, cores and GPU in words."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {os.cpu_count()} cores, no GPU"


@cache
def keep_freed_memory() -> None:
    """Have glibc keep what this process frees, instead of returning it to the kernel and faulting it in again.

    A network frees and takes the same megabytes in every layer: sampling pocket on 2 cores spent 13 % of its time in
    the kernel for that, training a third. Nothing happens with another C library.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        for parameter, value in ((M_TRIM_THRESHOLD, 2**31 - 1), (M_MMAP_THRESHOLD, 2**30)):
            libc.mallopt(parameter, value)


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
