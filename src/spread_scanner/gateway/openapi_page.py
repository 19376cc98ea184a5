"""The page that shows what can be asked: RapiDoc over /v1/openapi.json.

Its two files stand in openapi_page/ as they are sent: the page, and RapiDoc as npm has it (NOTICE).
It loads nothing from anywhere else and runs no script but that one.
"""

from pathlib import Path

from spread_scanner.gateway.page_files import PageFile, read

FOLDER = Path(__file__).parent / "openapi_page"
SCRIPT = "rapidoc-min.js"
DOCS = "/docs"  # below a version's path
# RapiDoc writes styles into its elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_files() -> dict[str, PageFile]:
    """By path, below that of a version."""
    return {
        DOCS: read(FOLDER / "index.html", POLICY),
        f"{DOCS}/{SCRIPT}": read(FOLDER / SCRIPT, POLICY),
    }
