"""The dashboard's files, its login, and what it asks for; its own modules by node's test runner."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest

from spread_scanner.config.files import Tokens
from spread_scanner.gateway import cookies, dashboard
from spread_scanner.schema.enums import DIRECTIONS

HERE = Path(__file__).parent
BYTES_MAX = 150_000
TOKENS = Tokens(b"a-token-of-some-length", b"another-to-control")
LISTED = """
from setuptools import Distribution
made = Distribution()
made.parse_config_files(["pyproject.toml"])
build = made.get_command_obj("build_py")
build.ensure_finalized()
for _, folder, _, files in build.data_files:
    print(*(f"{folder}/{file}" for file in files))
"""
IMPORTED = re.compile(
    r"""^(?:import|export)\b.*\bfrom "([^"]+)";$|\bimport\("([^"]+)"\)""", re.MULTILINE
)


def test_its_modules_do_what_they_say() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    tests = sorted(str(path) for path in (HERE / "page").glob("*.test.mjs"))
    ran = subprocess.run([node, "--test", *tests], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_it_asks_for_both_legs_of_every_direction_by_their_sources() -> None:
    """Of pools as well, whose sources have no market in their names."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    places = HERE.parents[2] / "src/spread_scanner/gateway/page/places.js"
    told = [way.label.split("-") for way in DIRECTIONS]
    said = f"JSON.stringify({told}.map(of.legsOf))"
    asked = f"import({str(places)!r}).then((of) => console.log({said}))"
    ran = subprocess.run([node, "-e", asked], capture_output=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == [[way.spot.label, way.futures.label] for way in DIRECTIONS]


def test_it_is_small_and_whole_and_asks_nobody_else() -> None:
    files = dashboard.page_files()
    assert sum(len(file.body) for path, file in files.items() if path != "/") < BYTES_MAX
    for path, file in files.items():
        text = file.body.decode()
        if path.endswith((".js", ".mjs")):
            for one, other in IMPORTED.findall(text):
                name = one or other
                assert name.startswith("./"), f"{path} imports {name}"
                beside = Path(path).parent / name
                assert str(beside) in files, f"{path} imports {name}"
        if path.startswith("/page/vendor/"):
            continue
        elsewhere = re.findall(r"https?://[\w.]+", text)
        assert not elsewhere or path == "/page/places.js", f"{path}: {elsewhere}"
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=\"", text), path
        assert not re.search(r"\bglobalThis\.eval|\beval\(|new Function|innerHTML", text), path


def test_a_wheel_has_every_file_of_both_pages() -> None:
    root = HERE.parents[2]
    asked = subprocess.run(
        [sys.executable, "-c", LISTED], cwd=root, capture_output=True, text=True, check=True
    )
    folder = Path("src/spread_scanner/gateway")
    pages = [root / folder / name for name in ("page", "openapi_page")]
    there = {str(file.relative_to(root)) for page in pages for file in page.rglob("*.*")}
    assert len(there) > 40
    assert there - set(asked.stdout.split()) == set()


def test_it_is_served_with_a_policy_and_not_twice(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()

    async def ask() -> None:
        for path in (
            "/",
            "/?anything",
            "/page/main.js",
            "/page/vendor/preact.mjs",
            "/page/page.css",
            "/v1/docs",
            "/v1/docs/rapidoc-min.js",
        ):
            answer = await asking.get(path)
            assert answer.status_code == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            styled = path == "/v1/docs" or path.endswith("rapidoc-min.js")
            assert ("unsafe" in answer.headers["content-security-policy"]) is styled
            assert answer.headers["content-type"].count("charset") == 1
            assert answer.headers["content-encoding"] == "gzip"
            again = await asking.get(path, headers={"if-none-match": answer.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        assert (await asking.get("/")).headers["content-type"] == "text/html; charset=utf-8"
        assert (
            (await asking.get("/page/ui.js")).headers["content-type"].startswith("text/javascript")
        )
        assert (await asking.ask("HEAD", "/")).content == b""
        plain = await asking.get("/page/main.js", headers={"accept-encoding": "identity"})
        packed = await asking.get("/page/main.js", headers={"accept-encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        for said, packs in (
            ("gzip;q=0", False),
            ("br, GZIP ; q=0.000", False),
            ("x-gzipped", False),
            ("br, gzip;q=0.5", True),
        ):
            told = await asking.get("/page/main.js", headers={"accept-encoding": said})
            assert ("content-encoding" in told.headers) is packs, said
            assert "accept-encoding" in told.headers["vary"]
        assert (await asking.get("/page/../../main.py")).status_code == 404
        refused = await asking.ask("POST", "/v1/docs")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")

    asyncio.run(ask())


def test_a_paused_gateway_still_has_its_page(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of()
    asking.front.paused = True
    assert asyncio.run(asking.get("/")).status_code == 200
    for path in ("/v1/spreads/columns", "/v1/docs"):
        assert asyncio.run(asking.get(path)).json()["code"] == "paused"
    assert asyncio.run(gateway_of(TOKENS).get("/v1/docs")).status_code == 401


@pytest.mark.parametrize(
    "other",
    [
        "grafana_session=abc",
        'prefs={"a":1}',
        "x=a b",
        "k=\xfc",
        "a[b]=1",
        "flag",
        "path=/",
        "",
        "=",
        "spread-scanner-3002=0",
        "spread-scanner=0",
        'q="spread-scanner-3001=0',
    ],
)
def test_a_login_stands_beside_whatever_others_have_set(other: str) -> None:
    """A browser sends the cookies of a host to each of its ports."""
    token = TOKENS[0]
    headers = {b"host": b"127.0.0.1:3001"}
    own = cookies.set_cookie(headers, cookies.cookie_of(token), secure=False).partition(b";")[0]
    beside = other.encode("latin-1")
    for sent in (beside + b"; " + own, own + b";" + beside):
        assert cookies.holds(headers | {b"cookie": sent}, token)
        assert not cookies.holds(headers | {b"cookie": sent}, b"another-token-of-some-length")
        assert not cookies.holds({b"host": b"127.0.0.1:3002", b"cookie": sent}, token)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"127.0.0.1:3001", b"spread-scanner-3001"),
        (b"[::1]:3001", b"spread-scanner-3001"),
        (b"[::1]", b"spread-scanner"),
        (b"desk.example", b"spread-scanner"),
        (b"", b"spread-scanner"),
    ],
)
def test_each_gateway_of_a_host_has_a_login_of_its_own(host: bytes, name: bytes) -> None:
    assert cookies.set_cookie({b"host": host}, "x", secure=True).startswith(name + b"=x; ")


def cookie_of(answer: httpx.Response) -> tuple[str, str]:
    """The cookie as a browser sends it, and how it was set."""
    said = answer.headers["set-cookie"]
    ((name, morsel),) = SimpleCookie(said).items()
    return f"{name}={morsel.value}", said


def test_a_token_is_told_once_and_a_cookie_reads(gateway_of: Callable[..., Any]) -> None:
    asking = gateway_of(TOKENS)

    async def ask() -> None:
        assert (await asking.get("/")).status_code == 200
        assert (await asking.get("/v1/spreads/columns")).json()["code"] == "no_token"
        wrong = await asking.ask("POST", "/page/login", content=b"a-token-of-some-lengt")
        assert (wrong.status_code, wrong.json()["code"]) == (401, "no_token")
        assert "set-cookie" not in wrong.headers
        for token in TOKENS:
            told = await asking.ask("POST", "/page/login", content=token)
            cookie, said = cookie_of(told)
            assert "HttpOnly" in said
            assert "SameSite=Strict" in said
            assert token.decode() not in said
        headers = {"cookie": f"other=1; {cookie}"}
        assert (await asking.get("/v1/spreads/columns", headers=headers)).status_code == 200
        sent = {b"host": b"127.0.0.1:3001", b"cookie": cookie.encode()}
        asking.front.check_socket("127.0.0.1", sent)
        halt = await asking.ask("POST", "/v1/control/halt", headers=headers)
        assert halt.json()["code"] == "no_token"
        for bad in (
            "spread-scanner-3001=",
            "spread-scanner-3001=0",
            "spread-scanner-3001=\xe9",
            "a b=;;=",
            cookie[:-1],
        ):
            refused = await asking.get("/v1/status", headers={"cookie": bad.encode("latin-1")})
            assert refused.status_code == 401, bad
        _, left = cookie_of(await asking.ask("POST", "/page/logout"))
        assert "Max-Age=0" in left

    asyncio.run(ask())


@pytest.mark.parametrize("path", ["/page/login", "/page/logout", "/page", "/page/"])
def test_an_address_of_the_page_that_is_loaded_again_leads_to_it(
    gateway_of: Callable[..., Any], path: str
) -> None:
    asking = gateway_of(TOKENS)
    for method in ("GET", "HEAD"):
        answer = asyncio.run(asking.ask(method, path))
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/page/login", "/page/logout"])
def test_another_sites_page_logs_nobody_in_or_out(
    gateway_of: Callable[..., Any], path: str
) -> None:
    asking = gateway_of(TOKENS)
    headers = {"origin": "http://127.0.0.1:9"}
    answer = asyncio.run(asking.ask("POST", path, content=TOKENS.to_read, headers=headers))
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_page")
    assert "set-cookie" not in answer.headers


def test_behind_a_proxy_with_the_certificate_the_page_of_origins_logs_in(
    gateway_of: Callable[..., Any],
) -> None:
    """The browser says https, the proxy hands on plain HTTP and the Host."""
    asking = gateway_of(TOKENS, hosts=["desk.example"], origins=["https://desk.example"])
    headers = {"host": "desk.example", "origin": "https://desk.example"}

    async def ask() -> None:
        answer = await asking.ask("POST", "/page/login", content=TOKENS.to_read, headers=headers)
        assert answer.status_code == 204, answer.text
        cookie, said = cookie_of(answer)
        assert said.endswith("; Secure")
        sent = {"host": "desk.example", "cookie": cookie}
        assert (await asking.get("/v1/status", headers=sent)).status_code == 200
        named = {name.encode(): value.encode() for name, value in (headers | sent).items()}
        asking.front.check_socket("127.0.0.1", named)
        halt = await asking.ask("POST", "/v1/control/halt", headers=headers | sent)
        assert halt.json()["code"] == "foreign_page"

    asyncio.run(ask())


def test_the_cookie_ends_with_its_token_and_travels_by_tls_where_there_is_any(
    gateway_of: Callable[..., Any],
) -> None:
    asking = gateway_of(TOKENS, tls_certificate="any.pem")
    cookie, said = cookie_of(asyncio.run(asking.ask("POST", "/page/login", content=TOKENS.to_read)))
    assert said.endswith("; Secure")
    other = gateway_of(Tokens(b"a-new-token-of-some-length", b""))
    assert asyncio.run(other.get("/v1/status", headers={"cookie": cookie})).status_code == 401


def test_where_nobody_needs_a_token_nobody_is_told_one(gateway_of: Callable[..., Any]) -> None:
    told = asyncio.run(gateway_of().ask("POST", "/page/login", content=b"x" * 100_000))
    assert told.status_code == 204


def test_columns_are_the_spreads(gateway_of: Callable[..., Any], listed_bed: Any) -> None:
    listed_bed.quote(0, 0, 100.0, 101.0)
    listed_bed.quote(3, 0, 103.0, 104.0)
    asking = gateway_of()
    columns = asyncio.run(asking.get("/v1/spreads/columns")).json()
    spreads = asyncio.run(asking.get("/v1/spreads")).json()
    assert len(columns["symbol"]) == len(spreads) == 3
    by_pair = {(one["symbol"], one["direction"]): one for one in spreads}
    moving = {"spot_age_ms", "fut_age_ms"}
    for at, pair in enumerate(zip(columns["symbol"], columns["direction"], strict=True)):
        for name in by_pair[pair].keys() & columns.keys() - moving:
            told, meant = columns[name][at], by_pair[pair][name]
            assert told == (pytest.approx(meant, abs=5e-4) if isinstance(meant, float) else meant)


def test_funding_is_of_the_futures_listings(gateway_of: Callable[..., Any]) -> None:
    found = asyncio.run(gateway_of().get("/v1/funding?symbol=aaa")).json()
    assert {one["symbol"] for one in found} == {"AAA-USDT"}
    assert len(found) == 4
    assert all(one["source"].endswith("-futures") for one in found)
