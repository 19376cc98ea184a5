"""What the pretend exchanges announce beside quotes: halts, delistings, maintenance.

Written by faults (`halt`, `delist`, `maintenance`) to whoever has subscribed to it, in the form and
on the path that the exchange's documents give; exchanges that have no such stream say nothing:

    binance-futures  !contractInfo on the base /market: halts and delistings
    bybit-*          system.status on /v5/public/misc/status: maintenance
    mexc-futures     push.contract on the quotes' path: halts and delistings
    okx-*            instruments and status on the quotes' path: all of it

A connection that is frozen or half-open hears nothing, and nothing is said again later, but for
OKX's `status`, which begins with the latest.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from spread_scanner.schema.enums import SOURCE_BY_LABEL, Exchange, Market
from spread_scanner.sim.universe import Listing

if TYPE_CHECKING:
    from spread_scanner.sim.exchange import Exchange8
    from spread_scanner.sim.server import Connection

BINANCE_STREAM, BINANCE_BASE = "!contractInfo", "market"
BYBIT_TOPIC, BYBIT_PATH = "system.status", "v5/public/misc/status"
OKX_STATUS = "status"
MEXC_TOPIC = "contract"
# Binance's documents have no word for a halt alone; a contract that is not traded is SETTLING.
HALTED = {Exchange.BINANCE: "SETTLING", Exchange.OKX: "suspend", Exchange.MEXC: "4"}
DELISTED = {Exchange.BINANCE: "CLOSE", Exchange.OKX: "expired", Exchange.MEXC: "3"}
TRADED = {Exchange.BINANCE: "TRADING", Exchange.OKX: "live", Exchange.MEXC: "0"}
WITH_MAINTENANCE = (Exchange.BYBIT, Exchange.OKX)


class Work(NamedTuple):
    """One maintenance of a source, in the exchange's clock."""

    label: str
    title: str
    begin_ms: int
    end_ms: int


def okx_kind(label: str) -> str:
    return "SWAP" if SOURCE_BY_LABEL[label].market == Market.FUTURES else "SPOT"


def announces_maintenance(label: str) -> bool:
    return SOURCE_BY_LABEL[label].exchange in WITH_MAINTENANCE


class Notices:
    """All sources'."""

    def __init__(self, exchange: "Exchange8") -> None:
        self._exchange = exchange
        self._latest = ""  # of OKX's status

    def halted(self, listing: Listing) -> None:
        self._of_listing(listing, HALTED)

    def resumed(self, listing: Listing) -> None:
        self._of_listing(listing, TRADED)

    def delisted(self, listing: Listing) -> None:
        self._of_listing(listing, DELISTED)

    def _of_listing(self, listing: Listing, words: dict[Exchange, str]) -> None:
        label, exchange = listing.label, listing.source.exchange
        now_ms = self._exchange.now_ms(label)
        if label == "binance-futures":
            event = contract_info(listing, words[exchange], now_ms)
            for connection in self._hearers(label, BINANCE_STREAM):
                wrapped = {"stream": BINANCE_STREAM, "data": event}
                combined = connection.talk is not None and connection.talk.combined
                connection.say(orjson.dumps(wrapped if combined else event).decode())
        elif label == "mexc-futures":
            text = mexc_contract(listing, int(words[exchange]), now_ms)
            for connection in self._hearers(label, MEXC_TOPIC):
                connection.say(text)
        elif exchange == Exchange.OKX:
            kind = okx_kind(label)
            row = {"instType": kind, "instId": listing.exchange_symbol, "state": words[exchange],
                   "tickSz": listing.tick_size, "lotSz": listing.lot_step, "ruleType": "normal",
                   "expTime": "", "upcChg": []}  # fmt: skip
            text = _okx({"channel": "instruments", "instType": kind}, row)
            for connection in self._hearers(label, f"instruments:{kind}"):
                connection.say(text)

    def maintenance(self, work: Work, state: str) -> None:
        """Said to all of the exchange: both of its sources hear of it."""
        label, exchange = work.label, SOURCE_BY_LABEL[work.label].exchange
        bybit = exchange == Exchange.BYBIT
        now_ms = self._exchange.now_ms(label)
        text = bybit_status(work, state, now_ms) if bybit else okx_status(work, state, now_ms)
        if not bybit:
            self._latest = text
        topic = BYBIT_TOPIC if bybit else OKX_STATUS
        for other, source in SOURCE_BY_LABEL.items():
            if source.exchange == exchange:
                for connection in self._hearers(other, topic):
                    connection.say(text)

    def welcome(self, connection: "Connection", fresh: set[str]) -> None:
        """A connection has subscribed to something: what it hears of it first."""
        if OKX_STATUS in fresh and connection.label.startswith("okx") and self._latest:
            connection.say(self._latest)

    def _hearers(self, label: str, topic: str) -> Iterator["Connection"]:
        for connection in sorted(self._exchange.connections, key=lambda one: one.number):
            talk = connection.talk
            if talk is None or connection.label != label or connection.frozen:
                continue
            there = topic != BINANCE_STREAM or talk.path.startswith(BINANCE_BASE + "/")
            if there and topic in talk.topics:
                yield connection


def contract_info(listing: Listing, status: str, now_ms: int) -> dict[str, Any]:
    """Binance's event about one contract."""
    return {
        "e": "contractInfo", "E": now_ms, "s": listing.exchange_symbol, "ct": "PERPETUAL",
        "dt": 4_133_404_800_000, "ot": 1_567_965_300_000, "cs": status, "st": 1,
    }  # fmt: skip


def mexc_contract(listing: Listing, state: int, now_ms: int) -> str:
    """MEXC's push of a contract, of whose row only a part is told here."""
    row = {"symbol": listing.exchange_symbol, "state": state, "apiAllowed": True, "isHidden": False}
    push = {
        "channel": "push.contract",
        "data": row,
        "symbol": listing.exchange_symbol,
        "ts": now_ms,
    }
    return orjson.dumps(push).decode()


def bybit_status(work: Work, state: str, now_ms: int) -> str:
    """Bybit's push about one maintenance."""
    product = 1 if SOURCE_BY_LABEL[work.label].market == Market.FUTURES else 2
    row = {
        "id": f"{work.label}-{work.begin_ms}", "title": work.title, "state": state,
        "begin": str(work.begin_ms), "end": str(work.end_ms), "href": "", "serviceTypes": [1, 5],
        "product": [product], "uidSuffix": [], "maintainType": 1, "env": 1,
    }  # fmt: skip
    return orjson.dumps({"topic": BYBIT_TOPIC, "ts": now_ms, "data": [row]}).decode()


def okx_status(work: Work, state: str, now_ms: int) -> str:
    """OKX's push about one maintenance, which names no market."""
    row = {
        "title": work.title, "state": state, "begin": str(work.begin_ms), "end": str(work.end_ms),
        "preOpenBegin": "", "href": "", "scheDesc": "", "serviceType": "5", "system": "unified",
        "maintType": "1", "env": "1", "ts": str(now_ms),
    }  # fmt: skip
    return _okx({"channel": OKX_STATUS}, row)


def _okx(arg: dict[str, str], row: dict[str, Any]) -> str:
    return orjson.dumps({"arg": arg, "data": [row]}).decode()
