"""`spread-ctl tx` and `wallet`: from a file, and by the configured providers of a pretend chain."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
import orjson
import pytest
from solana_bed import SolanaThread, solana
from solana_transactions import told

from spread_scanner import config
from spread_scanner.pools import asking, calls
from spread_scanner.schema.names import EXIT_FAILED
from spread_scanner.sim.chain_pools import laid
from spread_scanner.sim.chain_wallets import FROZEN, RENT_LAMPORTS, extended
from spread_scanner.sim.solana_keys import named, text
from spread_scanner.solana import keys
from spread_scanner.solana.wallets import Wallet

Run = Callable[..., tuple[int, str, str]]
SIGNATURE = text(bytes(range(1, 65)))


class ChainBed(NamedTuple):
    """A chain with two providers, and the settings that name them."""

    thread: SolanaThread
    folder: Path

    def count(self, provider: str) -> int:
        found: int = self.thread.truth()["told"][provider]["requests"]
        return found


@pytest.fixture
def chain(tmp_path: Path, bed: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChainBed]:
    monkeypatch.setenv("SPREAD_CONFIG_DIR", str(bed.settings.folder))
    with solana(3, 3) as thread:
        (bed.settings.folder / "pools.toml").write_text(thread.side.pools_toml())
        yield ChainBed(thread, bed.settings.folder)


def put(chain: ChainBed) -> None:
    chain.thread.ask(lambda: chain.thread.side.chain.transactions.update({SIGNATURE: told([])}))


def test_a_transaction_of_the_providers(chain: ChainBed, spread_ctl: Run) -> None:
    put(chain)
    code, out, err = spread_ctl("tx", SIGNATURE, "--json")
    assert code == 0, err
    assert orjson.loads(out)["signature"] == SIGNATURE
    assert (chain.count("a"), chain.count("b")) == (1, 0)


@pytest.mark.parametrize("fault", ["limit", "away"])
def test_another_provider_stands_in(chain: ChainBed, spread_ctl: Run, fault: str) -> None:
    put(chain)
    chain.thread.act(do=fault, provider="a", count=1)
    code, out, err = spread_ctl("tx", SIGNATURE)
    assert code == 0, err
    assert "Fee 0.000005000 SOL" in out
    assert chain.count("b") == 1


@pytest.mark.parametrize(
    "said",
    [b'"http://{where}"', b"[1]", b'{"context": {"slot": -1}, "value": -5}', b"1" + b"0" * 999],
)
@pytest.mark.parametrize(("command", "whom"), [("tx", SIGNATURE), ("wallet", text(bytes(32)))])
def test_an_answer_that_means_nothing_is_passed_over_and_tells_no_key(
    chain: ChainBed,
    spread_ctl: Run,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    whom: str,
    said: bytes,
) -> None:
    put(chain)
    urls = [one.http_url for _, one in config.load().pools.asked()]
    real = asking._posted
    garbage = urls[:1]

    async def posted(client: Any, url: str, request: bytes, bytes_max: int) -> bytes:
        if url not in garbage:
            answer: bytes = await real(client, url, request, bytes_max)
            return answer
        number = msgspec.json.decode(request)["id"]
        result = said.replace(b"{where}", url.encode())
        return b'{"jsonrpc": "2.0", "id": %d, "result": %b}' % (number, result)

    monkeypatch.setattr(asking, "_posted", posted)
    assert spread_ctl(command, whom)[0] == 0, "the other one has it"
    garbage += urls
    code, _, err = spread_ctl(command, whom)
    assert code == EXIT_FAILED
    assert "a: not what" in err
    assert "b: not what" in err
    assert not any(url in err for url in urls)
    assert "000000" not in err


def test_what_no_provider_answers(chain: ChainBed, spread_ctl: Run) -> None:
    code, _, err = spread_ctl("tx", SIGNATURE)
    assert code == EXIT_FAILED
    assert "a: knows none; b: knows none" in err
    for name in "ab":
        chain.thread.act(do="away", provider=name)
    code, _, err = spread_ctl("tx", SIGNATURE)
    assert code == EXIT_FAILED
    assert "a: HTTP 503 server error; b: HTTP 503 server error" in err


def test_a_file_that_is_named_like_a_signature(
    chain: ChainBed, spread_ctl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / SIGNATURE).write_bytes(orjson.dumps({"result": told([])}))
    code, _, err = spread_ctl("tx", SIGNATURE)
    assert code == 0, err
    assert chain.count("a") == 0


def test_a_failed_transaction_with_a_cut_log(spread_ctl: Run, bed: Any, tmp_path: Path) -> None:
    file = tmp_path / "failed.json"
    file.write_bytes(orjson.dumps(told([], err={"InstructionError": [0, "Custom"]}, log_lines=0)))
    code, out, err = spread_ctl("tx", str(file))
    assert code == 0, err
    assert 'failed: {"InstructionError":[0,"Custom"]}' in out
    assert "Its log is truncated" in out


# --- wallet


def test_a_wallet_is_shown(chain: ChainBed, spread_ctl: Run) -> None:
    address = chain.thread.side.chain.wallets.shown
    code, out, err = spread_ctl("wallet", address)
    assert code == 0, err
    assert "12.5 SOL, 3 wrapped, 0.00815712 rent of token accounts" in out
    assert "0.00203928 of that in empty ones" in out
    assert "1,234.56  USDC" in out
    assert "2 accounts of dust or nothing" in out


def test_a_wallet_of_a_thousand_accounts(chain: ChainBed, spread_ctl: Run) -> None:
    """Every sum is known; each mint is asked for once, a hundred in a request."""
    held, owner = chain.thread.side.chain.wallets, named("rich")
    for number in range(1_000):
        plain = number % 2 == 0
        extensions = [] if plain else [(7, b"")]
        mint = held.mint(f"{number}", number % 10, *([] if plain else [(25, bytes(56))]))
        held.hold(owner, mint, number, *extensions)
    held.lamports[owner] = 5
    before = chain.count("a")
    code, out, err = spread_ctl("wallet", owner, "--json", "--dust", "0")
    assert code == 0, err
    found = orjson.loads(out)
    assert msgspec.json.encode(msgspec.json.decode(out, type=Wallet)).decode() == out.strip()
    holdings = found["holdings"]
    assert sum(one["amount"] for one in holdings) == sum(range(1_000))
    assert sum(10 ** one["decimals"] for one in holdings) == 100 * sum(10**n for n in range(10))
    assert found["rent_lamports"] == 1_000 * RENT_LAMPORTS
    assert found["reclaimable_lamports"] == RENT_LAMPORTS  # of the one that holds nothing
    assert [one["amount"] for one in holdings if one["dust"]] == [0]
    assert {one["program"] for one in holdings} == {"token", "token-2022"}
    assert chain.count("a") - before == 3 + 10  # a balance, both programs, mints


def test_a_wallet_with_everything_odd(chain: ChainBed, spread_ctl: Run) -> None:
    held, owner = chain.thread.side.chain.wallets, named("odd")
    fee = (1, bytes(108))
    taxed = held.mint("taxed", 6, fee, (18, bytes(64)), (99, b"x"))
    held.hold(owner, taxed, 5_000_000, (7, b""), (2, (321).to_bytes(8, "little")))
    held.hold(owner, taxed, 0, (2, (1).to_bytes(8, "little")))  # what is withheld keeps it open
    held.hold(owner, held.mint("cold", 0), 1, state=FROZEN)
    held.hold(owner, named("gone"), 9)  # its mint does not exist
    again = [named("mint", of) for of in ("closed", "account", "empty")]  # and another has its key
    for amount, mint in enumerate(again, 11):
        held.hold(owner, mint, amount)
    held.accounts[again[0]] = keys.SYSTEM, b""
    held.accounts[again[1]] = keys.TOKEN_2022, extended(laid(165, (108, b"\1")), 2)
    held.accounts[again[2]] = keys.TOKEN, bytes(82)
    code, out, err = spread_ctl("wallet", owner, "--json")
    assert code == 0, err
    found = orjson.loads(out)
    by_amount = {one["amount"]: one for one in found["holdings"]}
    assert by_amount[5_000_000]["withheld"] == 321
    assert by_amount[5_000_000]["extensions"] == ["immutable-owner", "withheld-fee"]
    assert by_amount[5_000_000]["mint_extensions"] == [
        *("transfer-fee", "metadata-pointer", "extension-99"),
    ]
    assert (by_amount[1]["frozen"], by_amount[1]["dust"]) == (True, False)  # an NFT, say
    for amount in (9, 11, 12, 13):
        assert (by_amount[amount]["decimals"], by_amount[amount]["dust"]) == (None, False)
    assert (found["lamports"], found["reclaimable_lamports"]) == (0, 0)
    code, out, _ = spread_ctl("wallet", owner)
    assert code == 0
    assert "9 units" in out
    assert "frozen" in out


def test_a_wallet_that_nobody_knows(chain: ChainBed, spread_ctl: Run) -> None:
    code, out, err = spread_ctl("wallet", named("nobody"))
    assert code == 0, err
    assert "0 SOL, 0 wrapped" in out


WRONG_ACCOUNTS: list[tuple[str, bytes, str]] = [
    ("a token account of somebody else", bytes(165), "somebody else"),
    ("too short", bytes(20), "32"),
    ("of no state", b"", "state"),
]


@pytest.mark.parametrize(("what", "data", "why"), WRONG_ACCOUNTS)
def test_an_account_that_cannot_be(
    chain: ChainBed, spread_ctl: Run, what: str, data: bytes, why: str
) -> None:
    held, owner = chain.thread.side.chain.wallets, named("wrong")
    key = held.hold(owner, named("mint"), 1, state=7)
    if data:
        held.accounts[key] = held.accounts[key][0], data
    code, _, err = spread_ctl("wallet", owner)
    assert code == EXIT_FAILED
    assert why in err


def test_providers_are_asked_no_faster_than_they_let_themselves(
    chain: ChainBed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes together, by the clock that the turns run on, which sleeping moves."""
    slept: list[float] = []
    now_ns = [0]

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        now_ns[0] += int(seconds * 1e9)

    its_asyncio = SimpleNamespace(sleep=sleep, Lock=asyncio.Lock)
    monkeypatch.setattr("spread_scanner.runtime.gate.asyncio", its_asyncio)
    its_clock = SimpleNamespace(mono_ns=lambda: now_ns[0])
    monkeypatch.setattr("spread_scanner.runtime.gate.clock", its_clock)
    text = (chain.folder / "pools.toml").read_text()
    slow = text.replace("requests_per_s = 200.0", "requests_per_s = 2.0")
    (chain.folder / "pools.toml").write_text(slow)

    async def five() -> None:
        async with calls.ProviderCalls(config.load(chain.folder)) as asked:
            for _ in range(5):
                await asked.ask("getSlot", [], bytes)

    asyncio.run(five())
    assert 2.0 <= sum(slept) < 2.1, "one at once, and two more each second"
