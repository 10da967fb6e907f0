"""What mkdocs does beside Markdown: fills in the generated parts of the reference, and lists links that leave the site.

`{{ commands }}` on a line of its own becomes the commands, `{{ fields NAME }}` the fields of one configuration.
"""

import logging
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the page is of this checkout's code, whichever is installed

from commands import commands  # noqa: E402
from fields import tables  # noqa: E402

logger = logging.getLogger("mkdocs.hooks.maskmill")
GENERATED = re.compile(r"^\{\{ (commands|fields ([\w-]+)) \}\}$", re.MULTILINE)
OUTWARD = re.compile(r'<a [^>]*href="(https?://[^"]+)"')
_outward: set[str] = set()


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Generated parts, filled in."""
    return GENERATED.sub(lambda found: tables(found[2]) if found[2] else commands(), markdown)


def on_page_content(html: str, **_: Any) -> None:
    """Notes a page's links that leave the site; nothing is fetched."""
    _outward.update(OUTWARD.findall(html))


def on_post_build(**_: Any) -> None:
    """Lists them, for a reader to check by hand."""
    logger.info(
        "%d links leave the site, and are not checked:%s", len(_outward), "".join(f"\n  {u}" for u in sorted(_outward))
    )
