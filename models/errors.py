"""The error class that is meant for users; any exception that is not one is a bug and keeps its traceback."""


class UserError(ValueError):
    """An error that the user can fix, in one line: what was expected, what came, what to do.

    The line is made `encodable`, so that logs, tables and Prefect's API can hold it.
    """

    def __init__(self, line: object = "") -> None:
        super().__init__(encodable(str(line)))


class TrialStopped(UserError):
    """The trial of a build stopped it: its samples are published, and the same command stops again."""


def encodable(text: str) -> str:
    """Text with %XX for each byte of a file name that is not UTF-8, %uXXXX for another lone surrogate; else unchanged.

    Linux allows any bytes in a name. Python has lone surrogates for those that are not UTF-8, which nothing can encode.
    """
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return "".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in text)


def _escaped(surrogate: str) -> str:
    code = ord(surrogate)
    return f"%{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"%u{code:04X}"
