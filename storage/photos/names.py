"""The names of picture files: which name a file's results get, which names belong together, which are the system's.

Knows nothing of what the files hold.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePath

from models import digests
from models.errors import encodable

MAX_NAME = 255  # bytes of a file's name, on nearly every file system
# The suffixes of picture files, also of those that are not read. Any other suffix counts as a part of the name, since
# frame.0001 and frame.0002 are two.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .jif .jps .mpo .png .apng .bmp .dib .webp .avif .avifs .gif .tif .tiff "
    ".ppm .pgm .pbm .pnm .pfm .pam .jp2 .j2k .j2c .jpc .jpf .jpx .tga .pcx .qoi .sgi .ras "
    ".heic .heif .hif .jxl .svg .psd .ico .cur .eps .dng .nef .cr2 .cr3 .arw .orf .rw2 .raf .pef .srw".split()
)
# Windows', macOS' and Synology's own files and folders, in lower case; those that begin with '.' are hidden anyway.
SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin", "lost+found"}


def is_system(path: PurePath) -> bool:
    """Whether a part of a relative path is hidden or belongs to an operating system."""
    return any(
        part.startswith(".") or part.lower() in SYSTEM or part.endswith(":Zone.Identifier") for part in path.parts
    )


def bare(path: PurePath) -> str:
    """A file's name without the suffix of a picture."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def shortened(name: str, limit: int) -> str:
    """`encodable`, in at most `limit` bytes: a longer name's beginning, '-' and 8 hexadecimal digits of its digest."""
    encoded = encodable(name).encode()
    if len(encoded) <= limit:
        return encoded.decode()
    return f"{encoded[: limit - 9].decode(errors='ignore')}-{digests.of(name, length=8)}"


def composed(name: str) -> str:
    """Unicode's composed form: macOS stores é as two characters, which look like the one of other systems."""
    return unicodedata.normalize("NFC", name)


def partners(names: Iterable[str], others: Iterable[str]) -> dict[str, str]:
    """Each name's partner among the others, if it has one: the equal name, else the one that is equal when composed."""
    names, others = list(names), set(others)
    found = {name: name for name in names if name in others}
    by_form = {composed(other): other for other in sorted(others - found.keys())}
    for name in names:
        if name not in found and (other := by_form.pop(composed(name), None)) is not None:
            found[name] = other
    return found
