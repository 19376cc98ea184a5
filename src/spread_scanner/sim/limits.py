"""What an exchange allows one address: dials, REST weight, patience, and the bans that follow.

Counted per exchange and client address, never per source: OKX's three dials a second are for its
spot and its swaps together. Who goes on after a refusal, or is cut off for talking too much, is
struck off for a while: first two minutes, then twice as long each time. Knows no sockets and no
clock; the simulator's loop passes the time in. Source of the numbers: the exchanges' documents.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import NamedTuple

from spread_scanner.schema.enums import SOURCE_BY_LABEL, Exchange

STRIKES_MAX = 10  # within the window: then the address is banned
STRIKES_WINDOW_S = 300.0
CUT_STRIKES = 4  # being cut off for too many messages counts for so many
BAN_S_MAX = 3 * 86_400.0

Query = dict[str, str]


class Refusal(NamedTuple):
    """Why something is not let in: an HTTP status, and when to ask again where it is said."""

    status: int
    text: str
    retry_after_s: float | None = None
    banned: bool = False
    as_date: bool = False  # Retry-After as a date, as some edges spell it

    def headers(self, wall_s: float) -> list[tuple[str, str]]:
        if self.retry_after_s is None:
            return []
        seconds = max(1, round(self.retry_after_s))
        if self.as_date:
            return [("Retry-After", formatdate(wall_s + seconds, usegmt=True))]
        return [("Retry-After", str(seconds))]


class Dials(NamedTuple):
    """At most so many connection attempts of one address in the window."""

    attempts_max: int
    window_s: float


class Sentence(NamedTuple):
    """What a ban looks like; `said`: whether Retry-After tells its length."""

    status: int
    seconds: float
    said: bool


class Allowance(NamedTuple):
    """At most `weight` in `window_s`."""

    weight: int
    window_s: float


DIALS = {
    Exchange.BINANCE: Dials(300, 300.0),
    Exchange.BYBIT: Dials(500, 300.0),
    Exchange.OKX: Dials(3, 1.0),
}
SENTENCES = {
    Exchange.BINANCE: Sentence(418, 120.0, said=True),
    Exchange.MEXC: Sentence(418, 120.0, said=True),
    Exchange.BYBIT: Sentence(403, 600.0, said=False),
}
ALLOWANCES = {
    "binance-spot": Allowance(6000, 60.0),
    "binance-futures": Allowance(2400, 60.0),
    "bybit-spot": Allowance(600, 5.0),
    "bybit-futures": Allowance(600, 5.0),
    "okx-spot": Allowance(20, 2.0),
    "okx-futures": Allowance(20, 2.0),
    "mexc-spot": Allowance(500, 10.0),
    "mexc-futures": Allowance(10, 2.0),
}
MEXC_FUNDING = Allowance(20, 2.0)
DEPTH_WEIGHTS = {
    "/api/v3/depth": ((100, 5), (500, 25), (1000, 50), (5000, 250)),
    "/fapi/v1/depth": ((50, 2), (100, 5), (500, 10), (1000, 20)),
}
WEIGHTS = {  # of one symbol, of all of them
    ("binance-spot", "/api/v3/exchangeInfo"): (20, 20),
    ("binance-spot", "/api/v3/ticker/bookTicker"): (2, 4),
    ("binance-spot", "/api/v3/ticker/price"): (2, 4),
    ("binance-spot", "/api/v3/ticker/24hr"): (2, 80),
    ("binance-futures", "/fapi/v1/ticker/bookTicker"): (2, 5),
    ("binance-futures", "/fapi/v1/ticker/price"): (1, 2),
    ("binance-futures", "/fapi/v1/ticker/24hr"): (1, 40),
    ("binance-futures", "/fapi/v1/premiumIndex"): (1, 10),
    ("mexc-spot", "/api/v3/exchangeInfo"): (10, 10),
    ("mexc-spot", "/api/v3/ticker/24hr"): (1, 40),
}


@dataclass
class Record:
    """One address at one exchange."""

    dials: deque[float] = field(default_factory=deque)
    strikes: deque[float] = field(default_factory=deque)
    banned_until_s: float = 0.0
    bans: int = 0


def weight_of(label: str, path: str, query: Query) -> int:
    """What a request costs."""
    steps = DEPTH_WEIGHTS.get(path) if label.startswith("binance") else None
    if steps is not None:
        wanted = int(query.get("limit") or 100) if query.get("limit", "0").isdigit() else 100
        return next((weight for limit, weight in steps if wanted <= limit), steps[-1][1])
    one, every = WEIGHTS.get((label, path), (1, 1))
    return one if "symbol" in query else every


class Limits:
    """All addresses' records. `scale` shortens bans, as it does every other waiting time."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._records: defaultdict[tuple[Exchange, str], Record] = defaultdict(Record)
        self._used: dict[tuple[str, ...], tuple[float, int]] = {}

    def _record(self, label: str, address: str) -> Record:
        return self._records[SOURCE_BY_LABEL[label].exchange, address]

    def banned(self, label: str, address: str, now_s: float) -> Refusal | None:
        """The ban in force, if there is one."""
        sentence = SENTENCES.get(SOURCE_BY_LABEL[label].exchange)
        left_s = self._record(label, address).banned_until_s - now_s
        if sentence is None or left_s <= 0:
            return None
        wait_s = left_s if sentence.said else None
        return Refusal(sentence.status, "banned\n", wait_s, banned=True)

    def dial(self, label: str, address: str, now_s: float) -> Refusal | None:
        """Count a connection attempt; why it is refused, or None. A refused one is a strike."""
        rules = DIALS.get(SOURCE_BY_LABEL[label].exchange)
        banned = self.banned(label, address, now_s)
        if banned is not None or rules is None:
            return banned
        dials = self._record(label, address).dials
        while dials and now_s - dials[0] >= rules.window_s:
            dials.popleft()
        if len(dials) >= rules.attempts_max:
            self.strike(label, address, now_s)
            wait_s = rules.window_s - (now_s - dials[0])
            return Refusal(429, "too many connections\n", wait_s)
        dials.append(now_s)
        return None

    def ask(self, label: str, path: str, query: Query, address: str, now_s: float) -> float | None:
        """Count a REST request; None: it may be answered, else the seconds to wait."""
        key, allowance = self._bucket(label, path, query, address)
        start_s, used = self._used.get(key, (now_s, 0))
        if now_s - start_s >= allowance.window_s:
            start_s, used = now_s, 0
        used += weight_of(label, path, query)
        self._used[key] = (start_s, used)
        if used <= allowance.weight:
            return None
        self.strike(label, address, now_s)
        return max(allowance.window_s - (now_s - start_s), 0.0)

    def used(self, label: str, address: str) -> int:
        """The weight that Binance shows in its headers."""
        return self._used.get((label, address), (0.0, 0))[1]

    def _bucket(
        self, label: str, path: str, query: Query, address: str
    ) -> tuple[tuple[str, ...], Allowance]:
        """Binance counts by host, Bybit by exchange, OKX by path and kind, MEXC by path."""
        exchange = SOURCE_BY_LABEL[label].exchange
        allowance = ALLOWANCES[label]
        if exchange == Exchange.BINANCE:
            return (label, address), allowance
        if exchange == Exchange.BYBIT:
            return ("bybit", address), allowance
        if exchange == Exchange.OKX:
            return ("okx", path, query.get("instType", ""), address), allowance
        funding = path.startswith("/api/v1/contract/funding_rate")
        return (label, path, address), MEXC_FUNDING if funding else allowance

    def strike(self, label: str, address: str, now_s: float, count: int = 1) -> None:
        """One more reason to ban an address; where the exchange bans at all."""
        sentence = SENTENCES.get(SOURCE_BY_LABEL[label].exchange)
        if sentence is None:
            return
        record = self._record(label, address)
        record.strikes.extend([now_s] * count)
        while record.strikes and now_s - record.strikes[0] >= STRIKES_WINDOW_S * self._scale:
            record.strikes.popleft()
        if len(record.strikes) >= STRIKES_MAX:
            record.strikes.clear()
            length_s = min(sentence.seconds * 2**record.bans, BAN_S_MAX) * self._scale
            record.bans += 1
            record.banned_until_s = now_s + length_s

    def bans(self, now_s: float) -> dict[str, float]:
        """Who is banned, for how many seconds more."""
        return {
            f"{exchange.name.lower()} {address}": record.banned_until_s - now_s
            for (exchange, address), record in self._records.items()
            if record.banned_until_s > now_s
        }
