"""plotly.js and the page's own script and style, as a page embeds them."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import importlib.resources


@functools.cache
def plotly() -> tuple[str, str]:
    """The plotting library, packed: a fourth of its size, unpacked by the browser.

    Returns:
      gzip in base64, and the hash by which a content security policy names the unpacked script.
    """
    from plotly.offline import get_plotlyjs

    code = get_plotlyjs().encode()
    return base64.b64encode(gzip.compress(code, 6, mtime=0)).decode("ascii"), source_hash(code)


@functools.cache
def asset(name: str) -> str:
    """Text of a file that belongs to the package.

    Args:
      name: such as "report.css".

    Returns:
      its content.
    """
    return importlib.resources.files("nasjax.report").joinpath("assets", name).read_text(encoding="utf-8")


def source_hash(code: bytes) -> str:
    """Names a script in a content security policy: 'sha256-...'."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(code).digest()).decode('ascii')}'"
