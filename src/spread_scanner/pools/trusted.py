"""Whether one connection to a provider lives, and whether what it tells can be stood behind: by the
rules and settings of the exchanges' feeds (runtime/pulse.py, runtime/life.py), with slots in place
of quotes.

One second without a frame and it is pinged; two, and it is silent: what it covers is not stood
behind. A ping without an answer for ten, or no slot for ten and fifty of their intervals, ends it.
In one thing a provider is believed for less than an exchange: slots are written whether anybody
trades or not, so their silence is no quiet market, and pace.py waits for five of them, not fifty.

Used by ProviderLine, which sends, and passes in what was heard. No sockets; time is told, in
monotonic ns.
"""

from typing import NamedTuple

from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Feed
from spread_scanner.runtime.life import End, Life, Stood, rules_of
from spread_scanner.runtime.pulse import PING_EVERY_S, Pulse, Seen
from spread_scanner.schema.silence import silence_rules

STALL_NS = NS_PER_S  # nobody looked for so long: as of an exchange's feed (feed/native/board.h)
_WORDS = {End.NO_DATA: "no slot at all", End.FROZEN: "no slot was told for too long"}


class Felt(NamedTuple):
    """What a look at a connection found."""

    ping: bytes | None  # to be sent now
    end: End | None  # why it has to go
    stood: int  # by how many spans of `stood_s` with slots it has stood longer than before


class ProviderTrust:
    """One connection's, from its beginning."""

    def __init__(self, settings: Feed, now_ns: int) -> None:
        self.frame_ns = now_ns  # the last frame of any kind
        self.slot_ns = 0  # when a slot was told last; 0: none was
        self.bad_in_row = 0
        self.doubted = ""  # why it is not stood behind now; empty: it is
        self._settings, self._silence = settings, silence_rules(settings)
        # No provider says that it cuts connections of an age.
        self._life = Life(rules_of(settings, None), now_ns, must_quote=True)
        self._pulse, self._stood = Pulse(), Stood()
        self._looked_ns = self._pinged_ns = now_ns
        self._owes_ping = False

    def opened(self, now_ns: int) -> None:
        """It stands: its life begins."""
        self._life.opened_ns = self.frame_ns = self._looked_ns = self._pinged_ns = now_ns

    def retune(self, settings: Feed) -> None:
        """Take the settings that were reloaded."""
        self._settings, self._silence = settings, silence_rules(settings)
        self._life.rules = rules_of(settings, None)

    def frame(self, now_ns: int) -> None:
        """Something was read. Where nobody has looked for long it may be old, like all that waits
        behind it."""
        self._stalled(now_ns)
        self.frame_ns = now_ns

    def ponged(self, payload: bytes, now_ns: int) -> None:
        self._pulse.answered(now_ns, payload)

    def look(self, now_ns: int, slot_lasts_ns: int) -> Felt:
        """Several times a second; `slot_lasts_ns`: how long slots last of late."""
        self._stalled(now_ns)
        self._looked_ns = now_ns
        pulse, rules = self._pulse, self._silence
        seen = Seen(self.frame_ns, self.slot_ns, slot_lasts_ns, 1.0, self.bad_in_row)
        due = now_ns - self._pinged_ns >= PING_EVERY_S * NS_PER_S
        ping = None
        if self._owes_ping or due or pulse.wants_ping(now_ns, seen, rules):
            self._pinged_ns, self._owes_ping = now_ns, False
            ping = pulse.sent(now_ns)
        silent, late = pulse.silent(now_ns, seen, rules, 1.0), pulse.lags(now_ns, rules)
        self.doubted = "silent" if silent else "its path is slow" if late else ""
        stood_ns = int(self._settings.stood_s * NS_PER_S)
        return Felt(
            ping,
            self._life.verdict(now_ns, seen, pulse.waits_since(seen), 1.0),
            self._stood.more(self._life.opened_ns, self.slot_ns, stood_ns),
        )

    def _stalled(self, now_ns: int) -> None:
        """Where nobody has looked for long: silent until a ping sent from now on is answered."""
        if now_ns - self._looked_ns > STALL_NS:
            self._looked_ns, self._owes_ping = now_ns, True
            self._pulse.doubt(now_ns)
            self.doubted = "nobody read for a while"


def in_words(end: End) -> str:
    """Why a connection ended, of a provider's."""
    return _WORDS.get(end, end.value)
