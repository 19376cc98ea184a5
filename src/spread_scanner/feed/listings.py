"""What the tables mean for one feed: its listings, its decoder, and which ids change their meaning.

Used by the feed at its start and at each reload. Pure.
"""

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges._match import Decoder
from spread_scanner.exchanges.adapter import Adapter, holdable
from spread_scanner.exchanges.wire import channel_of
from spread_scanner.feed.share import Target
from spread_scanner.schema.enums import Source
from spread_scanner.symbology.tables import InstrumentRow, Tables

Instruments = dict[str, InstrumentRow]


def decoder_of(adapter: Adapter, instruments: Instruments) -> Decoder:
    """The native tier for these tables. A spelling that it cannot hold is left to the typed tier:
    discovery takes none, and tables from elsewhere must not stop the feed.
    """
    symbols = {
        name: (row.symbol_id, row.px_div, row.sz_mul)
        for name, row in instruments.items()
        if holdable(name)
    }
    return Decoder(adapter.templates(), symbols, protobuf=adapter.binary)


def instruments_of(loaded: Tables, source: Source) -> Instruments:
    """The source's listings by the exchange's spelling."""
    return {row.exchange_symbol: row for row in loaded.of_source(source.source_id)}


def target_of(settings: SourceSettings, source: Source) -> Target:
    """What the source's connections are to be connections to."""
    channel = channel_of(settings, source.label)
    return Target(settings.ws_url, settings.proxy, channel, settings.ca_file)


def changed_ids(old: Instruments, new: Instruments) -> list[int]:
    """The ids that mean something else with the new listings, or nothing, in order."""
    changed = {
        row.symbol_id
        for name, row in old.items()
        if name not in new or _meaning(new[name]) != _meaning(row)
    }
    renamed = {
        row.symbol_id
        for name, row in new.items()
        if name in old and old[name].symbol_id != row.symbol_id
    }
    return sorted(changed | renamed)


def _meaning(row: InstrumentRow) -> tuple[int, float, float]:
    """What makes the stored numbers what they are."""
    return (row.symbol_id, row.px_div, row.sz_mul)
