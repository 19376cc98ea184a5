"""`pools quote`, of a chain that stands still: what the simulator's own maths says, to the last
unit, whoever of the providers answers.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from solana_bed import SolanaThread, solana

from spread_scanner.cli.answers import PoolSwap
from spread_scanner.sim.chain import unix_s
from spread_scanner.sim.chain_kinds import KINDS

Run = Callable[..., tuple[int, str, str]]
COUNT = len(KINDS)
STILL_S = 3_600.0


@pytest.fixture(scope="module")
def chain() -> Iterator[SolanaThread]:
    with solana(4, COUNT, slot_s=STILL_S) as thread:
        yield thread


@pytest.fixture
def quote(bed: Any, chain: SolanaThread, spread_ctl: Run) -> Run:
    (bed.folder / "config" / "pools.toml").write_text(chain.side.pools_toml())
    return lambda *words: spread_ctl("pools", "quote", *words)


def said(answer: tuple[int, str, str]) -> PoolSwap:
    code, out, err = answer
    assert code == 0, err
    return msgspec.json.decode(out, type=PoolSwap)


def test_each_program_is_quoted_as_the_chain_has_it(quote: Run, chain: SolanaThread) -> None:
    for key, pool in chain.side.chain.pools.items():
        for side, amount in ((0, "1.5"), (1, "250")):
            coin, other = pool.coins[side], pool.coins[1 - side]
            units = int(float(amount) * 10**coin.decimals)
            found = said(quote(key, coin.name.lower(), amount, "--json"))
            assert (found.amount_in, found.amount_out) == (units, pool.quote(side, units))
            assert (found.program, found.coin_out, found.exact) == (pool.kind, other.name, "in")
            assert found.slot == chain.side.chain.slot
            assert found.unix_ts == unix_s(found.slot)
            asked = str(found.amount_out / 10**other.decimals)
            back = said(quote(key[:12], coin.mint, asked, "--exact", "out", "--json"))
            assert back.amount_out == found.amount_out
            assert pool.quote(side, back.amount_in) >= found.amount_out


def test_a_person_reads_amounts_to_the_last_unit(quote: Run, chain: SolanaThread) -> None:
    key, pool = next(iter(chain.side.chain.pools.items()))
    code, out, _ = quote(key, "SOL", "1")
    whole, rest = divmod(pool.quote(0, 10**9), 10**6)
    assert code == 0
    assert f"1 SOL for {whole}.{rest:06}".rstrip("0") in out
    assert key in out
    assert "fee 0.0025 SOL" in out


def test_who_does_not_answer_is_stood_in_for(quote: Run, chain: SolanaThread) -> None:
    key = next(iter(chain.side.chain.pools))
    chain.act(do="limit", provider="a", count=1)
    assert said(quote(key, "SOL", "1", "--json")).provider == "b"
    chain.act(do="limit", provider="b", count=1)
    code, out, err = quote(key, "SOL", "1")
    assert (code, out) == (1, "")
    assert "a: 429 too many requests, nobody dials for " in err
    assert "; b: HTTP 429 too many requests" in err


def test_what_a_pool_cannot_do_is_said_with_its_reason(quote: Run, chain: SolanaThread) -> None:
    key, pool = next(iter(chain.side.chain.pools.items()))
    too_much = str(pool.amounts[1] // 10**6 + 1)
    code, _, err = quote(key, "SOL", too_much, "--exact", "out")
    assert (code, "the pool cannot fill the amount" in err) == (1, True)
    code, _, err = quote(key, "SOL", "0.0000000001")
    assert (code, "at most 9 decimals" in err) == (2, True)
    chain.act(do="wrong-owner", pool=key)
    try:
        code, _, err = quote(key, "SOL", "1")
    finally:
        chain.ask(chain.side.chain.bent.clear)
    assert (code, "belongs to another program" in err) == (1, True)


def test_what_is_more_than_any_pool_holds_is_refused_without_naming_nothing(
    quote: Run, chain: SolanaThread
) -> None:
    for key, pool in chain.side.chain.pools.items():
        for coin in pool.coins:
            code, _, err = quote(key, coin.name, "9999999999", "--exact", "out")
            assert (code, "the pool cannot fill the amount" in err) == (1, True), err
            assert "None" not in err
