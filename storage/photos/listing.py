"""Which files of a folder are pictures: by their content where their suffix does not say so, with reasons for the rest.

Reads headers, never pixels. Knows nothing of what the pictures are used for.
"""

from pathlib import Path

from PIL import Image

from storage.photos.names import bare, is_system
from storage.photos.notes import Notes
from storage.photos.pictures import PHOTO_SUFFIXES, is_picture, unread_format

# Pillow's names of the formats that are recognised by content.
FORMATS = ("JPEG", "PNG", "AVIF", "WEBP", "TIFF", "GIF", "BMP", "DIB", "PPM", "JPEG2000")
# Formats whose headers say too little: these need their suffix, too.
BY_SUFFIX = {".pcx": "PCX", ".qoi": "QOI", ".sgi": "SGI", ".tga": "TGA"}
# A camera's raw file begins as a TIFF does, and would be read as its small preview.
RAW = set(".dng .nef .nrw .cr2 .cr3 .arw .sr2 .orf .rw2 .raf .pef .srw .3fr .erf".split())
# Files that lie beside photographs, of which a folder may have as many: they are not opened.
TEXT = set(".txt .md .csv .tsv .json .jsonl .xml .yaml .yml .html .htm .log .py .ini .toml".split())
NAME_TAKEN = "left out, another picture has its name"


def pictures_in(
    folder: Path, *, deep: bool = False, usual: tuple[str, ...] = PHOTO_SUFFIXES
) -> tuple[list[Path], list[Path], Notes]:
    """The pictures in a folder: those with a usual suffix, those found by content, and why other files are left out.

    deep: also in subfolders. A file with a usual suffix is taken for a picture, whatever it holds; a picture found by
    content is left out if another has its name. The operating systems' own files are passed over.
    """
    files = files_in(folder, deep)
    by_suffix = [path for path in files if path.suffix.lower() in usual]
    taken, by_content, notes = {_place(path) for path in by_suffix}, [], Notes()
    for path in (path for path in files if path.suffix.lower() not in usual):
        if reason := why_not(path):
            notes.add(f"left out, {reason}", path)
        elif _place(path) in taken:
            notes.add(NAME_TAKEN, path)
        else:
            taken.add(_place(path))
            by_content.append(path)
    return by_suffix, by_content, notes


def files_in(folder: Path, deep: bool) -> list[Path]:
    """The files in a folder, and if `deep` in its subfolders, in order, except the operating systems' own."""
    found = sorted(folder.rglob("*") if deep else folder.iterdir())
    return [path for path in found if not is_system(path.relative_to(folder)) and path.is_file()]


def _place(path: Path) -> Path:
    return path.with_name(bare(path))


def why_not(path: Path) -> str:
    """Why a file is not taken for a picture, '' if it is."""
    suffix = path.suffix.lower()
    if suffix in TEXT:
        return "not a picture"
    if suffix in RAW:
        return "a camera's raw file (develop it to JPEG or TIFF)"
    try:
        with Image.open(path, formats=(*FORMATS, BY_SUFFIX[suffix]) if suffix in BY_SUFFIX else FORMATS):
            return ""
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return ""  # a picture; reading it says why it cannot be read
    except Exception as error:  # from Pillow's decoders, which share no base error
        return unread_format(path) or _other(path, error)


def _other(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"it cannot be read ({error.strerror})"
    unusual = "a format that is not looked for in folders (convert it to JPEG or PNG)"
    return unusual if is_picture(path) else "not a picture that can be read"
