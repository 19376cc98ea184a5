"""What the websockets' answers decide about each leg, within what the settings say about it.

A source whose websocket takes away more of the tables than is believed (doubts.py) keeps its last
known listings, as one whose lists shrink. Used by run.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from spread_scanner.config import Settings
from spread_scanner.discovery.doubts import Doubts
from spread_scanner.discovery.legs import LeftOut, Leg
from spread_scanner.discovery.validate import Heard, Hearing, Validation


@dataclass
class Checked:
    """The legs that are left after listening, and the sources that lost too many for belief."""

    legs: list[Leg] = field(default_factory=list)
    quiet: list[Leg] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    doubted: dict[str, str] = field(default_factory=dict)  # by source label, with the reason


def check(
    legs: Iterable[Leg], validation: Validation, settings: Settings, doubts: Doubts
) -> Checked:
    """Sort the legs by what was heard of them."""
    checked = Checked()
    gone: list[tuple[Leg, LeftOut]] = []
    for leg in legs:
        heard = validation.heard.get(leg.key, Heard())
        reason = _reason(leg, heard, settings)
        if reason:
            gone.append((leg, LeftOut(leg.source, leg.exchange_symbol, reason)))
            continue
        checked.legs.append(leg)
        if heard.state is Hearing.SILENT:
            checked.quiet.append(leg)
    checked.doubted = _doubted(gone, doubts)
    for leg, left_out in gone:
        label = leg.source.label
        if label in checked.doubted and leg.exchange_symbol in doubts.had[label]:
            checked.legs.append(leg._replace(last_known=True))
        else:
            checked.left_out.append(left_out)
    return checked


def _reason(leg: Leg, heard: Heard, settings: Settings) -> str:
    """Why a leg is left out, or empty."""
    section = settings.config.pair_discovery
    if leg.source.exchange.by_pools:  # nobody was asked
        return ""
    if heard.state is Hearing.REFUSED and not section.keep_refused:
        return f"refused by the websocket: {heard.refusal}"
    if heard.state is not Hearing.QUOTED and not (leg.quoted or leg.last_known):
        silent = " and none on the websocket" if heard.state is Hearing.SILENT else ""
        return f"no quote by REST{silent}"
    if heard.state is Hearing.SILENT and not section.keep_quiet:
        return "quiet: quoted by REST, silent on the websocket"
    return ""


def _doubted(gone: Iterable[tuple[Leg, LeftOut]], doubts: Doubts) -> dict[str, str]:
    """The sources that lose more than is believed by what their websocket said."""
    names: dict[str, set[str]] = {}
    reasons: dict[str, str] = {}
    for leg, left_out in gone:
        names.setdefault(leg.source.label, set()).add(leg.exchange_symbol)
        reasons.setdefault(leg.source.label, left_out.reason)
    found: dict[str, str] = {}
    for label, lost in names.items():
        had = set(doubts.had.get(label, ()))
        if not had & lost:
            continue
        seen = f"{len(lost)} on the websocket, the first: {reasons[label]}"
        if reason := doubts.again(label, lost, seen):
            found[label] = reason
    return found
