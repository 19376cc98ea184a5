"""What doctor says of the providers of pools: beside the simulator's, and beside a server that
answers everything with one status; never a key.
"""

from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from solana_bed import SolanaThread, solana
from web_answers import OneAnswer, one_answer

from spread_scanner.pools.asking import GATES_NAMED
from spread_scanner.runtime.gate import Gates
from spread_scanner.schema.enums import EXCHANGE_SOURCES

Run = Callable[..., tuple[int, str, str]]
KEY = "0123456789abcdef-s3cret"


@pytest.fixture
def chain() -> Iterator[SolanaThread]:
    with solana(1, 2, slot_s=0.05) as thread:
        yield thread


@pytest.fixture
def checks(
    bed: Any, spread_ctl: Run, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, dict[str, str]]]:
    """What is said with that pools.toml, by name; no exchange is asked."""
    for source in EXCHANGE_SOURCES:
        label = source.label.upper().replace("-", "_")
        monkeypatch.setenv(f"SPREAD_EXCHANGES__{label}__ENABLED", "false")

    def run(toml: str) -> dict[str, dict[str, str]]:
        (bed.settings.folder / "pools.toml").write_text(toml)
        code, out, err = spread_ctl("doctor", "--json")
        assert KEY not in out + err
        found = [one for one in orjson.loads(out)["checks"] if one["name"].startswith("provider ")]
        assert code == 1 or all(one["result"] != "fail" for one in found)
        return {one["name"].removeprefix("provider "): one for one in found}

    return run


def results(found: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: one["result"] for name, one in found.items()}


@pytest.mark.slow
def test_each_provider_is_asked_and_heard(bed: Any, checks: Any, chain: SolanaThread) -> None:
    toml = chain.side.pools_toml()
    found = checks(toml)
    every = {f"{name} {way}" for name in "ab" for way in ("HTTP", "websocket")}
    assert results(found) == dict.fromkeys(every, "ok")
    assert all("at slot " in one["found"] for one in found.values())
    assert checks(toml.replace("enabled = true", "enabled = false", 1)) == {}

    chain.act(do="limit", provider="a", for_s=60.0)
    with Gates(bed.namespace) as gates:
        url = chain.side.urls()["b"]["http_url"]
        gates.gate(GATES_NAMED.format("b"), url, "").refused(451, 300.0)
    found = checks(toml)
    assert results(found) == dict.fromkeys(every, "fail")
    assert all("429" in one["found"] for name, one in found.items() if name[0] == "a")
    banned = [one["found"] for name, one in found.items() if name[0] == "b"]
    assert all("nobody dials for" in said for said in banned), "a ban is not asked into"


@pytest.fixture
def server() -> Iterator[OneAnswer]:
    with one_answer() as made:
        yield made


def named(port: int, *lines: str) -> str:
    """A provider of that port, whose key is part of its URLs as people paste them."""
    urls = f'http_url = "http://127.0.0.1:{port}/{KEY}"', f'ws_url = "ws://127.0.0.1:{port}/{KEY}"'
    return "\n".join(["enabled = true", "[providers.p]", *urls, *lines])


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"", "401"),
        (403, b"", "403 forbidden"),
        (429, b"", "429 too many requests"),
        (451, b"", "451 not served in this region"),
        (200, b"<html>a page</html>", "no answer of a node"),
        (200, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"behind"}}', "-32005"),
    ],
)
def test_an_answer_that_is_none_fails(
    checks: Any, server: OneAnswer, status: int, body: bytes, said: str
) -> None:
    server.status, server.body = status, body
    found = checks(named(server.port))
    assert results(found) == {"p HTTP": "fail", "p websocket": "fail"}
    assert said in found["p HTTP"]["found"]
    assert str(status) in found["p websocket"]["found"] or status == 200
    assert ("key" in found["p HTTP"]["advice"]) == (status == 401 or body.startswith(b"<"))


def test_it_is_reached_through_its_proxies(checks: Any, chain: SolanaThread) -> None:
    """Which are not there: who went around them would have an answer."""
    port = int(next(iter(chain.side.urls().values()))["http_url"].rpartition(":")[2].split("/")[0])
    proxies = ", ".join(f'"http://me:{KEY}@127.0.0.1:{number}"' for number in (1, 2))
    found = checks(named(port, f"proxies = [{proxies}]"))
    ways = (f"p by proxy {number} {way}" for number in (1, 2) for way in ("HTTP", "websocket"))
    assert results(found) == dict.fromkeys(ways, "fail")


def test_a_key_that_cannot_be_read_is_said_whether_a_pool_is_named_or_not(
    bed: Any, checks: Any, spread_ctl: Run, server: OneAnswer
) -> None:
    """And it keeps nobody from trying the other providers. A unit's credential is not ours to
    read."""
    server.status, server.body = 451, b"no"
    port = server.port
    toml = named(port, 'key_file = "nowhere/key"').replace(KEY, "{key}")
    other = named(port).replace("p]", "q]").partition("\n")[2]
    unit = toml.replace("p]", "r]").replace("nowhere", "/run/credentials/feed").partition("\n")[2]
    found = checks("\n".join([toml, other, unit]))
    assert results(found) == {"q HTTP": "fail", "q websocket": "fail", "r": "warn"}
    for reach in ([], ["--offline"]):
        code, out, _ = spread_ctl("doctor", *reach, "--json")
        said = [one["found"] for one in orjson.loads(out)["checks"] if one["name"] == "settings"]
        assert code == 1
        assert ["providers.p.key_file" in one for one in said if "provider's key" in one] == [True]
