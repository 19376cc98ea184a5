"""What RPC providers say, as bytes with their clear answers; the reference's messages; garbage."""

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solana_data import needs_data, read

from spread_scanner.errors import BadMessage
from spread_scanner.pools import rpc
from spread_scanner.pools._frames import read_told
from spread_scanner.pools.rpc import (
    CLOSED_ACCOUNT,
    AccountsRead,
    AccountTold,
    RpcRefusal,
    RpcTrouble,
    SlotTold,
    Subscribed,
    Unsubscribed,
)
from spread_scanner.solana import keys

VAULT = "DQyrAcCrDXQ7NeoqGgDCZwBvWDcYmFCjSb9JtteuvPpz"
ACCOUNT = (
    '{"lamports":5,"data":["AQID","base64"],"owner":"' + keys.TOKEN + '","executable":false,'
    '"rentEpoch":18446744073709551615,"space":3}'
)
GONE = '{"lamports":0,"data":["","base64"],"owner":"' + keys.SYSTEM + '","executable":false}'


def told(value: str = ACCOUNT, slot: str = "437000001", subscription: str = "23784") -> bytes:
    return (
        '{"jsonrpc":"2.0","method":"accountNotification","params":{"result":{"context":{"slot":'
        f'{slot}}},"value":{value}}},"subscription":{subscription}}}}}'
    ).encode()


def slot_told(rest: str = '"parent":9,"root":1') -> bytes:
    return (
        '{"jsonrpc":"2.0","method":"slotNotification","params":{"result":{"slot":10,'
        f'{rest}}},"subscription":0}}}}'
    ).encode()


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b'{"jsonrpc":"2.0","result":23784,"id":1}', Subscribed(1, 23_784)),
        (b'{"jsonrpc":"2.0","result":0,"id":1}', Subscribed(1, 0)),
        (b'{"jsonrpc":"2.0","result":true,"id":4}', Unsubscribed(4, True)),
        (b'{"jsonrpc":"2.0","result":false,"id":4}', Unsubscribed(4, False)),
        (told(), AccountTold(23_784, 437_000_001, keys.TOKEN, b"\x01\x02\x03")),
        (
            told(subscription="18446744073709551615"),
            AccountTold(2**64 - 1, 437_000_001, keys.TOKEN, b"\x01\x02\x03"),
        ),
        (told(GONE), AccountTold(23_784, 437_000_001, *CLOSED_ACCOUNT)),
        (slot_told(), SlotTold(0, 10, 9, 1)),
        (
            b'{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params"},"id":3}',
            RpcRefusal(3, -32_602, "Invalid params"),
        ),
        (
            b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}',
            RpcRefusal(None, -32_700, "Parse error"),
        ),
    ],
)
def test_what_is_heard(data: bytes, answer: rpc.RpcMessage) -> None:
    assert rpc.heard(data) == answer


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not what a provider says"),
        (b"\xff\xfe", "not what a provider says"),
        (b"[]", "not what a provider says"),
        (b"{}", "jsonrpc"),
        (b'{"jsonrpc":"1.0","result":1,"id":1}', "JSON-RPC 2.0"),
        (b'{"jsonrpc":"2.0","result":1}', "an answer to no request"),
        (b'{"jsonrpc":"2.0","id":1}', "neither a result nor an error"),
        (b'{"jsonrpc":"2.0","id":"1","result":1}', "id"),
        (b'{"jsonrpc":"2.0","id":1,"result":null}', "not what a provider says"),
        (b'{"jsonrpc":"2.0","id":1,"result":-1}', "not what a provider says"),
        (b'{"jsonrpc":"2.0","id":1,"result":1.5}', "not what a provider says"),
        (b'{"jsonrpc":"2.0","id":1,"result":"ok"}', "not what a provider says"),
        (b'{"jsonrpc":"2.0","id":1,"error":"no"}', "not what a provider says"),
        (b'{"jsonrpc":"2.0","method":"logsNotification","params":{}}', "not asked for"),
        (b'{"jsonrpc":"2.0","method":"accountNotification"}', "neither a result nor"),
        (b'{"jsonrpc":"2.0","method":"accountNotification","params":{}}', "not what"),
        (told("null"), "not what a provider says"),
        (told(slot="-1"), "not what a provider says"),
        (told(slot="18446744073709551616"), "not what a provider says"),
        (told(slot='"1"'), "not what a provider says"),
        (told(subscription="null"), "not what a provider says"),
        (told(ACCOUNT.replace("AQID", "AQI")), "not what a provider says"),
        (told(ACCOUNT.replace("AQID", "AQ\\nID")), "not what a provider says"),
        (told(ACCOUNT.replace("AQID", "é")), "not what a provider says"),
        (told(ACCOUNT.replace("AQID", "AQIDBA==")), "an account that was cut"),
        (told(ACCOUNT.replace('"base64"', '"base64+zstd"')), "another encoding"),
        (told(ACCOUNT.replace('"base64"', '"base58"')), "another encoding"),
        (told(ACCOUNT.replace('["AQID","base64"]', '"AQID"')), "not what a provider says"),
        (told(ACCOUNT.replace("Tokenkeg", "0okenkeg")), "an owner that is none"),
        (told(ACCOUNT.replace(keys.TOKEN, "abc")), "an owner that is none"),
        (slot_told('"parent":9'), "root"),
        (b'{"jsonrpc":"2.0",' + b'"a":' + b"[" * 100_000, "not what a provider says"),
    ],
)
def test_what_is_no_message(data: bytes, said: str) -> None:
    with pytest.raises(BadMessage) as caught:
        rpc.heard(data)
    assert said in str(caught.value)


def accounts(value: str, slot: int = 7, request_id: int = 2) -> bytes:
    context = f'"context":{{"slot":{slot},"apiVersion":"3.1.8"}}'
    return (
        f'{{"jsonrpc":"2.0","result":{{{context},"value":[{value}]}},"id":{request_id}}}'
    ).encode()


def test_accounts_are_read_in_order_and_missing_ones_are_closed() -> None:
    found = rpc.answered(accounts(f"{ACCOUNT},null,{GONE}"), 2, ["a", "b", "c"])
    held = {"a": (keys.TOKEN, b"\x01\x02\x03"), "b": CLOSED_ACCOUNT, "c": CLOSED_ACCOUNT}
    assert found == AccountsRead(7, held)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (accounts(ACCOUNT, request_id=3), "the answer to another request"),
        (accounts(f"{ACCOUNT},null"), "as many accounts as keys"),
        (accounts(""), "as many accounts as keys"),
        (accounts("1"), "not what a provider says"),
        (b'{"jsonrpc":"2.0","result":{"value":[null]},"id":2}', "context"),
        (b'{"jsonrpc":"2.0","id":2}', "neither a result nor an error"),
        (b"<html>Bad Gateway</html>", "not what a provider says"),
    ],
)
def test_what_is_no_answer(data: bytes, said: str) -> None:
    with pytest.raises(BadMessage) as caught:
        rpc.answered(data, 2, ["a"])
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        (429, RpcTrouble.LIMITED),
        (-32_005, RpcTrouble.BEHIND),
        (-32_016, RpcTrouble.NOT_THERE_YET),
        (-32_602, RpcTrouble.OUR_FAULT),
        (-32_015, RpcTrouble.OTHER),
        (1, RpcTrouble.OTHER),
    ],
)
def test_what_follows_from_an_error(code: int, trouble: RpcTrouble) -> None:
    data = f'{{"jsonrpc":"2.0","error":{{"code":{code},"message":"no"}},"id":2}}'.encode()
    for found in (rpc.heard(data), rpc.answered(data, 2, ["a"])):
        assert isinstance(found, RpcRefusal)
        assert (found.code, found.trouble, found.said) == (code, trouble, "no")


@given(st.data())
def test_a_message_that_is_cut_or_changed_is_read_or_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([told(), told(GONE), slot_told(), accounts(ACCOUNT)]))
    at = data.draw(st.integers(0, len(whole) - 1))
    put = data.draw(st.binary(max_size=3))
    for read_one in (rpc.heard, lambda changed: rpc.answered(changed, 2, ["a"])):
        try:
            read_one(whole[:at] + put + whole[at + data.draw(st.integers(0, 3)) :])
        except BadMessage:
            continue


@needs_data
def test_the_references_messages() -> None:
    said: dict[str, dict[str, Any]] = read("rpc/rpc_messages.json")
    of_ws, of_http = (
        {name: json.dumps(row).encode() for name, row in said[kind].items()}
        for kind in ("websocket", "http")
    )
    row = said["websocket"]["accountNotification base64"]["params"]["result"]["value"]
    held = base64.b64decode(row["data"][0])
    assert rpc.heard(of_ws["subscribe reply"]) == Subscribed(1, 23_784)
    assert rpc.heard(of_ws["accountUnsubscribe reply"]) == Unsubscribed(4, True)
    assert rpc.heard(of_ws["error reply"]) == RpcRefusal(
        3, -32_602, "Invalid params: Invalid pubkey"
    )
    found = rpc.heard(of_ws["accountNotification base64"])
    assert found == AccountTold(23_784, 437_000_001, keys.TOKEN, held)
    assert rpc.heard(of_ws["slotNotification"]) == SlotTold(
        0, 437_000_003, 437_000_002, 436_999_970
    )
    read_two = rpc.answered(of_http["getMultipleAccounts reply"], 2, ["a", "b"])
    assert read_two == AccountsRead(437_000_000, {"a": (keys.TOKEN, held), "b": CLOSED_ACCOUNT})
    limited = rpc.answered(of_http["rate limited (HTTP 429 body)"], 3, ["a"])
    assert isinstance(limited, RpcRefusal)
    assert limited.trouble is RpcTrouble.LIMITED
    for name in ("accountNotification base64+zstd", "programNotification base64"):
        with pytest.raises(BadMessage):
            rpc.heard(of_ws[name])
    asked = rpc.subscribe_account(1, VAULT, "confirmed")
    assert json.loads(asked) == said["websocket"]["accountSubscribe request"]


def test_what_is_asked() -> None:
    def said(data: bytes) -> tuple[str, Any]:
        asked = json.loads(data)
        assert (asked["jsonrpc"], asked["id"]) == ("2.0", 5)
        return asked["method"], asked["params"]

    assert said(rpc.subscribe_slots(5)) == ("slotSubscribe", [])
    assert said(rpc.unsubscribe_account(5, 23_784)) == ("accountUnsubscribe", [23_784])
    settings = {"encoding": "base64", "commitment": "confirmed"}
    method = "getMultipleAccounts"
    assert said(rpc.read_accounts(5, ["a", "b"], "confirmed")) == (method, [["a", "b"], settings])
    later = rpc.read_accounts(5, ["a"], "confirmed", slot_min=9)
    assert said(later) == (method, [["a"], {**settings, "minContextSlot": 9}])
    for wrong in ([], ["a"] * 101):
        with pytest.raises(ValueError, match="1 to 100 keys"):
            rpc.read_accounts(5, wrong, "confirmed")


@given(st.lists(st.lists(st.integers(0, 300).map(str), max_size=60), max_size=20))
def test_no_pool_is_split_over_requests(of_pools: list[list[str]]) -> None:
    found = rpc.batches(of_pools)
    assert all(0 < len(batch) == len(set(batch)) <= rpc.KEYS_MAX for batch in found)
    for wanted in of_pools:
        assert any(set(wanted) <= set(batch) for batch in found) or not wanted
    with pytest.raises(ValueError, match="more than 100"):
        rpc.batches([map(str, range(101))])


def heard_or_not(data: bytes) -> object:
    try:
        return rpc.heard(data)
    except BadMessage:
        return None


def bent(frame: bytes, rng: random.Random) -> bytes:
    """A few letters are others, gone, or twice."""
    for _ in range(rng.choice((1, 1, 2))):
        at, how = rng.randrange(len(frame)), rng.random()
        put = bytes([rng.choice(b'0123456789"{}[],:=+/AZaz\\ \x00\xff-.')])
        frame = frame[:at] + (b"" if how < 0.2 else put) + frame[at + (how < 0.8) :]
    return frame


def test_one_pass_over_a_notification_says_what_reading_it_piece_by_piece_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = random.Random("told in one pass")
    frames = []
    for size in (*range(8), 165, 1_544):
        held = base64.b64encode(rng.randbytes(size)).decode()
        parts = [
            f'"lamports":{rng.choice((0, 5, 2**64 - 1))}',
            f'"data":["{held}","base64"]',
            f'"owner":"{keys.TOKEN}"',
            f'"executable":{rng.choice(("true", "false"))}',
            f'"rentEpoch":{2**64 - 1}',
            f'"space":{size}',
        ]
        for _ in range(4):
            rng.shuffle(parts)
            frames.append(told("{" + ",".join(parts) + "}"))
    frames += [bent(rng.choice(frames), rng) for _ in range(4_000)]
    frames += [told(slot=text, subscription=text) for text in ("00", "-1", "1.0", "1e3", "")]
    frames += [told(subscription=str(number)) for number in (2**64, 10**20, 184467440737095516150)]
    frames += [told(slot=str(number)) for number in (2**63 - 1, 2**63, 2**64)]
    in_one_pass = [heard_or_not(frame) for frame in frames]
    assert all(read_told(frame) is not None for frame in frames[:40])
    monkeypatch.setattr(rpc, "read_told", lambda data: None)
    for frame, found in zip(frames, in_one_pass, strict=True):
        assert found == heard_or_not(frame), frame
    assert sum(found is None for found in in_one_pass) > 1_000
