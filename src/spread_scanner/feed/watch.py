"""Who of a connection's symbols quotes, is given at least, or does not come although asked for.

Used by Connection, which passes the time in, and by Placing. Reads what the listener and the board
noted, tells the subscription; touches no cell.
"""

from collections.abc import Collection, Iterable

import numpy as np
import numpy.typing as npt

from spread_scanner.clock import NS_PER_S
from spread_scanner.feed._listener import Listener
from spread_scanner.feed.share import Share
from spread_scanner.feed.subscription import Subscription
from spread_scanner.runtime.life import LifeRules
from spread_scanner.symbology.tables import InstrumentRow

GIVEN_NS = NS_PER_S  # from asking for a symbol until its news come here as elsewhere
WATCH_NS = NS_PER_S  # how often it is looked for symbols that do not quote


class Watch:
    """One connection's."""

    def __init__(self, share: Share, listener: Listener, subscription: Subscription) -> None:
        self._share = share
        self._listener = listener
        self._subscription = subscription

    def look(self, now_ns: int) -> None:
        """Tell the subscription who quotes, and from when on a symbol is waited for."""
        subscription, heard_ns = self._subscription, self._share.board.heard_ns
        proven: list[str] = []
        for symbol in subscription.wanted:
            row = self._share.instruments.get(symbol)
            if row is None:
                continue
            refusal = subscription.refused.get(symbol)
            since_ns = refusal.at_ns if refusal is not None else subscription.unproven.get(symbol)
            if since_ns is not None:
                if self._heard_since(row, since_ns):
                    proven.append(symbol)
            elif heard_ns[row.symbol_id] == 0 and symbol in subscription.acknowledged:
                # It has quoted, and its cell has been marked stale since: it is waited for anew.
                subscription.unproven[symbol] = now_ns
        subscription.quoted(proven)

    def quoted(self, exchange_symbol: str) -> bool:
        """Whether this connection has quoted it."""
        row = self._share.instruments.get(exchange_symbol)
        return row is not None and bool(self._listener.quoted[row.symbol_id])

    def begun_ns(self, exchange_symbol: str) -> int:
        """When it was asked for anew here, and has not quoted since: how often it had been asked
        for again by then says nothing of that. 0: it has quoted, or comes from where it did not.
        """
        if self.quoted(exchange_symbol):
            return 0
        return self._subscription.begun_ns.get(exchange_symbol, 0)

    def given(self, exchange_symbol: str) -> bool:
        """Whether it is wanted, and acknowledged or quoted."""
        subscription = self._subscription
        if exchange_symbol not in subscription.wanted:
            return False
        acknowledged = exchange_symbol in subscription.acknowledged
        sure = acknowledged and not subscription.doubted(exchange_symbol)
        return sure or self.quoted(exchange_symbol)

    def carries(self, exchange_symbol: str) -> bool:
        """Whether it is given, whatever was answered: what others have quoted since it was asked
        for here, and this one has not, is not.
        """
        return self.given(exchange_symbol) and not self._missed(exchange_symbol)

    def _missed(self, exchange_symbol: str) -> bool:
        """Whether others have quoted it since it was asked for here, and this one has not."""
        row = self._share.instruments.get(exchange_symbol)
        since_ns = self._subscription.unproven.get(exchange_symbol)
        if row is None or since_ns is None or self.quoted(exchange_symbol):
            return False
        return int(self._share.board.heard_ns[row.symbol_id]) - since_ns > GIVEN_NS

    def all_answered(self) -> bool:
        """Whether all that is wanted is carried, or refused."""
        subscription = self._subscription
        return all(one in subscription.refused or self.carries(one) for one in subscription.wanted)

    def carried_ids(self) -> npt.NDArray[np.uint16]:
        """The ids of what the connection carries."""
        return self.ids_of(self._subscription.wanted)

    def quoted_ids(self) -> npt.NDArray[np.uint16]:
        """The ids of what it carries and has quoted."""
        ids = self.carried_ids()
        found: npt.NDArray[np.uint16] = ids[self._listener.quoted[ids] != 0]
        return found

    def given_ids(self) -> npt.NDArray[np.uint16]:
        """The ids of what it is given, quoted or not."""
        return self.ids_of([one for one in self._subscription.wanted if self.carries(one)])

    def ids_of(self, exchange_symbols: Iterable[str]) -> npt.NDArray[np.uint16]:
        """The ids of those that the tables know."""
        instruments = self._share.instruments
        rows = (instruments.get(symbol) for symbol in exchange_symbols)
        return np.array([row.symbol_id for row in rows if row is not None], np.uint16)

    def young(self, now_ns: int) -> bool:
        """It has not stood for long enough to be blamed for what does not quote."""
        first_ns = int(self._share.settings.first_quote_s_max * NS_PER_S)
        return now_ns - self._listener.opened_ns < 2 * (first_ns + WATCH_NS)

    def in_vain(self, now_ns: int, rules: LifeRules) -> bool:
        """The connection itself may be to blame: asking again has not helped either, and it was not
        told to ask later.
        """
        return (
            not self._subscription.words
            and now_ns - self._listener.opened_ns >= 2 * rules.first_quote_ns_max
            and any(not self._quiet(symbol) for symbol in self._subscription.unproven)
        )

    def unheard(self, now_ns: int, silent: Collection[int]) -> list[str]:
        """Who does not quote although it was asked for: those whose ids are among `silent`, those
        whose first quote is overdue, and those that quoted too seldom to have a rate, long ago: who
        was not found quiet no later than what is asked for in vain.
        """
        settings, board, subscription = self._share.settings, self._share.board, self._subscription
        quiet_ns = int(settings.first_quote_quiet_s_max * NS_PER_S)
        first_ns = int(settings.first_quote_s_max * NS_PER_S)
        again_ns = min(quiet_ns, int(settings.ask_again_s_max * NS_PER_S))
        found: list[str] = []
        for symbol in subscription.acknowledged | subscription.unproven.keys():
            row = self._share.instruments.get(symbol)
            if row is None:
                continue
            since_ns = subscription.unproven.get(symbol)
            if since_ns is not None:
                wait_ns = quiet_ns if row.quiet else first_ns
                late = now_ns - since_ns >= wait_ns and not self._heard_since(row, since_ns)
            else:
                seldom = board.mean_ns[row.symbol_id] == 0.0
                wait_ns = quiet_ns if row.quiet else again_ns
                late = seldom and now_ns - int(board.heard_ns[row.symbol_id]) >= wait_ns
            if late or row.symbol_id in silent:
                found.append(symbol)
        return found

    def refusal(self, now_ns: int, rules: LifeRules) -> str:
        """The exchange's words, if it gives this connection nothing that was asked for."""
        subscription = self._subscription
        if self._listener.data_ns or subscription.acknowledged or not subscription.words:
            return ""
        late = now_ns - self._listener.opened_ns >= rules.first_quote_ns_max
        return subscription.words if late else subscription.refusal

    def _heard_since(self, row: InstrumentRow, since_ns: int) -> bool:
        heard_ns = int(self._share.board.heard_ns[row.symbol_id])
        return bool(self._listener.quoted[row.symbol_id]) and heard_ns >= since_ns

    def _quiet(self, exchange_symbol: str) -> bool:
        row = self._share.instruments.get(exchange_symbol)
        return row is None or row.quiet
