"""The native tier by itself: what a template may be, what a symbol may be, what is no match."""

import pytest

from spread_scanner.exchanges._match import REASONS, Decoder
from spread_scanner.exchanges.adapter import holdable
from spread_scanner.schema.records import TS_ABSENT

TS_NS = 1_790_000_000_009 * 10**6

TEMPLATE = (
    '{"u":{update_id},"s":"{symbol}","b":"{bid_px}","B":"{bid_sz}","a":"{ask_px}","A":"{ask_sz}",'
    '"x":"*","E":{ts_event_ms}}'
)
NUMBERS = "{bid_px} {bid_sz} {ask_px} {ask_sz}"


def decoder(**symbols: tuple[int, float, float]) -> Decoder:
    return Decoder([TEMPLATE], symbols or {"BTCUSDT": (7, 1.0, 1.0)})


def frame(**changed: str) -> bytes:
    fields = {
        "u": "5",
        "s": "BTCUSDT",
        "b": "1.5",
        "B": "2",
        "a": "1.6",
        "A": "3",
        "x": "",
        "E": "1790000000009",
    }
    fields |= changed
    return (
        '{{"u":{u},"s":"{s}","b":"{b}","B":"{B}","a":"{a}","A":"{A}","x":"{x}","E":{E}}}'.format(
            **fields
        )
    ).encode("utf-8", "surrogateescape")


def test_a_match_is_the_quote() -> None:
    assert decoder().match(frame()) == (7, 1.5, 2.0, 1.6, 3.0, TS_NS, 5, TS_ABSENT, TS_ABSENT)
    assert decoder().reason(frame()) == "matched"


def test_a_match_is_scaled_to_base_units() -> None:
    scaled = decoder(BTCUSDT=(3, 1000.0, 0.01)).match(frame())

    assert scaled == (
        3,
        1.5 / 1000.0,
        2.0 * 0.01,
        1.6 / 1000.0,
        3.0 * 0.01,
        TS_NS,
        5,
        TS_ABSENT,
        TS_ABSENT,
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"s": "ETHUSDT"}, "unknown symbol"),
        ({"s": ""}, "unknown symbol"),
        ({"s": "BTCUSDT2"}, "unknown symbol"),
        ({"s": "X" * 70}, "unknown symbol"),
        ({"s": "\\u0042TCUSDT"}, "other text"),
        ({"b": "0"}, "other value"),
        ({"B": "0.00000000"}, "other value"),
        ({"b": "-1"}, "other number"),
        ({"b": "+1"}, "other number"),
        ({"b": "1e5"}, "other text"),
        ({"b": "01"}, "other number"),
        ({"b": "1."}, "other number"),
        ({"b": ".5"}, "other number"),
        ({"b": ""}, "other number"),
        ({"b": " 1"}, "other number"),
        ({"b": "1 "}, "other text"),
        ({"b": "1,5"}, "other text"),
        ({"b": "1.2.3"}, "other text"),
        ({"b": "nan"}, "other number"),
        ({"b": "9" * 41}, "other number"),
        ({"u": "-1"}, "other number"),
        ({"u": "18446744073709551616"}, "other number"),
        ({"u": "1.0"}, "other text"),
        ({"E": "0"}, "other time"),
        ({"E": "9223372036855"}, "other time"),
        ({"E": "1790000000"}, "other time"),  # seconds
        ({"E": "1499999999999"}, "other time"),
        ({"E": "4102444800001"}, "other time"),
        ({"x": 'a"b'}, "other text"),
        ({"x": "a\\nb"}, "other text"),
        ({"x": "a\nb"}, "other text"),
        ({"x": "a\udcff"}, "other text"),
    ],
)
def test_what_is_unusual_is_left_to_the_typed_tier(changed: dict[str, str], reason: str) -> None:
    assert decoder().match(frame(**changed)) is None
    assert decoder().reason(frame(**changed)) == reason


@pytest.mark.parametrize(
    "text",
    [
        "0.1",
        "61837.63000000",
        "0.000000000010593",
        "9007199254740993",
        "9007199254740993.0000000000",
        "123456789012345678.9",
        "0.30000000000000004",
        "1.7976931348623157",
        "99999999999999999999",
        "0.000000000000000000000000000000000001",
        "8.41000000000000014210854715202004",
        "1234567.87654321",
        "12345678.12345678",
        "123456789012345.1",
    ],
)
def test_numbers_are_rounded_as_python_rounds_them(text: str) -> None:
    found = decoder().match(frame(b=text))

    assert found is not None
    assert found[1] == float(text)


def test_update_id_goes_to_the_top_of_u64() -> None:
    found = decoder().match(frame(u=str(2**64 - 1)))

    assert found is not None
    assert found[6] == 2**64 - 1


def test_utf_8_in_symbols_and_skipped_strings() -> None:
    found = Decoder([TEMPLATE], {"币安人生USDT": (1, 1.0, 1.0)}).match(
        frame(s="币安人生USDT", x="é币😀")
    )

    assert found is not None
    assert found[0] == 1


def test_every_truncation_and_extension_is_no_match() -> None:
    whole = frame()
    native = decoder()

    assert all(native.match(whole[:size]) is None for size in range(len(whole)))
    assert native.match(whole + b" ") is None
    assert native.match(whole + b"\x00") is None
    assert native.match(b" " + whole) is None


def test_many_symbols_are_all_found() -> None:
    symbols = {f"{'X' * (n % 30)}{n}": (n, 1.0, 1.0) for n in range(5000)}
    native = Decoder([TEMPLATE], symbols)

    for symbol, (number, _, _) in symbols.items():
        found = native.match(frame(s=symbol))
        assert found is not None
        assert found[0] == number
    assert native.match(frame(s="Y")) is None


def test_the_second_template_is_tried() -> None:
    short = TEMPLATE.replace(',"x":"*","E":{ts_event_ms}', "")
    native = Decoder([short, TEMPLATE], {"BTCUSDT": (7, 1.0, 1.0)})
    plain = frame().split(b',"x"')[0] + b"}"

    for _ in range(3):
        assert native.match(frame()) is not None
        assert native.match(plain) is not None


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ('"{symbol}" {bid_px} {bid_sz} {ask_px}', "four numbers"),
        ('"{symbol}" {bid_px} ' + NUMBERS, "four numbers"),
        (NUMBERS, "symbol"),
        ('"{symbol}" "{symbol}" ' + NUMBERS, "symbol"),
        ("{symbol} " + NUMBERS, "closing quote"),
        ('"{symbol}" * ' + NUMBERS, "closing quote"),
        ('"{symbol}" {bid_px}{bid_sz} {ask_px} {ask_sz}', "two numbers"),
        ('"{symbol}" {nonsense} ' + NUMBERS, "not known"),
        ('"{symbol}" {update_id} {update_id} ' + NUMBERS, "at most once"),
        ('"{symbol}" ' + NUMBERS + "x" * 1024, "too long"),
        ('"{symbol}" ' + NUMBERS + ' "*"' * 20, "too many"),
    ],
)
def test_a_template_that_cannot_be_is_refused(template: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Decoder([template], {})


@pytest.mark.parametrize(
    ("symbol", "px_div", "sz_mul", "fault"),
    [
        ("", 1.0, 1.0, "1 to 64 bytes"),
        ("X" * 65, 1.0, 1.0, "1 to 64 bytes"),
        ('A"B', 1.0, 1.0, "quotes"),
        ("A\\B", 1.0, 1.0, "backslashes"),
        ("A", 0.0, 1.0, "positive"),
        ("A", 1.0, float("nan"), "positive"),
        ("A", 1.0, float("inf"), "positive"),
    ],
)
def test_a_symbol_that_cannot_be_is_refused(
    symbol: str, px_div: float, sz_mul: float, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        Decoder([TEMPLATE], {symbol: (1, px_div, sz_mul)})


@pytest.mark.parametrize(
    "symbol",
    [
        "",
        "A",
        "X" * 64,
        "X" * 65,
        "é" * 32,
        "é" * 33,
        'A"B',
        "A\\B",
        "A\tB",
        "A\x7fB",
        "币安人生",
        "A'B",
    ],
)
def test_what_can_be_held_is_the_same_rule_on_both_sides(symbol: str) -> None:
    try:
        Decoder([TEMPLATE], {symbol: (1, 1.0, 1.0)})
        held = True
    except ValueError:
        held = False
    assert holdable(symbol) == held


def test_what_underflows_in_scaling_is_no_match() -> None:
    assert decoder(BTCUSDT=(1, 1e308, 1.0)).match(frame(b="0." + "0" * 30 + "1")) is None


def test_every_reason_has_a_name() -> None:
    assert len(REASONS) == 6
