"""What discovery found that a person wants to hear: pairs in quarantine, symbols without room,
exchanges that were away, and that it has not looked for too long.
"""

from collections.abc import Iterator

from spread_scanner.config import Settings
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.symbology.tables import SOURCE_DISABLED, SOURCE_OK
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.tables import TablesView

NO_ROOM = "no room for"  # as discovery's warning begins
AS_IT_SHOULD = (SOURCE_OK, SOURCE_DISABLED)


def of_tables(view: TablesView, judged_age_s: float, settings: Settings) -> Iterator[Condition]:
    """What lasts: `judged_age_s` ago a full run judged them. It knew nothing of what was switched
    off in the settings since, which concerns nobody any more."""
    age_h = judged_age_s / 3_600
    if age_h > settings.config.spread_alerts.tables_age_h_max:
        text = f"no full discovery for {age_h / 24:z.1f} days: what is listed may be another now"
        yield Condition("old:tables", text, patient=True)
    for warning in view.warnings:
        if warning.startswith(NO_ROOM):
            yield Condition("room", warning, patient=True)
    for source, state in view.sources.items():
        if state not in AS_IT_SHOULD and settings.runs(SOURCE_BY_LABEL[source]):
            text = f"discovery: {source} is {state}; enabled = false leaves it out for good"
            yield Condition(f"away:{source}", text, patient=True)
    ways: dict[str, list[str]] = {}
    for row in view.quarantined:
        if not settings.signals(row.direction, row.symbol):
            continue
        ways.setdefault(row.symbol, []).append(f"{row.direction}: {row.reason}")
    for symbol, reasons in ways.items():
        text = f"{symbol} is in quarantine ({'; '.join(reasons)})"
        # A market always has some: outside the band that was set, they are out as it was meant.
        yield Condition(f"quarantine:{symbol}", text, patient=True, deliberate=True)
