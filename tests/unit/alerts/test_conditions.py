"""What is told of a source's quotes, by what stands in the price store."""

from pathlib import Path

import numpy as np
import pytest

from spread_scanner import config
from spread_scanner.alerts.conditions import of_sources, of_switches
from spread_scanner.clock import VirtualClock
from spread_scanner.schema.enums import SOURCE_BY_LABEL, UNUSABLE, QuoteFlag
from spread_scanner.shm import Control, PriceStore

SOURCE = SOURCE_BY_LABEL["okx-spot"]
SETTINGS = config.load(Path(__file__).parents[3] / "config", environ={})


def told(namespace: str, flag: QuoteFlag, marked: int) -> list[str]:
    """Of four quotes some are marked."""
    with (
        PriceStore.create(namespace, max_symbols=64) as store,
        store.writer(SOURCE.source_id) as writer,
    ):
        now_ns = store.clock.now_ns()
        for symbol_id in range(4):
            writer.write(symbol_id, 1.0, 1.0, 2.0, 1.0, now_ns, now_ns, 1)
        writer.mark_stale(np.arange(marked, dtype=np.uint16), int(flag))
        return [found.text for found in of_sources(store, SETTINGS, {SOURCE.process})]


@pytest.mark.parametrize("flag", list(UNUSABLE))
def test_a_source_is_told_of_when_more_than_half_of_it_cannot_be_used(
    namespace: str, flag: QuoteFlag
) -> None:
    """Whatever the reason: one definition for the engine, the tracker and whoever is told."""
    assert told(namespace, flag, 3) == ["okx-spot: 75% of 4 quotes cannot be stood behind"]


@pytest.mark.parametrize(("flag", "marked"), [(QuoteFlag.JUMPED, 2), (QuoteFlag.OVERDUE, 4)])
def test_half_of_it_or_what_can_be_used_is_nothing_to_tell(
    namespace: str, flag: QuoteFlag, marked: int
) -> None:
    assert told(namespace, flag, marked) == []


def test_a_halt_or_pause_that_stands_longer_than_a_day_is_told(
    namespace: str, virtual_clock: VirtualClock
) -> None:
    with Control.create(namespace) as control:
        with control.operator() as operator:
            operator.kill()
            operator.pause_symbol("BTC-USDT")
        virtual_clock.advance_ms(86_400_000)
        assert list(of_switches(control)) == []
        virtual_clock.advance_ms(1_000)
        keys = [one.key for one in of_switches(control)]
        assert keys == ["switched:halt:", "switched:symbol:BTC-USDT"]
        with control.operator() as operator:
            operator.kill(killed=False)
        assert [one.key for one in of_switches(control)] == keys[1:]
