"""Faults of the conversation: requests that get lost, acknowledgements that nothing follows, and
errors that name nobody.

Asked before a dialect hears a text. The errors are in each exchange's own form and without what
would tell whom they are about: no id, no topic, no symbol.
"""

from collections.abc import Sequence

import orjson

from spread_scanner.sim.bent import Window
from spread_scanner.sim.dialects import Talk
from spread_scanner.sim.universe import Listing

CONVERSATION_FAULTS = ("lose-request", "nameless-error", "ack-only")
TOO_FREQUENT = "Requests are too frequent"


def nameless(label: str, talk: Talk, text: str, now_ms: int) -> str:
    """An error that tells nobody whose fault it was."""
    if label.startswith("binance"):
        error: dict[str, object] = {"code": -1003, "msg": text}
    elif label.startswith("bybit"):
        connection = talk.connection_id
        error = {"success": False, "ret_msg": text, "conn_id": connection, "op": "subscribe"}
    elif label.startswith("okx"):
        error = {"event": "error", "code": "60014", "msg": text, "connId": talk.connection_id}
    elif label == "mexc-spot":
        error = {"id": 0, "code": 0, "msg": text}
    else:
        error = {"channel": "rs.error", "data": text, "ts": now_ms}
    return orjson.dumps(error).decode()


def reply(
    windows: Sequence[Window], label: str, talk: Talk, text: str, now_ms: int, now_s: float
) -> list[str] | None:
    """What a fault answers in the dialect's place; None: no fault, ask the dialect."""
    if "sub" not in text.lower():
        return None  # a ping
    for window in windows:
        if window.label != label or window.what not in CONVERSATION_FAULTS[:2]:
            continue
        if "count" in window.action:
            if window.action["count"] <= 0:
                continue  # used up, and not yet over
            window.used_up("count", now_s)
        if window.what == "lose-request":
            return []
        said = str(window.action.get("text", TOO_FREQUENT))
        return [nameless(label, talk, said, now_ms)]
    return None


def mutes(windows: Sequence[Window], label: str, listing: Listing) -> bool:
    """Whether a subscription is acknowledged and never served."""
    return any(
        window.what == "ack-only" and window.label == label and window.touches(listing)
        for window in windows
    )
