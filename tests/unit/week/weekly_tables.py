"""What discovery would publish of the week's coins, by who is listed."""

from weekly_market import KINDS, NUMBER, PERPETUAL, PLACES

from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SOURCE_BY_LABEL
from spread_scanner.symbology.tables import DirectionRow, InstrumentRow, SymbolRow, Tables

SOURCE_IDS = tuple(SOURCE_BY_LABEL[place].source_id for place in PLACES)
WAYS = ("binance-bybit", "mexc-bybit")
LOTS = {NUMBER["WIDE-USDT"]: (0.5, 2.0)}  # of the spots and of the perpetual


def tables_of(generation: int, wall_ns: int, listed: set[int], multiplier: float) -> Tables:
    """What discovery would publish of the coins that are listed."""
    rows = tuple(
        InstrumentRow(
            source_id,
            number,
            KINDS[number].symbol.replace("-", "") + ("" if place == PERPETUAL else "S"),
            multiplier if (place, number) == (PERPETUAL, NUMBER["MULT-USDT"]) else 1.0,
            1.0,
            None,
            LOTS[number][place == PERPETUAL] if number in LOTS else None,
            None,
            None,
            False,
            False,
        )
        for place, source_id in enumerate(SOURCE_IDS)
        for number in sorted(listed)
    )
    return Tables(
        generation=generation,
        created_wall_ns=wall_ns,
        symbols=tuple(
            SymbolRow(number, KINDS[number].symbol, KINDS[number].symbol[:-5], "USDT")
            for number in sorted(listed)
        ),
        instruments=rows,
        directions=tuple(
            DirectionRow(DIRECTION_BY_LABEL[way].direction_id, tuple(sorted(listed)))
            for way in WAYS
        ),
        funding=(),
        quarantine=(),
    )
