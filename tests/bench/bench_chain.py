"""Group chain: what reading transactions, proofs and fees of Solana costs, and packing quotes.

chain.parse     a transaction of so many swaps, whole; floor: its JSON read, msgspec; peer: what
                solana-py makes of that answer, solders' types of it: neither swaps nor changes of
                balances
chain.base58    a key and instruction data; peers: solders for keys, base58 where it is installed
chain.fee       a priority fee from 150 slots; floor: their prices sorted; peer: a percentile of
                them by numpy, without age and congestion
chain.proof     a Merkle proof of 20 steps, by form
chain.pack      quotes into batches of 256, and back, and bytes a quote; floor: copied; peer: zlib
                at its quickest, whose bytes a quote are told beside

CPU of one call. What comes out is checked: amounts, roots, and quotes to the bit.
"""

import importlib.util
import sys
import time
import timeit
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
from measure import Figure, figure
from solders.rpc.responses import GetTransactionResp

from spread_scanner.config.pools import FeeSettings
from spread_scanner.sim.solana_keys import text
from spread_scanner.solana import keys, merkle, parse_transaction
from spread_scanner.solana.base58 import decode58
from spread_scanner.solana.priority_fees import RecentFee, estimate
from spread_scanner.wal.quote_codec import BATCH, QuoteDecoder, QuoteEncoder

sys.path.append(str(Path(__file__).parents[1] / "bed"))  # whose transactions and quotes these are
from quote_walks import walk
from solana_transactions import CLMM, Held, Ran, key, key_bytes, told, transfer

NS_PER_US = 1_000


def figures(small: bool) -> Iterator[Figure]:
    batches, calls = (3, 3) if small else (30, 100)
    for hops in (1, 4):
        yield _parse(hops, batches, calls)
    yield from _base58(batches, calls)
    recent = [RecentFee(350_000_000 + at, at * 7 % 1_000) for at in range(150)]
    names = {"estimate": estimate, "recent": recent, "settings": FeeSettings()}
    samples = _us("estimate(recent, 200_000, settings)", names, batches, calls)
    prices = {"prices": [one.price for one in recent], "percentile": np.percentile}
    floor = min(_us("sorted(prices)", prices, batches, calls))
    peers = {"numpy": min(_us("percentile(prices, 75)", prices, batches, calls))}
    yield figure("chain.fee", "us", samples, floor=floor, peers=peers, slots=150, demanded_max=100)
    yield from _proofs(batches, calls)
    yield from _pack(5_000 if small else 400_000)


def _us(statement: str, names: dict[str, Any], batches: int, calls: int) -> list[float]:
    timer = timeit.Timer(statement, globals=names, timer=time.process_time_ns)
    return [timer.timeit(calls) / calls / NS_PER_US for _ in range(batches)]


def _transaction(hops: int) -> bytes:
    """A route of swaps in concentrated pools, each into the next one's mint."""
    ran, held = [], {}
    for hop in range(hops):
        user, vaults = (
            [key("user", hop + by) for by in (0, 1)],
            [key("vault", hop, by) for by in (0, 1)],
        )
        mints = [key("mint", hop + by) for by in (0, 1)]
        accounts = [key("owner"), key("config"), key("pool", hop), *user, *vaults, key("observed")]
        event = bytes.fromhex("40c6cde8260871e2") + key_bytes(key("pool", hop), key("owner"), *user)
        event += (1_000).to_bytes(8, "little") + bytes(8) + (900).to_bytes(8, "little") + bytes(45)
        moved = [transfer(user[0], vaults[0], 1_000), transfer(vaults[1], user[1], 900)]
        swap = bytes.fromhex("f8c69e91e17587c8") + bytes(33)
        ran.append(Ran(CLMM, accounts, swap, moved, ["Instruction: Swap"], [event]))
        for name, mint in zip(vaults, mints, strict=True):
            held[name] = Held(mint, key("pool", hop), 10**9, 10**9)
    route = Ran(key("router"), [key("owner")], b"", ran)
    answer = {"jsonrpc": "2.0", "id": 1, "result": told([route], held)}
    for balances in ("preTokenBalances", "postTokenBalances"):
        for one in answer["result"]["meta"][balances]:  # type: ignore[index]
            one["uiTokenAmount"] |= {"uiAmount": 1.0, "uiAmountString": "1"}
    return orjson.dumps(answer)


def _parse(hops: int, batches: int, calls: int) -> Figure:
    said = _transaction(hops)
    swaps = parse_transaction(said).swaps
    if [(one.amount_in, one.amount_out) for one in swaps] != [(1_000, 900)] * hops:
        raise ValueError(f"other swaps than were built: {swaps}")
    samples = _us("parse(said)", {"parse": parse_transaction, "said": said}, batches, calls)
    floor = min(_us("read(said)", {"read": msgspec.json.decode, "said": said}, batches, calls))
    names = {"parse": GetTransactionResp.from_json, "said": said.decode()}
    peers = {"solana_py": sorted(_us("parse(said)", names, batches, calls))[batches // 2]}
    params: dict[str, Any] = {"hops": hops, "bytes": len(said)}
    return figure("chain.parse", "us", samples, floor=floor, peers=peers, **params)


def _base58(batches: int, calls: int) -> Iterator[Figure]:
    for size in (32, 200):
        said = text(bytes(range(1, size + 1)))
        peers = {}
        if size == keys.KEY_BYTES:
            keys.raw.cache_clear()
            uncached = keys.raw.__wrapped__
            peers["solders"] = min(
                _us("raw(said)", {"raw": uncached, "said": said}, batches, calls)
            )
        if importlib.util.find_spec("base58"):
            names = {"decode": importlib.import_module("base58").b58decode, "said": said}
            peers["base58"] = min(_us("decode(said)", names, batches, calls))
        samples = _us("decode(said)", {"decode": decode58, "said": said}, batches, calls)
        yield figure("chain.base58", "us", samples, peers=peers, bytes=size)


def _proofs(batches: int, calls: int) -> Iterator[Figure]:
    for form in merkle.MerkleForm:
        leaf, steps = bytes(32), tuple(merkle.ProofStep(bytes([at]) * 32) for at in range(20))
        root = merkle.leaf_hash(leaf, form)
        for step in steps:
            root = merkle.node_hash(root, step.neighbour, form)
        proof = merkle.MerkleProof(root, leaf, steps)
        if not merkle.verify(proof, form):
            raise ValueError("a proof that holds was refused")
        names = {"verify": merkle.verify, "proof": proof, "form": form}
        samples = _us("verify(proof, form)", names, batches, max(1, calls // 10))
        yield figure("chain.proof", "us", samples, steps=20, form=form.value)


def _each(work: Callable[[Any], Any], parts: Sequence[Any]) -> tuple[list[Any], float]:
    """What is made of all, and the seconds of CPU that it takes."""
    begun_ns = time.process_time_ns()
    made = [work(part) for part in parts]
    return made, max(time.process_time_ns() - begun_ns, 1) / 1e9


def _zipped(part: Any) -> bytes:
    return zlib.compress(part.tobytes(), 1)


def _pack(count: int) -> Iterator[Figure]:
    """The second half of a market's quotes, when each cell has been seen."""
    ticks = walk(7, count)
    parts = [ticks[at : at + BATCH] for at in range(0, count, BATCH)]
    encoder, decoder = QuoteEncoder(), QuoteDecoder()
    half = len(parts) // 2
    first, later = parts[:half], parts[half:]
    begun, _ = _each(encoder.pack, first)
    packed, in_s = _each(encoder.pack, later)
    _each(decoder.unpack, begun)
    back, out_s = _each(decoder.unpack, packed)
    if any(one.tobytes() != part.tobytes() for one, part in zip(back, later, strict=True)):
        raise ValueError("other quotes than were packed")
    _, copied_s = _each(np.copy, later)
    zipped, zip_s = _each(_zipped, later)
    _, unzip_s = _each(zlib.decompress, zipped)
    quotes = sum(map(len, back))
    said: dict[str, Any] = {
        "bytes_a_quote": round(sum(map(len, begun + packed)) / count, 2),
        "zlib_bytes": round(sum(map(len, zipped)) / quotes, 2),
        "demanded_min": 5_000_000,
        "bytes_demanded_max": 12,
    }
    for way, taken_s, peer_s in (("in", in_s, zip_s), ("out", out_s, unzip_s)):
        peers = {"zlib": quotes / peer_s}
        rate, floor = [quotes / taken_s], quotes / copied_s
        yield figure("chain.pack", "quotes/s", rate, floor=floor, peers=peers, way=way, **said)
