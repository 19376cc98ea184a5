"""The page that shows what can be asked: RapiDoc over /v1/openapi.json.

Its two files stand in openapi_page/ as they are sent: the page, and RapiDoc as npm has it (NOTICE).
It loads nothing from anywhere else and runs no script but that one.
"""

from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "openapi_page"
SCRIPT = "rapidoc-min.js"
# RapiDoc writes styles into its elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def file(name: str) -> tuple[bytes, str]:
    """The script by its name, else the page; and of what kind it is. Read once."""
    if name == SCRIPT:
        return (FOLDER / SCRIPT).read_bytes(), "text/javascript; charset=utf-8"
    return (FOLDER / "index.html").read_bytes(), "text/html; charset=utf-8"
