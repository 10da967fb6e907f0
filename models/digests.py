"""The one way to identify values: SHA-256 of bytes and of JSON values. Knows nothing of what they mean.

Imported as a module: `digests.of(photo.read_bytes(), identity)`.

Stored results are looked up by these digests: a change here would make all of them be computed again.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def of(*parts: Any, length: int = 16) -> str:
    """The first hexadecimal digits of the digest of all parts: bytes and arrays as they are, others as JSON."""
    return of_all(parts, length)


def of_all(parts: Iterable[Any], length: int = 16) -> str:
    """The same for parts that need not all be in memory at once."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_bytes(part))
    return digest.hexdigest()[:length]


def of_file(path: Path) -> str:
    """All 64 digits of the digest of a file's content, as sha256sum prints them."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes(part: Any) -> Any:
    if isinstance(part, np.ndarray):
        return np.ascontiguousarray(part)
    return part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
