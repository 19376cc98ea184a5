"""What an exchange announces reaches the store: a feed as a process against the simulator."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_feed_sim import Rig, all_quoted

from bed import until
from spread_scanner.schema.enums import SOURCE_BY_LABEL, QuoteFlag
from spread_scanner.symbology.tables import InstrumentRow

BY_HAND = 20


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with contextlib.ExitStack() as stack:
        yield Rig(tmp_path, stack, seed=3, symbols=6, rate=300)


class Hearing:
    """One feed that quotes everything, and hears what is announced."""

    def __init__(self, rig: Rig, label: str) -> None:
        self.rig, self.label, self.source = rig, label, SOURCE_BY_LABEL[label]
        rig.discover()
        self.child = rig.feed(label)
        until(lambda: self.source.process in rig.health.names(), "the feed's row")
        until(all_quoted(rig, label), "quotes")
        # The connection of the announcements is one more than those that carry quotes.
        until(lambda: rig.sim_state()["connections"].get(label) == 2, "the second connection")

    def count(self, counter: str) -> int:
        return self.rig.counters(self.label)[counter]

    def stale(self, row: InstrumentRow) -> bool:
        quote = self.rig.store.read(self.source.source_id, row.symbol_id)
        return quote is not None and bool(quote.flags & QuoteFlag.STALE)

    def written(self, row: InstrumentRow) -> int:
        quote = self.rig.store.read(self.source.source_id, row.symbol_id)
        assert quote is not None
        return int(quote.update_id)

    def say(self, row: InstrumentRow) -> int:
        """The simulator's last quote of it once more, under a new number, which is returned."""
        key = (self.label, row.exchange_symbol)
        last = self.rig.sent()[key]
        names = ("bid_px", "bid_sz", "ask_px", "ask_sz")
        said = {name: last[name] for name in names}
        self.rig.do(do="quote", source=self.label, symbol=row.exchange_symbol, **said)
        sent = self.rig.sent()[key]
        assert sent["messages"] > last["messages"], "somebody heard it"
        return int(sent["update_id"])


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "label", ["okx-spot", pytest.param("binance-futures", marks=pytest.mark.slow)]
)
def test_a_halt_that_is_announced_holds_whatever_is_quoted_until_it_is_lifted(
    rig: Rig, label: str
) -> None:
    hearing = Hearing(rig, label)
    halted, other = rig.listings(label)[:2]
    # The feed's goodbye to the symbol is lost, so that the exchange goes on quoting it.
    rig.do(do="lose-request", source=label, for_s=600)
    rig.do(do="halt", source=label, symbol=halted.exchange_symbol, for_s=600)
    until(lambda: hearing.stale(halted), "the halt")
    assert (hearing.count("halted"), hearing.count("halts")) == (1, 1)

    before = hearing.written(halted)
    for _ in range(BY_HAND):
        hearing.say(halted)
        told = hearing.say(other)
    until(lambda: hearing.written(other) >= told, "quotes of another symbol")
    assert hearing.stale(halted)
    assert hearing.written(halted) == before
    assert not hearing.stale(other)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "label",
    ["okx-futures", "binance-futures", pytest.param("mexc-futures", marks=pytest.mark.slow)],
)
def test_what_is_traded_again_is_good_again_and_what_is_delisted_is_not(
    rig: Rig, label: str
) -> None:
    hearing = Hearing(rig, label)
    halted, gone = rig.listings(label)[:2]
    rig.do(do="halt", source=label, symbol=halted.exchange_symbol)
    until(lambda: hearing.count("halts") == 1, "the halt")
    rig.do(do="end", source=label, what="halt")
    until(lambda: "traded again" in rig.log(label), "its end")
    until(lambda: not hearing.stale(halted), "a quote since")
    assert hearing.count("halted") == 0

    rig.do(do="delist", source=label, symbol=gone.exchange_symbol)
    until(lambda: hearing.stale(gone), "the delisting")
    assert hearing.count("halted") == 1
    assert not hearing.stale(halted)
    words = {"okx-futures": "expired", "binance-futures": "CLOSE", "mexc-futures": "offline"}
    word = words[label]
    until(lambda: word in rig.log(label), "the exchange's word in the log")
    assert hearing.child.poll() is None


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("label", "other"), [("bybit-spot", "bybit-futures"), ("okx-spot", "")])
def test_maintenance_shows_until_it_is_over(rig: Rig, label: str, other: str) -> None:
    hearing = Hearing(rig, label)
    if other:  # Bybit says which of its markets is meant
        rig.do(do="maintenance", source=other, title="of the other market", for_s=600)
    rig.do(do="maintenance", source=label, title="of this market", for_s=600)
    until(lambda: hearing.count("maintenance") == 1, "the maintenance")
    rig.do(do="end", source=label, what="maintenance")
    until(lambda: hearing.count("maintenance") == 0, "its end")
    until(lambda: "completed" in rig.log(label), "its end in the log")
    assert "of the other market" not in rig.log(label)
    assert not any(hearing.stale(row) for row in rig.listings(label))
