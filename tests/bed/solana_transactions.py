"""Transactions as a node tells them, built from what ran: for numbers of our own.

Written from the documentation of getTransaction; base58 is the simulator's. A `Ran` is an
instruction with what it called and said; `told` makes the answer of it, with the log, the heights
and the balances that follow.
"""

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from spread_scanner.sim.solana_keys import named, raw, text

TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"
V4 = "675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8"
CLMM = "CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK"
CPMM = "CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C"
WHIRLPOOL = "whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc"
DLMM = "LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
SELF_CALL = bytes.fromhex("e445a52e51cb9a1d")
FEE_LAMPORTS = 5_000


def key(*names: object) -> str:
    """A key that stands for a name."""
    return named("transaction", *names)


@dataclass
class Ran:
    """An instruction while it ran."""

    program: str
    accounts: list[str]
    data: bytes = b""
    called: list["Ran"] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    failed: bool = False

    def walk(self) -> Iterator["Ran"]:
        yield self
        for one in self.called:
            yield from one.walk()


def transfer(source: str, destination: str, amount: int) -> Ran:
    return Ran(TOKEN, [source, destination, key("owner")], b"\3" + struct.pack("<Q", amount))


def checked(source: str, mint: str, destination: str, amount: int, program: str = TOKEN) -> Ran:
    data = b"\x0c" + struct.pack("<QB", amount, 6)
    return Ran(program, [source, mint, destination, key("owner")], data)


def ray_log(kind: int, *numbers: int) -> str:
    return "ray_log: " + base64.b64encode(struct.pack("<B7Q", kind, *numbers)).decode()


def key_bytes(*named_keys: str) -> bytes:
    return b"".join(map(raw, named_keys))


@dataclass
class Held:
    """A token account: whose, of which mint, how much before and after; None: not there."""

    mint: str
    owner: str
    before: int | None
    after: int | None


def told(
    ran: list[Ran],
    held: dict[str, Held] | None = None,
    *,
    heights: bool = True,
    log_lines: int | None = None,
    err: object = None,
    lamports: dict[str, tuple[int, int]] | None = None,
    version: object = 0,
) -> dict[str, Any]:
    """getTransaction's result. `log_lines`: so many of the log, then it is cut; `lamports`: of
    accounts before and after, beside the payer, who pays what they gain and the fee."""
    payer, held, lamports = key("payer"), held or {}, lamports or {}
    everything = [one for outer in ran for one in outer.walk()]
    names = dict.fromkeys(
        [payer, *held, *lamports, *(name for one in everything for name in one.accounts)]
    )
    names |= dict.fromkeys(one.program for one in everything)
    keys = [*names]
    own, loaded = keys[: len(keys) // 2 + 1], keys[len(keys) // 2 + 1 :]
    places = {name: place for place, name in enumerate(keys)}

    def shaped(one: Ran, height: int | None) -> dict[str, Any]:
        return {
            "programIdIndex": places[one.program],
            "accounts": [places[name] for name in one.accounts],
            "data": text(one.data),
            "stackHeight": height,
        }

    inner = []
    for number, outer in enumerate(ran):
        calls = [shaped(one, height if heights else None) for one, height in _below(outer, 2)]
        if calls:
            inner.append({"index": number, "instructions": calls})
    lines = [line for one in ran for line in _lines(one, 1)]
    if log_lines is not None:
        lines = [*lines[:log_lines], "Log truncated"]
    gained = sum(after - before for before, after in lamports.values())
    pre = [lamports.get(name, (1_000_000_000, 0))[0] for name in keys]
    post = [lamports.get(name, (0, 1_000_000_000))[1] for name in keys]
    post[0] -= FEE_LAMPORTS + gained
    return {
        "slot": 350_000_000,
        "blockTime": 1_750_000_000,
        "version": version,
        "transaction": {
            "signatures": [text(bytes(range(1, 65)))],
            "message": {
                "accountKeys": own,
                "header": {
                    "numRequiredSignatures": 1,
                    "numReadonlySignedAccounts": 0,
                    "numReadonlyUnsignedAccounts": 0,
                },
                "recentBlockhash": key("blockhash"),
                "instructions": [shaped(one, None) for one in ran],
            },
        },
        "meta": {
            "err": err,
            "status": {"Ok": None} if err is None else {"Err": err},
            "rewards": [],
            "fee": FEE_LAMPORTS,
            "innerInstructions": inner,
            "logMessages": lines,
            "loadedAddresses": {"writable": loaded, "readonly": []},
            "preBalances": pre,
            "postBalances": post,
            "preTokenBalances": _balances(places, held, "before"),
            "postTokenBalances": _balances(places, held, "after"),
            "computeUnitsConsumed": 12_345,
        },
    }


def _below(one: Ran, height: int) -> Iterator[tuple[Ran, int]]:
    for called in one.called:
        yield called, height
        yield from _below(called, height + 1)


def _lines(one: Ran, height: int) -> Iterator[str]:
    yield f"Program {one.program} invoke [{height}]"
    yield from (f"Program log: {line}" for line in one.logs)
    for called in one.called:
        yield from _lines(called, height + 1)
    for event in one.events:
        yield f"Program data: {base64.b64encode(event).decode()}"
    yield f"Program {one.program} consumed 1 of 2 compute units"
    end = "failed: custom program error: 0x1771" if one.failed else "success"
    yield f"Program {one.program} {end}"


def _balances(places: dict[str, int], held: dict[str, Held], when: str) -> list[dict[str, Any]]:
    return [
        {
            "accountIndex": places[name],
            "mint": one.mint,
            "owner": one.owner,
            "programId": TOKEN,
            "uiTokenAmount": {"amount": str(getattr(one, when)), "decimals": 6},
        }
        for name, one in held.items()
        if getattr(one, when) is not None
    ]
