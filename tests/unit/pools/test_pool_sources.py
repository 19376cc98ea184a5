"""feed-solana as the writer of sources: their quotes are what the simulator's own maths say, and
nothing that cannot be stood behind is shown as if it could.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pool_told import NAMESPACE, TOLD_RATE, told_id, told_pools
from solana_bed import FeedBed, SolanaThread, feeding, solana

from spread_scanner import clock
from spread_scanner.pools import sources
from spread_scanner.schema.books import BOOK_UNUSABLE, BookFlag
from spread_scanner.schema.enums import (
    POOL_SOURCES,
    SOURCE_BY_LABEL,
    UNUSABLE,
    QuoteFlag,
    ReloadOutcome,
)
from spread_scanner.schema.names import FEED_SOLANA
from spread_scanner.schema.pools import PROGRAM_SOURCES
from spread_scanner.schema.records import TS_ABSENT
from spread_scanner.shm import Control, PriceStore
from spread_scanner.shm.books import BookStore
from spread_scanner.shm.control import Answer
from spread_scanner.shm.price_store import Writer
from spread_scanner.shm.wants import Wants
from spread_scanner.sim.chain_curves import SimClmm, SimDlmm
from spread_scanner.sim.chain_pools import BASES, USDC, SimPool
from spread_scanner.symbology.publish import publish
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

COUNT = 6  # of each kind one, and one more
RATE = 0.998, 1.002
SIZE = 1_000 * 10**6
SYMBOLS = ("SOL-USDT", "SOL-USDC", "RAY-USDT", "USDC-USDT")
STALE = int(QuoteFlag.STALE)
STABLE = SOURCE_BY_LABEL["binance-spot"].source_id


def made() -> Tables:
    """Each pool's source quotes SOL and RAY; binance-spot tells what a USDC is."""
    listed = [(source.source_id, id_) for source in POOL_SOURCES[:3] for id_ in range(3)]
    rows = [(source_id, id_, SYMBOLS[id_]) for source_id, id_ in listed]
    rows = [(STABLE, 3, "USDCUSDT"), *rows]
    return Tables(
        generation=1,
        created_wall_ns=clock.wall_ns(),
        symbols=tuple(SymbolRow(id_, name, *name.split("-")) for id_, name in enumerate(SYMBOLS)),
        instruments=tuple(
            InstrumentRow(*row, 1.0, 1.0, None, None, None, None, False, False) for row in rows
        ),
        directions=(DirectionRow(12, ()),),
        funding=(),
        quarantine=(),
    )


class World:
    """The chain, feed-solana, and the test as the feed that tells what a USDC is."""

    def __init__(self, bed: FeedBed, chain: SolanaThread, store: PriceStore, usdc: Writer) -> None:
        self.bed, self.chain, self.store, self._usdc = bed, chain, store, usdc

    def tell(self) -> None:
        """What a USDC brings and costs."""
        self._usdc.write(3, RATE[0], 1.0, RATE[1], 1.0, TS_ABSENT, self.store.clock.now_ns(), 1)
        self._usdc.heartbeat(clock.mono_ns())

    def pools(self, source_id: int, symbol: str) -> list[SimPool]:
        base, _, quote = symbol.partition("-")
        return [
            pool
            for pool in self.chain.side.chain.pools.values()
            if PROGRAM_SOURCES[pool.kind].source_id == source_id
            and {coin.name for coin in pool.coins} == {base, quote}
        ]

    def expected(self, source_id: int, symbol: str) -> tuple[float, float] | None:
        """Bid and ask as the simulator's fractions have them."""
        found = [sides(pool) for pool in self.pools(source_id, symbol)]
        if symbol.endswith("-USDT"):
            usdc = symbol.replace("-USDT", "-USDC")
            through = [sides(pool) for pool in self.pools(source_id, usdc)]
            found += [(bid * RATE[0], ask * RATE[1]) for bid, ask in through]
        if not found:
            return None
        ask = min(ask for _, ask in found)
        return min(max(bid for bid, _ in found), ask), ask

    def right(self) -> bool:
        """Every quote is, to the last digits of a float; others are not to be had."""
        self.tell()
        for source in POOL_SOURCES[:3]:
            for symbol_id, symbol in enumerate(SYMBOLS[:3]):
                quote = self.store.read(source.source_id, symbol_id)
                wanted = self.expected(source.source_id, symbol)
                if wanted is None:
                    assert quote is None or quote.flags & QuoteFlag.STALE
                elif (
                    quote is None
                    or quote.flags & int(UNUSABLE)
                    or (quote.bid_px, quote.ask_px) != pytest.approx(wanted, rel=1e-9)
                ):
                    return False
        return True

    def through_the_rate(self) -> str:
        """A source that has SOL in USDC alone."""
        return next(
            source.label
            for source in POOL_SOURCES
            if self.pools(source.source_id, "SOL-USDC")
            and not self.pools(source.source_id, "SOL-USDT")
        )

    def flags(self, source: str, symbol_id: int) -> int:
        quote = self.store.read(SOURCE_BY_LABEL[source].source_id, symbol_id)
        return int(QuoteFlag.STALE) if quote is None else int(quote.flags)


def sides(pool: SimPool) -> tuple[float, float]:
    """What selling and buying for the reference size cost in whole coins: the least that brings it
    is looked for."""
    base = next(side for side in (0, 1) if pool.coins[side].name not in ("USDC", "USDT"))
    unit = 10 ** pool.coins[base].decimals
    bought = pool.quote(1 - base, SIZE)
    low, high = 0, 4 * bought
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if pool.quote(base, middle) >= SIZE else (middle, high)
    quote = Fraction(SIZE, 10**6)
    return float(quote * unit / high), float(quote * unit / bought)


@pytest.fixture
def world(tmp_path: Path, namespace: str) -> Iterator[World]:
    with (
        solana(1, COUNT, slot_s=0.05) as chain,
        feeding(tmp_path, namespace, chain.side.pools_toml(), 12) as bed,
    ):
        publish(bed.settings.generated_dir, made(), {})
        with PriceStore.attach(namespace) as store, store.writer(STABLE) as usdc:
            yield World(bed, chain, store, usdc)


@pytest.mark.slow
def test_sources_quote_what_their_pools_are_worth(world: World, namespace: str) -> None:
    bed, chain = world.bed, world.chain
    world.tell()
    bed.start()
    bed.wait("all pools are fresh", bed.all_fresh)
    chain.act(do="swaps", per_slot=0)
    bed.wait("every quote is right", world.right)
    assert world.store.heartbeat_mono_ns(8) > 0

    with Wants.attach(namespace) as wants, BookStore.attach(namespace) as books:
        wants.ask(8, 1, 30.0)
        bed.wait("the ladder comes", lambda: world.right() and books.read(8, 1) is not None)
        bed.wait("it is whole", lambda: not books.read(8, 1).flags & BookFlag.STALE)  # type: ignore[union-attr]
        found = books.read(8, 1)
        assert found is not None
        bought = np.cumsum(found.asks[:, 0] * found.asks[:, 1])
        assert bought[-1] == pytest.approx(bed.settings.pools.ladder_quote[-1], rel=1e-6)
        assert books.read(8, 0) is None, "nobody asked for it"

    through = world.through_the_rate()

    def stale_in_usdt() -> bool:
        return bool(world.flags(through, 0) & QuoteFlag.STALE)

    world._usdc.mark_stale()
    bed.wait("in USDT it is stale with the rate", stale_in_usdt)
    assert not world.flags(through, 1) & int(UNUSABLE), "in USDC it stands"
    bed.wait("it comes back with it", world.right)

    bed.order(lambda operator: operator.pause(FEED_SOLANA))
    bed.wait("nothing is stood behind", lambda: bool(world.flags("orca", 1) & QuoteFlag.STALE))
    bed.order(lambda operator: operator.pause(FEED_SOLANA, paused=False))
    bed.wait("it goes on", world.right)

    for provider in "ab":
        chain.act(do="silent", provider=provider)
    bed.wait("no slot is told", lambda: bool(world.flags("orca", 1) & QuoteFlag.STALE))
    for provider in "ab":
        chain.act(do="heard", provider=provider)
    bed.wait("slots are told again", world.right)

    assert bed.end() == 0
    assert world.flags("raydium", 1) & QuoteFlag.STALE


def reloaded(bed: FeedBed) -> str:
    """The refusal of a reload; empty: it was applied."""
    with Control.attach(bed.namespace) as control:
        before = control.answer(FEED_SOLANA)
        bed.order(lambda operator: operator.reload(FEED_SOLANA))

        def said() -> Answer | None:
            now = control.answer(FEED_SOLANA)
            return None if now is None or now == before else now

        bed.wait("the reload is answered", lambda: said() is not None)
        answer = said()
    assert answer is not None
    assert (answer.outcome is ReloadOutcome.REFUSED) == bool(answer.text)
    return answer.text


@pytest.mark.slow
def test_a_reload_switches_sources_and_rates_and_is_refused_by_name(world: World) -> None:
    bed, chain = world.bed, world.chain
    toml, config = chain.side.pools_toml(), (bed.folder / "config.toml").read_text()
    world.tell()
    bed.start()
    bed.wait("all pools are fresh", bed.all_fresh)
    chain.act(do="swaps", per_slot=0)
    bed.wait("every quote is right", world.right)

    for wrong, name in (
        (toml.replace("requests_per_s = 200.0", "requests_per_s = 0.0", 1), "requests_per_s"),
        (f'{toml}\n[stable]\nsource = "nobody"\n', "stable.source"),
        (toml.replace("enabled = true", "enabeld = true", 1), "enabeld"),
    ):
        bed.write(wrong)
        refusal = reloaded(bed)
        assert name in refusal
        assert "pools.toml" in refusal
    bed.write(toml)
    rows = config.replace("num_sources = 12", "num_sources = 8")
    (bed.folder / "config.toml").write_text(rows)
    assert "system.num_sources" in reloaded(bed)
    (bed.folder / "config.toml").write_text(config)
    assert world.right(), "what was refused has changed nothing"

    slower = toml.replace("requests_per_s = 200.0", "requests_per_s = 150.0")
    bed.write(slower)
    assert reloaded(bed) == ""
    bed.wait("all goes on at another rate", lambda: bed.all_fresh() and world.right())
    assert bed.health().counters["reloads"] == 1

    orca = 'program = "orca-whirlpool"'
    bed.write(slower.replace(orca, f"{orca}\nenabled = false"))
    assert reloaded(bed) == ""
    bed.wait("a source without pools is given up", lambda: world.flags("orca", 1) & STALE > 0)
    bed.wait("the others go on", lambda: not world.flags("raydium", 1) & int(UNUSABLE))
    assert not [one for one in bed.pools().values() if one.program == "orca-whirlpool"]

    bed.write(slower)
    assert reloaded(bed) == ""
    bed.wait("it is a source again", lambda: bed.all_fresh() and world.right())
    assert bed.end() == 0


@pytest.mark.parametrize(
    "quoted", [("SOL-USDC", "SOL-USDT"), ("SOL-USDT", "SOL-USDC"), ("SOL-USDT",)]
)
def test_quotes_go_by_the_chains_second_and_not_by_this_machines(quoted: Sequence[str]) -> None:
    """Also what a pool in USDC is in USDT, whichever comes first, or has a pair at all."""
    pool = SimDlmm(1, 0, (BASES[0], USDC), 1_000_000)
    pool.unix_s = began_s = 1_700_000_000  # this machine's clock is years off it
    pool.swap(1, pool.amounts[1] // 40)
    mints = pool.coins[0].mint, pool.coins[1].mint
    accounts, asks = pool.everything(2), []
    with (
        told_pools({pool.key: pool.kind}, mints, accounts, sources=True, quoted=quoted) as told,
        PriceStore.attach(NAMESPACE) as store,
    ):
        for second in (began_s + 1, began_s + 100_000):
            told.clock(second)
            told.next_slot()
            told.rest()
            pool.unix_s = second
            for symbol in quoted:
                rate = (1.0, 1.0) if symbol == "SOL-USDC" else TOLD_RATE
                quote = store.read(PROGRAM_SOURCES[pool.kind].source_id, told_id(symbol))
                assert quote is not None
                wanted = [px * by for px, by in zip(sides(pool), rate, strict=True)]
                assert (quote.bid_px, quote.ask_px) == pytest.approx(wanted, rel=1e-9), symbol
                asks.append(quote.ask_px)
    assert asks[0] > asks[len(quoted)] * 1.0001, "what volatility adds has gone"


def test_what_moves_while_a_slot_is_renewed_is_quoted_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sources, "STRETCH_NS", 0)  # a piece each time
    moving, other = (SimClmm(1, at, (BASES[0], USDC), 1_000_000) for at in (0, 1))
    mints = moving.coins[0].mint, moving.coins[1].mint
    accounts = moving.everything(2) | other.everything(2)
    kinds = {pool.key: pool.kind for pool in (moving, other)}
    source_id = PROGRAM_SOURCES[moving.kind].source_id
    with (
        told_pools(kinds, mints, accounts, sources=True) as told,
        PriceStore.attach(NAMESPACE) as store,
        BookStore.attach(NAMESPACE) as books,
    ):

        def shown() -> tuple[float, int]:
            quote, book = store.read(source_id, 0), books.read(source_id, 0)
            assert quote is not None
            assert book is not None
            return quote.ask_px, int(book.record["update_id"])

        before = shown()
        told.next_slot()
        told.rest_once()
        moving.swap(0, moving.amounts[0] // 400)  # sold: it is the cheaper one now
        own = moving.everything(2)[moving.key]
        told._feed.told("a", moving.key, told._slot, own, clock.mono_ns())
        pieces = 0
        while shown()[0] == before[0]:
            told.rest_once()
            pieces += 1
        ask_px = min(sides(pool)[1] for pool in (moving, other))
        assert shown()[0] == pytest.approx(ask_px, rel=1e-9)
        assert shown()[1] == before[1], "no ladder is made yet"
        assert pieces < 6, "decoded, asked and written, and its accounts beside it"
        told.rest()
        assert shown()[1] > before[1], "ladders come last"


def test_a_ladder_of_pools_that_nobody_covers_any_more_is_stale_until_a_slot_brings_another() -> (
    None
):
    """Without a provider no slot is told, with which the next one would come."""
    pool = SimClmm(1, 0, (BASES[0], USDC), 1_000_000)
    mints = pool.coins[0].mint, pool.coins[1].mint
    source_id = PROGRAM_SOURCES[pool.kind].source_id
    with (
        told_pools({pool.key: pool.kind}, mints, pool.everything(2), sources=True) as told,
        BookStore.attach(NAMESPACE) as books,
    ):

        def unusable() -> list[int]:
            found = (books.read(source_id, symbol_id) for symbol_id in (0, 1))
            return [int(book.record["flags"]) & BOOK_UNUSABLE for book in found if book is not None]

        assert unusable() == [0, 0], "in USDC and in USDT"
        told._feed.lost("a", clock.mono_ns())
        told.rest()
        assert unusable() == [int(BookFlag.STALE)] * 2
        told._begin()
        assert unusable() == [0, 0]
