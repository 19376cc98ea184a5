"""A subscription against an exchange that loses, refuses and delays, in any order.

The exchange is a model: it acknowledges without data, answers late or never, refuses for reasons
it does not name, is too busy, or has room for a few symbols only. However that goes, once it has
calmed down everything wanted that it would give is subscribed there, and at no time is it asked
more often than it allows.
"""

import itertools
import json
import random
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.adapter import Ack, Adapter, RefusalKind, Refused
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed.subscription import Subscription
from spread_scanner.runtime.patience import Pauses, SymbolPatience
from spread_scanner.schema.enums import SOURCE_BY_LABEL

SETTINGS = SourceSettings(rest_url="https://rest.test", ws_url="wss://ws.test")
LABELS = ("okx-spot", "bybit-spot", "mexc-futures", "binance-spot", "mexc-spot")
NAMES = [f"C{number}_USDT" for number in range(24)]
HOUR_NS = 3_600 * NS_PER_S
FIRST_QUOTE_NS = 60 * NS_PER_S
PAUSES = Pauses()
# From the last fault: a few of the longest pauses, and the waiting for quotes.
CALM_NS = 2 * HOUR_NS


def request_of(label: str, text: str) -> tuple[str, list[str], bool]:
    """Id, symbols, and whether it subscribes."""
    request = json.loads(text)
    method = str(request.get("op", request.get("method")))
    subscribes = not method.lower().startswith("unsub")
    if "param" in request:
        return "", [request["param"]["symbol"]], subscribes
    if "args" in request:
        args = [a["instId"] if isinstance(a, dict) else a.split(".")[-1] for a in request["args"]]
        return str(request.get("id", request.get("req_id"))), args, subscribes
    topics = request["params"]
    if label == "mexc-spot":
        return "0", [topic.rpartition("@")[2] for topic in topics], subscribes
    return str(request["id"]), [topic.partition("@")[0].upper() for topic in topics], subscribes


@dataclass
class Exchange:
    """What it gives and how it answers. `mood` says what becomes of the next requests."""

    label: str
    adapter: Adapter
    given: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)  # listed nowhere
    dumb: set[str] = field(default_factory=set)  # subscribed, but its stream has stopped
    room: int = len(NAMES)
    mood: str = "well"

    def asked(self, text: str) -> list[Ack | Refused]:
        number, symbols, subscribes = request_of(self.label, text)
        if self.mood == "lost":
            return []
        if self.mood == "busy":
            nameless = "" if self.label != "bybit-spot" else number
            return [Refused(nameless, (), "", "Requests too frequent", RefusalKind.BUSY)]
        if self.mood == "nameless":
            return [Refused("", (), "", "no")]
        if not subscribes:
            self.given -= set(symbols)
            # A new stream begins when it is subscribed anew.
            self.dumb -= set(symbols)
        else:
            answer = self._subscribed(number, symbols)
            if answer is not None:
                return answer
        return [] if self.mood == "mute" else self._accepted(number, symbols, subscribes)

    def _subscribed(self, number: str, symbols: list[str]) -> list[Ack | Refused] | None:
        """None: all were taken."""
        bad = [symbol for symbol in symbols if symbol in self.bad]
        if len(self.given | set(symbols)) > self.room:
            return [Refused(number, (), "", "too many", RefusalKind.FULL)]
        if not bad:
            self.given |= set(symbols)
            return None
        if self.label == "binance-spot":  # silently
            self.given |= set(symbols) - set(bad)
            return None
        if self.adapter.limits.whole_request_refused:
            return [Refused(number, tuple(bad[:1]), "", "no", RefusalKind.SYMBOL)]
        good = [symbol for symbol in symbols if symbol not in bad]
        self.given |= set(good)
        refused = [Refused(number, (one,), "", "no", RefusalKind.SYMBOL) for one in bad]
        return [*refused, *(self._accepted(number, good, True) if good else [])]

    def _accepted(self, number: str, symbols: list[str], subscribes: bool) -> list[Ack | Refused]:
        if self.label == "okx-spot":
            return [Ack(number, (symbol,), subscribes) for symbol in symbols]
        if self.label == "mexc-futures":
            return [Ack("", (), subscribes)]
        if self.label == "mexc-spot":
            return [Ack("0", tuple(symbols))]
        return [Ack(number, (), subscribes if self.label == "bybit-spot" else None)]


class Life(RuleBasedStateMachine):
    """The feed's part is done here too: quotes are told, and who is silent is asked for again."""

    @initialize(label=st.sampled_from(LABELS), count=st.integers(1, len(NAMES)))
    def begin(self, label: str, count: int) -> None:
        adapter = adapter_of(SOURCE_BY_LABEL[label], SETTINGS)
        self.exchange = Exchange(label, adapter)
        self.subscription = Subscription(adapter, NAMES[:count], PAUSES)
        self.patience: SymbolPatience[str] = SymbolPatience(random.random)
        self.now_ns = NS_PER_S
        self.sent: list[tuple[int, bool]] = []
        self.kept: list[tuple[int, Ack | Refused]] = []
        self.elsewhere: set[str] = set()  # handed back
        self.late_ns = 0

    # --- what happens

    @rule(mood=st.sampled_from(["well", "lost", "mute", "busy", "nameless"]))
    def turn(self, mood: str) -> None:
        self.exchange.mood = mood

    @rule(seconds=st.sampled_from([0, 1, 7, 30]))
    def answer_late(self, seconds: int) -> None:
        self.late_ns = seconds * NS_PER_S

    @rule(names=st.sets(st.sampled_from(NAMES), max_size=4))
    def list_and_delist(self, names: set[str]) -> None:
        self.exchange.bad = names
        self.exchange.given -= names

    @rule(names=st.sets(st.sampled_from(NAMES), max_size=6))
    def streams_stop(self, names: set[str]) -> None:
        self.exchange.dumb |= names & self.exchange.given

    @rule(room=st.integers(1, len(NAMES)))
    def get_narrow(self, room: int) -> None:
        self.exchange.room = max(room, len(self.exchange.given))

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=8))
    def join(self, names: set[str]) -> None:
        self.subscription.join(sorted(names - self.elsewhere))

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1, max_size=8))
    def leave(self, names: set[str]) -> None:
        self.subscription.leave(sorted(names))

    @rule()
    def reload(self) -> None:
        self.subscription.ask_at_once(self.now_ns)

    @rule(seconds=st.sampled_from([1, 5, 20, 100, 1_000]))
    def live(self, seconds: int) -> None:
        until_ns = self.now_ns + seconds * NS_PER_S
        while self.now_ns < until_ns:
            self._look()
            wait_ns = self.subscription.wait_ns(self.now_ns)
            step_ns = NS_PER_S if wait_ns is None else max(1, min(wait_ns, NS_PER_S))
            self.now_ns = min(until_ns, self.now_ns + step_ns)

    def _look(self) -> None:
        """What a connection and its feed do at one look at the clock."""
        subscription, exchange, now_ns = self.subscription, self.exchange, self.now_ns
        due = [event for at_ns, event in self.kept if at_ns <= now_ns]
        self.kept = [(at_ns, event) for at_ns, event in self.kept if at_ns > now_ns]
        for event in due:
            subscription.answered(event, now_ns)
        text = subscription.next_request(now_ns)
        if text is not None:
            asked = subscription._underway.asked
            self.sent.append((now_ns, asked[max(asked)].again))
            self.kept += [(now_ns + self.late_ns, event) for event in exchange.asked(text)]
        quoting = exchange.given - exchange.dumb
        subscription.quoted([s for s in subscription.unproven if s in quoting])
        if subscription.overflow:
            self.elsewhere |= set(subscription.overflow)
            subscription.leave(subscription.overflow)
        self._ask_again(quoting)

    def _ask_again(self, quoting: set[str]) -> None:
        subscription, now_ns = self.subscription, self.now_ns
        if not subscription.idle(now_ns):
            return
        late = [s for s, since in subscription.unproven.items() if now_ns - since > FIRST_QUOTE_NS]
        stopped = [s for s in subscription.acknowledged - quoting if s not in subscription.unproven]
        names = [s for s in late + stopped if self.patience.due_ns(s, PAUSES) <= now_ns]
        for name in names:
            self.patience.asked(name, now_ns, PAUSES)
        subscription.ask_again(names)

    # --- what must hold

    @invariant()
    def the_exchange_is_not_asked_too_often(self) -> None:
        limits = self.exchange.adapter.limits
        every_ns = NS_PER_S / limits.requests_per_s_max
        times = [at_ns for at_ns, _ in self.sent]
        again = [at_ns for at_ns, again in self.sent if again]
        assert all(b - a >= int(every_ns) for a, b in itertools.pairwise(times))
        # What is unsubscribed to be asked for again is charged for both at once.
        assert all(b - a >= int(4 * every_ns) for a, b in zip(again, again[2:], strict=False))
        hour = limits.requests_per_h_max
        if hour is not None:
            assert most_in_an_hour(times) <= hour
            assert most_in_an_hour(again) <= hour // 4 + 1

    @invariant()
    def what_is_refused_or_given_is_wanted(self) -> None:
        subscription = self.subscription
        assert subscription.refused.keys() <= subscription.wanted.keys()
        assert subscription.acknowledged <= subscription.wanted.keys()
        assert not subscription.acknowledged & subscription.refused.keys()

    @invariant()
    def who_rests_has_nothing_to_ask_whatever_the_time(self) -> None:
        """Its connection does not look at it until something is said to it."""
        if self.subscription.resting:
            assert self.subscription.next_request(self.now_ns + 3_600 * NS_PER_S) is None
            assert self.subscription.resting

    def teardown(self) -> None:
        """The exchange calms down."""
        if not hasattr(self, "exchange"):
            return
        self.exchange.mood, self.late_ns = "well", 0
        until_ns = self.now_ns + CALM_NS
        while self.now_ns < until_ns and not self._comes_right():
            self.live(100)
        assert self._comes_right(), (self._owed() - self.exchange.given, self._unwanted())
        self.the_exchange_is_not_asked_too_often()

    def _owed(self) -> set[str]:
        return set(self.subscription.wanted) - self.exchange.bad

    def _unwanted(self) -> set[str]:
        return set(self.subscription.refused) - self.exchange.bad

    def _comes_right(self) -> bool:
        given = self.exchange.given - self.exchange.dumb
        return self._owed() <= given and not self._unwanted()


def most_in_an_hour(times: list[int]) -> int:
    most = first = 0
    for last, at_ns in enumerate(times):
        while at_ns - times[first] >= HOUR_NS:
            first += 1
        most = max(most, last - first + 1)
    return most


Life.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLife = Life.TestCase
