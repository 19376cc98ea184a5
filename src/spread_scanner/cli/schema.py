"""What every command prints under --json: a record of the view, or an answer of cli.answers.

docs/schema.json is generated from this; a test holds each command to its entry.
"""

from typing import Any

import msgspec

from spread_scanner.cli.answers import (
    Cleaned,
    Copied,
    Discovered,
    Ended,
    Examined,
    Exported,
    Failure,
    LogShown,
    PoolSwap,
    ReplayShown,
    Vacuumed,
)
from spread_scanner.discovery.report import (
    DiscoverySummary,
    FundingSummary,
    NothingToAdd,
)
from spread_scanner.exchanges.decode import DecodedQuote
from spread_scanner.orders.orders import Outcome
from spread_scanner.solana.transaction import Transaction
from spread_scanner.solana.wallets import Wallet
from spread_scanner.supervise.summary import RunSummary
from spread_scanner.tracker.report import Report
from spread_scanner.view.analysis import SymbolAnalysis
from spread_scanner.view.books import SymbolBooks
from spread_scanner.view.connections import ConnectionView
from spread_scanner.view.costs import Cost
from spread_scanner.view.cycles import CycleView
from spread_scanner.view.evaluations import Explanation
from spread_scanner.view.opportunities import OpportunityRow
from spread_scanner.view.past import PastShown
from spread_scanner.view.pools import PoolView
from spread_scanner.view.settings import SettingsView
from spread_scanner.view.signals import FollowUpView, SignalView
from spread_scanner.view.sources import SourceView
from spread_scanner.view.spreads import Spread
from spread_scanner.view.status import Status
from spread_scanner.view.tables import TablesView

BY_COMMAND: dict[str, Any] = {
    "status": Status,
    "sources": list[SourceView],
    "connections": list[ConnectionView],
    "watch": list[Spread],
    "signals": list[SignalView | FollowUpView],
    "why": Explanation,
    "book": SymbolBooks,
    "analysis": SymbolAnalysis,
    "pools": list[PoolView] | PoolSwap,  # the latter: quote
    "cycles": list[CycleView],
    "opportunities": list[OpportunityRow],
    "costs": list[Cost],
    "tables": TablesView,
    "settings": SettingsView,
    "doctor": Examined,
    "pause": Outcome,
    "resume": Outcome,
    "halt": Outcome,
    "allow": Outcome,
    "kill": Outcome,
    "shutdown": Outcome,
    "reload": Outcome,
    "down": Ended,
    "discover": Discovered,
    "clean": Cleaned,
    "backup": Copied,
    "vacuum": Vacuumed,
    "wal": LogShown,
    "replay": ReplayShown,
    "history": PastShown,
    "export": Exported,
    "up": RunSummary,
    "demo": RunSummary,
    "report": Report,
    "tx": Transaction,
    "wallet": Wallet,
    "decode": DecodedQuote,  # one a line
}
# What a process prints by itself.
OF_PROCESSES: dict[str, Any] = {
    "pair-discovery": DiscoverySummary,
    "pair-discovery, nothing to add": NothingToAdd,
    "pair-discovery --funding": FundingSummary,
}
# What any of them prints when it fails.
ON_FAILURE = Failure


def document() -> bytes:
    """JSON schema of all of it."""
    printed = {**BY_COMMAND, **OF_PROCESSES}
    kinds = [*printed.values(), ON_FAILURE]
    schemas, named = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    *by_command, failed = schemas
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What spread-ctl COMMAND --json prints; failed: what any of them does",
        "properties": {**dict(zip(printed, by_command, strict=True)), "failed": failed},
        "$defs": dict(sorted(named.items())),
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n"
