"""Asking and listening: what one run hears from the exchanges, live or from saved answers.

Used by run (everything) and quick (the lists first). Dials and requests go through the gates that
all processes share.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from spread_scanner.config import Settings
from spread_scanner.discovery import answers
from spread_scanner.discovery.answers import Done, Listed, RestDesk
from spread_scanner.discovery.desks import LiveDesk, SavedDesk
from spread_scanner.discovery.legs import Candidate, Leg
from spread_scanner.discovery.show import Bars
from spread_scanner.discovery.validate import Validation, Wanted, validate
from spread_scanner.errors import ExchangeError
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.rest import Patience, RestClient
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.schema.figures import plain
from spread_scanner.web import trust

NO_VALIDATION = Validation({}, [], {})


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    offline: Path | None = None
    validate: bool = True
    save: Path | None = None
    accept: bool = False  # believe lists that have lost much
    quick: bool = False  # only look for new listings
    funding: bool = False  # only ask for funding
    due: bool = False  # and that, or funding, only after look_every_s, or funding_every_s


def enabled_adapters(settings: Settings) -> list[Adapter]:
    """One per source that is not switched off."""
    return [
        adapter_of(source, settings.exchanges[source.label])
        for source in EXCHANGE_SOURCES
        if settings.exchanges[source.label].enabled
    ]


def somebody(listed: Sequence[Listed]) -> None:
    """Raises ExchangeError where no source answered."""
    if all(row.failure for row in listed):
        why = "; ".join(f"{row.source.label}: {row.failure}" for row in listed)
        raise ExchangeError(f"no source could be reached: {why or 'none is enabled'}")


@contextlib.asynccontextmanager
async def asking(
    settings: Settings,
    options: Options,
    adapters: Sequence[Adapter],
    gates: Gates,
    bars: Bars,
) -> AsyncIterator[tuple[dict[str, RestDesk], Done]]:
    """Where each source is asked, by label, and whom to tell of the answers."""
    section = settings.config.pair_discovery
    patience = Patience(
        section.rest_timeout_s, section.rest_attempts_max, section.rest_backoff_s_max
    )
    steps: dict[str, int] = {}

    def done(label: str, kind: str) -> None:
        steps[label] = 3 if kind == "failed" else steps.get(label, 0) + 1
        bars.show(f"{label} lists", steps[label], 3, kind)

    async with contextlib.AsyncExitStack() as stack:
        desks: dict[str, RestDesk] = {}
        for adapter in adapters:
            label = adapter.source.label
            bars.show(f"{label} lists", 0, 3)
            if options.offline is not None:
                desks[label] = SavedDesk(options.offline, adapter.source)
            else:
                source = settings.exchanges[label]
                gate = gates.gate(adapter.source.exchange.label, source.rest_url, source.proxy)
                tls = trust.of_source(settings, label)
                client = RestClient(adapter, patience, source.proxy, gate=gate, tls=tls)
                await stack.enter_async_context(client)
                desks[label] = LiveDesk(client, adapter.source, options.save)
        yield desks, done


async def ask(
    settings: Settings,
    options: Options,
    adapters: Sequence[Adapter],
    gates: Gates,
    bars: Bars,
) -> list[Listed]:
    """All lists of all sources."""
    async with asking(settings, options, adapters, gates, bars) as (desks, done):
        listed = await answers.ask_all(adapters, desks, done)
    bars.clear()
    return listed


async def listen(
    settings: Settings,
    options: Options,
    adapters: Sequence[Adapter],
    pairs: Iterable[Candidate],
    gates: Gates,
    bars: Bars,
) -> tuple[Validation, str]:
    """What the websockets say, and in a few words for how long they were asked."""
    if options.offline is not None:
        return NO_VALIDATION, "none, offline"
    seconds = settings.config.pair_discovery.validate_s
    if not options.validate or seconds == 0:
        return NO_VALIDATION, "none, as asked"
    legs = legs_of(pairs)
    wanted = [
        Wanted(
            adapter,
            settings.exchanges[adapter.source.label].proxy,
            sorted(leg.exchange_symbol for leg in legs if leg.source == adapter.source),
            gates.of(adapter, settings.exchanges[adapter.source.label].proxy),
            trust.of_source(settings, adapter.source.label),
        )
        for adapter in adapters
    ]

    def progress(label: str, heard: int, asked: int) -> None:
        bars.show(f"{label} quotes", heard, asked)

    return await validate(wanted, seconds, progress), f"{plain(seconds)} s"


def legs_of(pairs: Iterable[Candidate]) -> list[Leg]:
    found = {leg.key: leg for pair in pairs for leg in (pair.spot, pair.futures)}
    return list(found.values())


def samples_of(legs: Iterable[Leg], validation: Validation) -> dict[tuple[int, str], list[float]]:
    return {
        leg.key: [mid / leg.px_div for mid in validation.heard[leg.key].mids]
        for leg in legs
        if leg.key in validation.heard
    }
