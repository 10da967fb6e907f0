"""The machine: its devices, a description of it, and what its C library does with freed memory.

Importing it imports no torch, which only the functions need.
"""

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

from models.errors import UserError

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from malloc.h


def resolve_device(device: str) -> str:
    """'auto' is the GPU if there is one, else the CPU; UserError for a device that this machine lacks."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.startswith("cuda") and int(device.partition(":")[2] or 0) >= num_gpus:
        raise UserError(
            f"run.device: expected a device of this machine, got {device!r}, and it has {num_gpus} GPUs; "
            "use 'auto' or 'cpu'"
        )
    return device


def hardware() -> str:
    """The GPU's name, or the processor's name and number of cores."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{_processor()}, {os.cpu_count()} cores, no GPU"


@cache
def keep_freed_memory() -> None:
    """Make glibc keep the memory that this process frees, instead of returning it to the kernel.

    A network frees and allocates the same megabytes in every layer: on 2 cores, sampling with pocket spent 13 % of its
    time on that in the kernel, and training a third. Does nothing with another C library.
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
