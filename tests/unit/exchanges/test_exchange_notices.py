"""What exchanges announce: where it is heard, and what its bytes mean."""

import contextlib

import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.errors import BadMessage
from spread_scanner.exchanges.adapter import Notice, NoticeKind
from spread_scanner.exchanges.notices import (
    Halted,
    Maintenance,
    Resumed,
    Unread,
    answer_of,
    answer_of_mexc,
    parse_binance,
    parse_bybit,
    parse_mexc,
    parse_okx,
    stream_of,
)
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import SOURCE_BY_LABEL
from spread_scanner.schema.records import TS_ABSENT

SHIPPED = {
    "binance-futures": "wss://fstream.binance.com/public/stream",
    "bybit-spot": "wss://stream.bybit.com/v5/public/spot",
    "okx-futures": "wss://ws.okx.com:8443/ws/v5/public",
    "mexc-futures": "wss://contract.mexc.com/edge",
}
BYBIT = (
    b'{"topic":"system.status","ts":1775000000000,"data":[{"id":"4d95b2a0","title":"System '
    b'Maintenance","state":"%s","begin":"1775000000000","end":"1775003600000","href":"",'
    b'"serviceTypes":[2,3],"product":%s,"uidSuffix":[],"maintainType":1,"env":1}]}'
)


@pytest.mark.parametrize(
    ("label", "url", "words"),
    [
        ("binance-futures", "wss://fstream.binance.com/market/stream", ["!contractInfo"]),
        ("bybit-spot", "wss://stream.bybit.com/v5/public/misc/status", ["system.status"]),
        ("okx-futures", "wss://ws.okx.com:8443/ws/v5/public", ["instruments", "SWAP", "status"]),
        ("mexc-futures", "wss://contract.mexc.com/edge", ["sub.contract"]),
    ],
)
def test_a_stream_is_where_the_exchange_announces(label: str, url: str, words: list[str]) -> None:
    stream = stream_of(SOURCE_BY_LABEL[label], SHIPPED[label])
    assert stream is not None
    assert stream.url == url
    for word in words:
        assert f'"{word}"' in "".join(stream.requests)


@pytest.mark.parametrize(
    ("label", "quotes", "notices"),
    [
        ("binance-futures", "ws://gate/b/public/stream", "ws://gate/b/market/stream"),
        ("binance-futures", "ws://gate/b/public/ws/", "ws://gate/b/market/stream"),
        ("binance-futures", "wss://fstream.binance.com/stream?x=1", "wss://fstream.binance.com/market/stream"),
        ("bybit-futures", "ws://gate/b/v5/public/linear", "ws://gate/b/v5/public/misc/status"),
        ("bybit-futures", "ws://gate", "ws://gate/v5/public/misc/status"),
        ("okx-spot", "ws://gate/o/ws/v5/public", "ws://gate/o/ws/v5/public"),
    ],
)  # fmt: skip
def test_what_stands_before_the_exchanges_own_path_stays(
    label: str, quotes: str, notices: str
) -> None:
    stream = stream_of(SOURCE_BY_LABEL[label], quotes)
    assert stream is not None
    assert stream.url == notices


@pytest.mark.parametrize("label", ["binance-spot", "mexc-spot"])
def test_who_announces_nothing_has_no_stream(label: str) -> None:
    assert stream_of(SOURCE_BY_LABEL[label], "wss://ws.test/x") is None


@pytest.mark.parametrize(
    ("state", "over"),
    [("scheduled", False), ("ongoing", False), ("completed", True), ("canceled", True)],
)
def test_maintenance_of_bybit_concerns_its_products(state: str, over: bool) -> None:
    (found,) = parse_bybit(BYBIT % (state.encode(), b"[1,2]"), 2)
    assert found == Maintenance(
        "System Maintenance", state, 1_775_000_000 * 10**9, 1_775_003_600 * 10**9, over, "4d95b2a0"
    )
    assert parse_bybit(BYBIT % (state.encode(), b"[1]"), 2) == []
    assert len(parse_bybit(BYBIT % (state.encode(), b"[]"), 2)) == 1
    demo = (BYBIT % (state.encode(), b"[1,2]")).replace(b'"env":1', b'"env":"2"')
    assert parse_bybit(demo, 2) == []
    assert parse_bybit(b'{"success":true,"ret_msg":"","conn_id":"c","op":"subscribe"}', 2) == []


def test_okx_tells_changes_of_listings_and_maintenance() -> None:
    frame = (
        b'{"arg":{"channel":"instruments","instType":"SPOT"},"data":['
        b'{"instType":"SPOT","instId":"LUNA-USDT","state":"suspend","tickSz":"0.1"},'
        b'{"instType":"SPOT","instId":"BTC-USDT","state":"live"},'
        b'{"instType":"SPOT","instId":"SHIB-USDT","state":"rebase"}]}'
    )
    assert parse_okx(frame) == [
        Halted("LUNA-USDT", "suspend"),
        Resumed("BTC-USDT"),
        Halted("SHIB-USDT", "rebase"),
    ]
    frame = (
        b'{"arg":{"channel":"status"},"data":[{"title":"Spot System Upgrade","state":"scheduled",'
        b'"begin":"1775000000000","end":"","serviceType":"5","system":"unified"}]}'
    )
    assert parse_okx(frame) == [
        Maintenance("Spot System Upgrade", "scheduled", 1_775_000_000 * 10**9, TS_ABSENT, False)
    ]
    for elsewhere in ((b'"serviceType":"5"', b'"serviceType":"11"'), (b'"5"', b'"5","env":"2"')):
        assert parse_okx(frame.replace(*elsewhere)) == []
    assert parse_okx(b"pong") == []
    answer = b'{"event":"subscribe","arg":{"channel":"instruments","instType":"SPOT"},"connId":"a"}'
    assert parse_okx(answer) == []


def test_binance_futures_tells_the_state_of_a_contract() -> None:
    frame = (
        b'{"stream":"!contractInfo","data":{"e":"contractInfo","E":1775000000000,"s":"IOTAUSDT",'
        b'"ct":"PERPETUAL","dt":4133404800000,"ot":1569398400000,"cs":"%s","st":1}}'
    )
    assert parse_binance(frame % b"SETTLING") == [Halted("IOTAUSDT", "SETTLING")]
    assert parse_binance(frame % b"TRADING") == [Resumed("IOTAUSDT")]
    assert parse_binance(b'{"result":null,"id":1}') == []


MEXC = (
    b'{"channel":"push.contract","data":{"symbol":"BTC_USDT","displayNameEn":"BTC_USDT PERPETUAL",'
    b'"contractSize":0.0001,"state":%s,"apiAllowed":true},"symbol":"BTC_USDT","ts":1775000000000}'
)
MEXC_GIVEN = b'{"channel":"rs.sub.contract","data":"success","ts":1775000000000}'


@pytest.mark.parametrize(
    ("state", "word"),
    [(1, "delivery"), (2, "delivered"), (3, "offline"), (4, "paused"), (9, "state 9")],
)
def test_mexc_futures_tells_the_state_of_a_contract(state: int, word: str) -> None:
    assert parse_mexc(MEXC % str(state).encode()) == [Halted("BTC_USDT", word)]
    assert parse_mexc(MEXC % b"0") == [Resumed("BTC_USDT")]
    hidden = (MEXC % b"0").replace(b'"apiAllowed"', b'"isHidden":true,"apiAllowed"')
    assert parse_mexc(hidden) == [Halted("BTC_USDT", "enabled, hidden")], "as REST's is not traded"
    assert parse_mexc(MEXC_GIVEN) == []
    assert parse_mexc(b'{"channel":"pong","data":1775000000000}') == []


@pytest.mark.parametrize("odd", [b"null", b'"paused"', b"[]", b"0.5"])
def test_a_contract_of_mexc_whose_state_cannot_be_read_is_not_halted(odd: bytes) -> None:
    for frame in (
        MEXC % odd,
        MEXC.replace(b'"state":%s,', b""),
        MEXC.replace(b'"BTC_USDT",', b'"",'),
    ):
        with pytest.raises(BadMessage):
            parse_mexc(frame)


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (MEXC_GIVEN, ""),
        (b'{"channel":"rs.error","data":"Requests are too frequent"}', "Requests are too frequent"),
        (b'{"channel":"rs.error"}', "refused"),
        (b'{"channel":"pong","data":1775000000000}', None),
        (MEXC % b"0", None),
        (b"pong", None),
    ],
)
def test_what_mexc_is_asked_for_is_given_or_refused(frame: bytes, answer: str | None) -> None:
    assert answer_of_mexc(frame) == answer


ODD_ROWS = [b"null", b"5", b"[]", b'{"instId":"X-USDT"}', b'{"instId":"X-USDT","state":null}']


@pytest.mark.parametrize("odd", [*ODD_ROWS, b'{"state":"live"}', b'{"instId":"X","state":[1]}'])
def test_a_row_that_cannot_be_read_costs_itself(odd: bytes) -> None:
    rows = b'%s,{"instId":"LUNA-USDT","state":"suspend","begin":null}' % odd
    found = parse_okx(b'{"arg":{"channel":"instruments"},"data":[%s]}' % rows)
    assert [type(one) for one in found] == [Unread, Halted]
    assert found[1] == Halted("LUNA-USDT", "suspend")


@pytest.mark.parametrize("odd", ODD_ROWS)
def test_a_maintenance_that_cannot_be_read_costs_itself(odd: bytes) -> None:
    """A time that is none costs the time; the maintenance it is of stands."""
    row = b'{"title":"x","state":"ongoing","begin":"","end":"\xc2\xb2","product":null}'
    expected = Maintenance("x", "ongoing", TS_ABSENT, TS_ABSENT, False)
    rows = b"%s,%s" % (odd, row)
    for found in (
        parse_bybit(b'{"topic":"system.status","data":[%s]}' % rows, 2),
        parse_okx(b'{"arg":{"channel":"status"},"data":[%s]}' % rows),
    ):
        assert [type(one) for one in found] == [Unread, Maintenance]
        assert found[1] == expected


def test_a_contract_without_a_state_is_not_halted() -> None:
    with pytest.raises(BadMessage):
        parse_binance(b'{"data":{"e":"contractInfo","s":"IOTAUSDT"}}')


@pytest.mark.parametrize("frame", [b"", b"[]", b'{"data":5}', b"\xff", b'{"arg":{"channel":1}}'])
def test_bytes_that_are_none_of_it_are_a_bad_message(frame: bytes) -> None:
    for parse in (parse_okx, parse_binance, parse_mexc, lambda frame: parse_bybit(frame, 1)):
        with contextlib.suppress(BadMessage):
            assert parse(frame) == []


def test_other_notices_of_okx_are_words_for_people() -> None:
    settings = SourceSettings(rest_url="https://x.test", ws_url="wss://x.test")
    adapter = adapter_of(SOURCE_BY_LABEL["okx-spot"], settings)
    frame = b'{"event":"notice","code":"%s","msg":"soon","connId":"a4"}'
    assert adapter.parse(frame % b"64999") == [Notice(NoticeKind.SAID, "64999: soon")]
    assert adapter.parse(frame % b"64008") == [Notice(NoticeKind.SHUTDOWN, "soon")]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (b'{"success":true,"ret_msg":"subscribe","conn_id":"c","op":"subscribe"}', ""),
        (b'{"success":false,"ret_msg":"Too many visits!","op":"subscribe"}', "Too many visits!"),
        (b'{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}', None),
        (b'{"event":"subscribe","arg":{"channel":"status"},"connId":"c"}', ""),
        (b'{"event":"error","code":"60014","msg":"too frequent"}', "60014 too frequent"),
        (b'{"event":"notice","code":"64008","msg":"upgrade"}', None),
        (b'{"result":null,"id":1}', ""),
        (b'{"error":{"code":2,"msg":"bad"},"id":1}', '{"code":2,"msg":"bad"}'),
        (b'{"stream":"!contractInfo","data":{"e":"contractInfo","s":"A","cs":"TRADING"}}', None),
        (BYBIT % (b"ongoing", b"[2]"), None),
        (b"pong", None),
    ],
)
def test_what_is_asked_for_is_given_or_refused(frame: bytes, answer: str | None) -> None:
    assert answer_of(frame) == answer
