"""Typography in plain form: one kind of hyphen, space and quotation mark, and composed letters.

Models write words like T-shirt with a no-break hyphen, which no tokenizer was taught. Knows nothing of what a prompt
or a class is.
"""

import re
import unicodedata

# Characters that are not shown: soft hyphen, zero-width space, joiners, word joiner, byte order mark.
HIDDEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
MARKS = str.maketrans(
    {mark: plain for plain, marks in {
        "-": "\u2010\u2011\u2012\u2013\u2043\u2212\ufe63\uff0d",
        "'": "\u2018\u2019\u201a\u201b\u2032\u02bc\u00b4\u2039\u203a",
        '"': "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb",
        " ": "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
        "...": "\u2026",
        "/": "\u2044",
    }.items() for mark in marks}
)  # fmt: skip
DASH = re.compile(r" *[\u2014\u2015] *")


def plain_marks(text: str) -> str:
    """The text with plain hyphens, dashes, quotation marks, ellipses and spaces, and composed letters (NFC)."""
    return unicodedata.normalize("NFC", DASH.sub(" - ", text.translate(MARKS)))


def plain_form(text: str) -> str:
    """The text in plain form: also without hidden characters, ligatures and full-width forms (NFKC), and trimmed.

    Line breaks stay, and so do control characters: they are not typography.
    """
    compatible = unicodedata.normalize("NFKC", plain_marks(text.translate(HIDDEN)))
    return re.sub(" {2,}", " ", plain_marks(compatible)).strip()
