"""A browser for tests: Debian's chromium, driven by playwright from the clients' venv.

The driver never meets the product's packages: its folder is looked into last. Where either is not
installed, tests that ask are skipped by name.
"""

import contextlib
import functools
import itertools
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bed as waits

ROOT = Path(__file__).parents[2]
PACKAGES = (
    ROOT / ".venv-clients" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
) / "site-packages"
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
WAIT_S = 90.0  # a browser that has just begun on a busy machine takes its time


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The browser, running."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    if not (PACKAGES / "playwright").is_dir():
        pytest.skip("playwright is not installed (make clients-venv)")
    sys.path.append(str(PACKAGES))
    try:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=program, args=ARGUMENTS)
            yield browser
            browser.close()
    finally:
        sys.path.remove(str(PACKAGES))


class Tab:
    """One page of the dashboard: what it asked elsewhere or complained of fails the test."""

    def __init__(self, browser: Any, address: str, **more: Any) -> None:
        self.context = browser.new_context(**more)
        self.page = self.context.new_page()
        self.page.set_default_timeout(1e3 * WAIT_S)
        self.address = address
        self._numbers = itertools.count()
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        self.page.route("**/*", self._routed)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)

    def _routed(self, route: Any) -> None:
        url = route.request.url
        if url.startswith((self.address, "data:")):
            route.continue_()
        else:
            self.elsewhere.append(url)
            route.abort()

    def _heard(self, message: Any) -> None:
        # What the network refuses is told as an error, too: the page says so itself.
        expected = ("Failed to load resource", "WebSocket connection")
        if message.type == "error" and not any(one in message.text for one in expected):
            self.complaints.append(message.text)

    def open(self, hash_: str = "") -> Any:
        """From the beginning: another hash alone would be no other page."""
        self.page.goto(f"{self.address}/?{next(self._numbers)}{hash_}")
        return self.page

    def until(self, expression: str) -> None:
        """Waits for a JavaScript expression to be true, looking twenty times a second."""
        waits.until(lambda: self.page.evaluate(expression), timeout_s=WAIT_S)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def close(self) -> None:
        self.context.close()
        assert self.elsewhere == []
        assert self.complaints == []


def cpu_of_chromium_s() -> float:
    """Of all processes of the browser that this process started, up to now."""
    parents, spent = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            pid = int(stat.parent.name)
            parents[pid], spent[pid] = int(fields[1]), int(fields[11]) + int(fields[12])
            if "chromium" not in (stat.parent / "cmdline").read_bytes().decode("latin-1"):
                spent[pid] = 0
    mine = {pid for pid in spent if os.getpid() in _line(pid, parents)}
    return sum(spent[pid] for pid in mine) / os.sysconf("SC_CLK_TCK")


def _line(pid: int, parents: dict[int, int]) -> Iterator[int]:
    while pid in parents:
        pid = parents[pid]
        yield pid


@functools.cache
def axe() -> str:
    """axe-core, as a page runs it."""
    (found,) = PACKAGES.glob("axe_playwright_python/**/axe.min.js")
    return found.read_text(encoding="utf-8")


def violations(tab: Tab, rules: list[str] | None = None) -> list[str]:
    """What axe finds against a page as it stands, by all rules or some. Run by the debugger, as the
    page's own policy would not have it."""
    tab.page.evaluate(axe())
    how = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = tab.page.evaluate("how => axe.run(how)", how)
    return [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']][:4]}"
        for one in found["violations"]
    ]
