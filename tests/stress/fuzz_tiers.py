"""Coverage-guided fuzzing of both decoding tiers, run by test_fuzz_tiers.py in its own process.

    python fuzz_tiers.py SOURCE -runs=N -seed=S

Fails on anything but BadMessage out of the typed tier, and on a native match that the typed tier
does not confirm bit for bit.
"""

import struct
import sys

import atheris

with atheris.instrument_imports(include=["spread_scanner"]):
    from spread_scanner.config import SourceSettings
    from spread_scanner.errors import BadMessage
    from spread_scanner.exchanges._match import Decoder
    from spread_scanner.exchanges.adapter import RawQuote
    from spread_scanner.exchanges.decode import scaled
    from spread_scanner.exchanges.registry import adapter_of
    from spread_scanner.schema.enums import SOURCE_BY_LABEL

ADAPTER = adapter_of(
    SOURCE_BY_LABEL[sys.argv[1]], SourceSettings(rest_url="http://a.test", ws_url="ws://a.test")
)
TABLES = {
    name: (number, 1000.0, 0.01)
    for number, name in enumerate(["BTCUSDT", "ETHUSDT", "ETH-USDT", "BTC-USDT-SWAP", "RIF_USDT"])
}
NATIVE = Decoder(ADAPTER.templates(), TABLES, protobuf=ADAPTER.binary)


def both_tiers(frame: bytes) -> None:
    """One input; an exception ends the fuzzer with the input in its report."""
    matched = NATIVE.match(frame)
    try:
        events = ADAPTER.parse(frame)
    except BadMessage:
        events = []
    if matched is None:
        return
    if len(events) != 1 or not isinstance(events[0], RawQuote):
        raise RuntimeError(f"a native match of {frame!r} that the typed tier reads as {events}")
    quote = events[0]
    symbol_id, px_div, sz_mul = TABLES[quote.exchange_symbol]
    other = (symbol_id, *scaled(quote, px_div, sz_mul)[1:])
    if struct.pack("<I4dqQqq", *matched) != struct.pack("<I4dqQqq", *other):
        raise RuntimeError(f"{frame!r}: native {matched}, typed {other}")


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], both_tiers)
    atheris.Fuzz()
