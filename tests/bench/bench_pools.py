"""Group pools: what reading and quoting a pool of Solana costs, on accounts that are built from
numbers.

pools.decode    one account to its typed state, by program; peer: construct with the same layout
pools.quote     an exact quote on decoded state, without crossing and with ten crossings, by program
pools.raw       the same from raw accounts: decoded anew each time, as a single question would have
pools.cell      a frame of a provider to the pool's cell, by program and the account that made the
                pool whole, the pools being no sources of the store (sources=0) and being them (1);
                peers: a price in a dict of their own (pool_peers.py), medians as ours
pools.heard     the same frame where others of its slot are still to come, which writes no cell
pools.quoted    from that frame to the store's quotes of the pool's source, cell and all: SOL in
                USDC, and in USDT by a rate; and to the accounts that the pool is quoted by
pools.slot      a new slot: everything is renewed, every quote asked again, and both ladders
pools.load      2,000 accounts a second of a hundred pools and 2.5 slots: per cent of a core
pools.private   memory of a process that hears them (pool_memory.py), and dials nobody
pools.pda       an address derived from seeds, remembered and fresh; peer of fresh: solders alone

CPU of one call, the least of many batches beside the median (`least`), as other work on the machine
only ever adds. What is quoted is checked: by exact-out of what came out.
"""

import importlib.util
import itertools
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pool_accounts as made
import pool_peers
import pool_told
from measure import Figure, figure

from spread_scanner import solana
from spread_scanner.solana import (
    keys,
    meteora_dlmm,
    orca_whirlpool,
    pda,
    raydium_clmm,
    raydium_cpmm,
    raydium_v4,
    tokens,
)

UNIX_TS, SLOT = 1_790_000_000, 453_868_631
MINTS = (tokens.WSOL, tokens.USDC)
CROSSINGS = 10
LOAD_PER_S = 2_000
PROGRAMS = {
    "raydium_v4": "raydium-v4",
    "raydium_cpmm": "raydium-cpmm",
    "raydium_clmm": "raydium-clmm",
    "orca_whirlpool": "orca-whirlpool",
    "meteora_dlmm": "meteora-dlmm",
}
POOLS_LOADED = 100
SLOTS_PER_S = 2.5
Accounts = dict[str, Any]


class PoolKeys(NamedTuple):
    """The accounts that a pool is made of, but for its arrays."""

    pool: str
    config: str
    vaults: tuple[str, str]


def pool_keys(name: str = "") -> PoolKeys:
    pool, config, one, other = (
        made.key(f"{name}{what}") for what in ("pool", "config", "vault 0", "vault 1")
    )
    return PoolKeys(pool, config, (one, other))


HERE = pool_keys()
POOL, VAULTS = HERE.pool, HERE.vaults


def figures(small: bool) -> Iterator[Figure]:
    batches, calls = (3, 5) if small else (30, 200)
    worlds = {program: make(HERE) for program, make in MAKERS.items()}
    for program, accounts in worlds.items():
        for what, key in {"pool": POOL, **_array(program)}.items():
            owner, data = accounts[key]
            names: dict[str, object] = {"decode": solana.decode, "owner": owner, "data": data}
            samples = _cpu_ns("decode(owner, data)", names, batches=batches, calls=calls)
            peers = _construct_us(program, data, batches, calls) if what == "pool" else {}
            yield _us("pools.decode", samples, peers, program=program, account=what)
    for program, accounts in worlds.items():
        yield from _quotes(program, accounts, batches, calls)
    for sources in (False, True):
        for program, accounts in worlds.items():
            yield from _cells(program, accounts, 20 if small else 1_000, sources)
        yield _load(2 if small else 20, sources)
    yield _memory(2 if small else 50)
    yield from _pda(batches, calls)


def _cpu_ns(statement: str, names: dict[str, object], *, batches: int, calls: int) -> list[float]:
    """Nanoseconds of this process's CPU per execution, one sample a batch."""
    timer = timeit.Timer(statement, globals=names, timer=time.process_time_ns)
    return [timer.timeit(calls) / calls for _ in range(batches)]


def _us(
    name: str, samples_ns: list[float], peers: dict[str, float] | None = None, **params: Any
) -> Figure:
    samples = [ns / 1e3 for ns in samples_ns]
    return figure(name, "us", samples, peers=peers, least=round(min(samples), 3), **params)


def _quotes(program: str, accounts: Accounts, batches: int, calls: int) -> Iterator[Figure]:
    pool = solana.assemble(POOL, accounts)
    flat = program in ("raydium_v4", "raydium_cpmm")
    for crossings in (0,) if flat else (0, CROSSINGS):
        amount = _amount(accounts, crossings)
        args = (MINTS[0], amount, True, UNIX_TS, SLOT)
        names: dict[str, object] = {"quote_of": _quote_of(), "pool": pool, "args": args}
        samples = _cpu_ns("quote_of(pool, *args)", names, batches=batches, calls=calls)
        demanded = 50.0 if crossings else 5.0
        params: dict[str, Any] = {"program": program, "crossings": crossings}
        yield _us("pools.quote", samples, demanded_max=demanded, **params)
        names = {"quote": solana.quote, "pool": POOL, "accounts": accounts, "amount": amount}
        names |= {"mint": MINTS[0], "ts": UNIX_TS, "slot": SLOT}
        names["forget"] = _forget
        statement = "forget(); quote(pool, accounts, mint, amount, unix_ts=ts, slot=slot)"
        samples = _cpu_ns(statement, names, batches=batches, calls=max(calls // 10, 2))
        yield _us("pools.raw", samples, accounts=len(accounts), **params)


def _forget() -> None:
    """What is known of these bytes: as if they were new."""
    for program in (raydium_v4, raydium_cpmm, raydium_clmm, orca_whirlpool, meteora_dlmm):
        program.decoded.cache_clear()


def _quote_of() -> Callable[..., object]:
    from spread_scanner.solana.pool import quote_of

    return quote_of


def _amount(accounts: Accounts, crossings: int) -> int:
    """An amount that crosses exactly so many; what it gives is asked for the other way round."""
    low, high, found = 1_000, 1 << 40, None
    while found is None or found.crossed != crossings:
        amount = (low + high) // 2 if crossings else low
        try:
            found = solana.quote(POOL, accounts, MINTS[0], amount, unix_ts=UNIX_TS, slot=SLOT)
        except solana.PoolRefusal:
            high = amount
            continue
        low, high = (amount, high) if found.crossed < crossings else (low, amount)
    back = solana.quote(
        *(POOL, accounts, MINTS[0], found.amount_out), exact="out", unix_ts=UNIX_TS, slot=SLOT
    )
    again = solana.quote(POOL, accounts, MINTS[0], back.amount_in, unix_ts=UNIX_TS, slot=SLOT)
    if again.amount_out != found.amount_out or back.amount_in > found.amount_in + crossings:
        raise RuntimeError(f"quoted {found}, but back {back}")
    return amount


def _cells(program: str, accounts: Accounts, slots: int, sources: bool) -> Iterator[Figure]:
    """Every account that a swap writes, slot after slot, in one order and in the other; and an
    array by itself."""
    params: dict[str, Any] = {"program": program, "sources": int(sources)}
    spent: dict[tuple[str, str], list[float]] = {}
    frames: list[bytes] = []
    told_pools = pool_told.told_pools({POOL: PROGRAMS[program]}, MINTS, accounts, sources=sources)
    with told_pools as pools:
        moving, array = pools.moving(POOL), pools.array(POOL)
        orders = [moving if number % 2 else moving[::-1] for number in range(slots)]
        told = [[pools.frame(key, ahead) for key in order] for ahead, order in enumerate(orders, 1)]
        for order, of_slot in zip(orders, told, strict=True):
            began_ns = time.process_time_ns()
            pools.next_slot()
            pools.rest()
            slot_us = (time.process_time_ns() - began_ns) / 1e3
            spent.setdefault(("pools.slot", ""), []).append(slot_us)
            before = pools.published(POOL)
            frames += of_slot
            for key, frame in zip(order, of_slot, strict=True):
                _take(pools, frame, pools.kind(key), spent)
            if pools.published(POOL) != before + 1:
                raise RuntimeError(f"{program}: a swap is to be published once")
        for frame in [pools.frame(array, 1 + number) for number in range(slots)] if array else ():
            pools.next_slot()
            pools.rest()
            _take(pools, frame, "array", spent)
        peers = pool_peers.peers_us(PROGRAMS[program], POOL, accounts, pools.numbers, frames)
    for (name, kind), samples in spent.items():
        said = params | ({"account": kind} if kind else {})
        if name != "pools.cell":
            yield figure(name, "us", samples, **said)
            continue
        demanded = 60.0 if kind == "array" else 20.0
        yield figure(name, "us", samples, peers=peers, demanded_max=demanded, **said)


def _take(
    pools: pool_told.ToldPools, frame: bytes, kind: str, spent: dict[tuple[str, str], list[float]]
) -> None:
    before = pools.published(POOL)
    began_ns = time.process_time_ns()
    pools.take(frame)
    cell_ns = time.process_time_ns()
    pools.rest()
    end_ns = time.process_time_ns()
    if pools.published(POOL) == before:
        spent.setdefault(("pools.heard", kind), []).append((cell_ns - began_ns) / 1e3)
        return
    spent.setdefault(("pools.cell", kind), []).append((cell_ns - began_ns) / 1e3)
    spent.setdefault(("pools.quoted", kind), []).append((end_ns - began_ns) / 1e3)


def loaded_pools() -> tuple[dict[str, str], Accounts]:
    """A hundred pools by their keys, of each program the same share, and all their accounts."""
    accounts: Accounts = {}
    programs: dict[str, str] = {}
    for number, program in zip(range(POOLS_LOADED), itertools.cycle(MAKERS), strict=False):
        here = pool_keys(f"{number} ")
        programs[here.pool] = PROGRAMS[program]
        accounts |= MAKERS[program](here)
    return programs, accounts


def _memory(rounds: int) -> Figure:
    """Private memory of a process that has heard so many slots of them, their sources on."""
    script = [sys.executable, str(Path(__file__).with_name("pool_memory.py")), str(rounds)]
    said = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    params: dict[str, Any] = {"pools": POOLS_LOADED, "slots": rounds}
    return figure("pools.private", "MB", [float(said)], demanded_max=60.0, **params)


def _load(rounds: int, sources: bool) -> Figure:
    """Swaps in all of them, and slots."""
    programs, accounts = loaded_pools()
    told_ns = slot_ns = told = 0
    with pool_told.told_pools(programs, MINTS, accounts, sources=sources) as pools:
        for _ in range(rounds):
            began_ns = time.process_time_ns()
            pools.next_slot()
            pools.rest()
            slot_ns += time.process_time_ns() - began_ns
            frames = [pools.frame(key) for pool in programs for key in pools.moving(pool)]
            began_ns = time.process_time_ns()
            for frame in frames:
                pools.take(frame)
                pools.rest()
            told_ns += time.process_time_ns() - began_ns
            told += len(frames)
    share = (LOAD_PER_S * told_ns / told + SLOTS_PER_S * slot_ns / rounds) / 1e9
    params: dict[str, Any] = {
        "accounts_per_s": LOAD_PER_S,
        "pools": POOLS_LOADED,
        "sources": int(sources),
    }
    return figure("pools.load", "%", [100 * share], demanded_max=30.0, **params)


def _pda(batches: int, calls: int) -> Iterator[Figure]:
    seeds = [b"tick_array", keys.raw(POOL), b"-26400"]
    names: dict[str, object] = {"pda": pda, "seeds": seeds, "program": keys.ORCA_WHIRLPOOL}
    samples = _cpu_ns("pda(seeds, program)", names, batches=batches, calls=calls)
    yield _us("pools.pda", samples, how="remembered", demanded_max=1.0)
    numbers = itertools.count()
    fresh = "pda([b'tick_array', raw, str(next(numbers)).encode()], program)"
    names |= {"raw": keys.raw(POOL), "numbers": numbers}
    samples = _cpu_ns(fresh, names, batches=batches, calls=calls)
    from solders.pubkey import Pubkey

    program = Pubkey.from_string(keys.ORCA_WHIRLPOOL)
    alone: dict[str, object] = {"find": Pubkey.find_program_address, "program": program}
    alone |= {"raw": keys.raw(POOL), "numbers": itertools.count()}
    theirs = _cpu_ns(fresh.replace("pda(", "find("), alone, batches=batches, calls=calls)
    peers = {"solders": min(theirs) / 1e3}
    yield _us("pools.pda", samples, peers, how="fresh", demanded_max=15.0)


def _construct_us(program: str, data: bytes, batches: int, calls: int) -> dict[str, float]:
    """V4's account by a declarative layout: the one without gaps or wide numbers."""
    if program != "raydium_v4" or importlib.util.find_spec("construct") is None:
        return {}
    from construct import Array, Bytes, Int64ul, Struct

    layout = Struct("numbers" / Array(42, Int64ul), "keys" / Array(9, Bytes(32)))
    names: dict[str, object] = {"parse": layout.parse, "data": data}
    return {"construct": min(_cpu_ns("parse(data)", names, batches=batches, calls=calls)) / 1e3}


def _array(program: str) -> dict[str, str]:
    arrays = {
        "raydium_clmm": raydium_clmm.array_key(POOL, -60),
        "orca_whirlpool": orca_whirlpool.array_key(POOL, -88),
        "meteora_dlmm": meteora_dlmm.array_key(POOL, -1),
    }
    return {"array": arrays[program]} if program in arrays else {"vault": VAULTS[0]}


def _vaults(here: PoolKeys) -> Accounts:
    return {
        here.vaults[0]: made.balance(MINTS[0], 10**15),
        here.vaults[1]: made.balance(MINTS[1], 10**14),
    }


def _v4(here: PoolKeys) -> Accounts:
    return {here.pool: made.amm_v4(vaults=here.vaults, mints=MINTS), **_vaults(here)}


def _cpmm(here: PoolKeys) -> Accounts:
    pool = made.cpmm(config=here.config, vaults=here.vaults, mints=MINTS)
    return {here.pool: pool, here.config: made.cpmm_config(2_500), **_vaults(here)}


NETS = dict.fromkeys(range(-110, 0, 5), 10**12) | dict.fromkeys(range(5, 115, 5), -(10**12))


def _split(width: int) -> dict[int, dict[int, int]]:
    starts = sorted({at // width * width for at in NETS})
    return {
        start: {at: NETS[at] for at in NETS if at // width * width == start} for start in starts
    }


def _clmm(here: PoolKeys) -> Accounts:
    arrays = _split(60)
    ticks = {
        raydium_clmm.array_key(here.pool, start): made.clmm_ticks(here.pool, start, 1, nets)
        for start, nets in arrays.items()
    }
    pool = made.clmm(
        config=here.config,
        spacing=1,
        liquidity=22 * 10**12,
        sqrt_price=raydium_clmm.PRICES.at(0),
        tick=0,
        mints=MINTS,
        arrays=[start // 60 for start in arrays],
    )
    nothing = {raydium_clmm.extension_key(here.pool): (keys.SYSTEM, b"")}
    return {here.pool: pool, here.config: made.clmm_config(2_500), **ticks, **nothing}


def _whirlpool(here: PoolKeys) -> Accounts:
    ticks = {
        orca_whirlpool.array_key(here.pool, start): made.whirlpool_ticks(here.pool, start, 1, nets)
        for start, nets in _split(88).items()
    }
    pool = made.whirlpool(
        spacing=1,
        fee_rate=2_500,
        liquidity=22 * 10**12,
        sqrt_price=orca_whirlpool.PRICES.at(0),
        tick=0,
        mints=MINTS,
    )
    return {here.pool: pool, **ticks}


def _dlmm(here: PoolKeys) -> Accounts:
    held = {at: (10**9 if at >= 0 else 0, 10**9 if at <= 0 else 0) for at in range(-140, 140)}
    arrays = {
        meteora_dlmm.array_key(here.pool, number): made.dlmm_bins(
            here.pool, number, {at: amounts for at, amounts in held.items() if at // 70 == number}
        )
        for number in range(-2, 2)
    }
    pair = made.lb_pair(
        mints=MINTS,
        vaults=here.vaults,
        active_id=0,
        bin_step=10,
        arrays=range(-2, 2),
        control=50_000,
    )
    return {here.pool: pair, **arrays, **_vaults(here)}


MAKERS: dict[str, Callable[[PoolKeys], Accounts]] = {
    "raydium_v4": _v4,
    "raydium_cpmm": _cpmm,
    "raydium_clmm": _clmm,
    "orca_whirlpool": _whirlpool,
    "meteora_dlmm": _dlmm,
}
