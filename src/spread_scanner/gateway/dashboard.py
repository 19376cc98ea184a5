"""The dashboard's files.

They stand in page/ as they are sent: plain modules of JavaScript, no build. They hold nothing that
is secret and are answered without a token; what they show is asked for like by any other program.
"""

from pathlib import Path

from spread_scanner.gateway.page_files import PageFile, read

FOLDER = Path(__file__).parent / "page"
ROOT = "/page"
PREFIX = f"{ROOT}/"
LOGIN = f"{PREFIX}login"
LOGOUT = f"{PREFIX}logout"
# Nothing from elsewhere, nothing written into the page: what an exchange names a coin stays text.
# The tab's icon is drawn by the page itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_files() -> dict[str, PageFile]:
    """By path."""
    found = {
        PREFIX + path.relative_to(FOLDER).as_posix(): read(path, POLICY)
        for path in sorted(FOLDER.rglob("*"))
        if path.is_file()
    }
    return {"/": found[f"{PREFIX}index.html"], **found}
