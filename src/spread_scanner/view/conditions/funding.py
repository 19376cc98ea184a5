"""Funding that is not told any more: what holding a position costs is not known then."""

from collections.abc import Iterator, Sequence

from spread_scanner.config import Settings
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.symbology.tables import Tables
from spread_scanner.view.conditions.condition import Condition
from spread_scanner.view.funding import FundingState


def of_funding(
    states: Sequence[FundingState], settings: Settings, loaded: Tables | None
) -> Iterator[Condition]:
    """Sources that have told nothing for longer than an interval. One that the tables do not hold
    is not waited for."""
    if not settings.config.pair_discovery.funding_every_s or loaded is None:
        return
    for one in states:
        source = settings.exchanges[one.source]
        listed = loaded.of_source(SOURCE_BY_LABEL[one.source].source_id)
        if one.late and listed and source.enabled:
            text = f"{one.source} has told no funding for {one.age_s / 3_600:z.1f} h"
            yield Condition(f"funding:{one.source}", f"{text}: its rates count as unknown")
