"""The actions that can be asked for: which there are, what each needs, what they send and say.

Used by the script's reader and the control path, which check an action before it begins, and by
Faults, which carries it out. Pure.
"""

from collections.abc import Collection

from spread_scanner.sim.answers import Answer
from spread_scanner.sim.bent import MESSAGE_FAULTS, Action
from spread_scanner.sim.converse import CONVERSATION_FAULTS
from spread_scanner.sim.depth import BOOK_FAULTS
from spread_scanner.sim.notices import announces_maintenance
from spread_scanner.sim.rest import too_many
from spread_scanner.sim.rules import RULES
from spread_scanner.sim.wire import binary_frame, text_frame

GARBAGE = {
    "text": text_frame(b'{"u":12,"s":"BTCUSDT","b":oops'),
    "binary": binary_frame(b"\x0a\xff\xff\xff\xff\x7f\x00\x80\x80"),
    "utf8": text_frame(b'{"stream":"\xff\xfe\xc3\x28"}'),
    "empty": text_frame(b""),
    "unknown": text_frame(b'{"channel":"push.nothing","data":{"e":"nobodyKnows","v":[1,null,{}]}}'),
}


LASTING = (  # until the end of the run where no `for_s` is given
    *MESSAGE_FAULTS, *CONVERSATION_FAULTS, "freeze", "half-open", "skew", "delist", "halt",
    "maintenance", "refuse-symbol", "refuse", "ban", "rest", "engine-lag",
)  # fmt: skip
MAINTENANCE_S = 3_600.0  # said to last so long where the action does not say
MAINTENANCE_STATES = ("scheduled", "ongoing", "pre_open")
REFUSALS = {"refuse": 503, "ban": 418}  # the usual status
ENDABLE = sorted({*LASTING} - {"delist"})  # what is delisted does not come back
KNOWN = {
    *LASTING, "close", "cut", "poison", "reset", "plant", "play", "rate", "refresh", "quote",
    "learn", "begin", "book", "end",
}  # fmt: skip
NEEDS = {
    "plant": ("symbol", "direction"),
    "skew": ("source", "skew_ms"),
    "engine-lag": ("source", "lag_ms"),
    "halt": ("source", "symbol"),
    "delist": ("source", "symbol"),
    "refuse-symbol": ("source", "symbol"),
    "play": (),
    "refresh": (),
    "rate": ("rate",),
    "learn": ("half_life_s", "trust_s"),
    "begin": (),
    "book": ("source", "kind"),
    "end": ("source", "what"),
    "quote": ("source", "symbol", "bid_px", "bid_sz", "ask_px", "ask_sz"),
}
# Of these: a setting that is one of a few words, what it is if nothing is said, and the words.
CHOICES: dict[str, tuple[str, str, Collection[str]]] = {
    "one-sided": ("side", "ask", ("bid", "ask")),
    "maintenance": ("state", "ongoing", MAINTENANCE_STATES),
    "end": ("what", "", ENDABLE),
    "book": ("kind", "", BOOK_FAULTS),
    "poison": ("kind", "text", GARBAGE),
}


def check(action: Action) -> None:
    """Raises ValueError that says what is wrong with an action."""
    what = action.get("do")
    if what not in KNOWN:
        raise ValueError(f"unknown action {what!r}; known: {', '.join(sorted(KNOWN))}")
    for key in NEEDS.get(str(what), ("source",)):
        if key not in action:
            raise ValueError(f"action {what!r} needs {key!r}")
    if "source" in action and action["source"] not in (*RULES, "all"):
        raise ValueError(f"unknown source {action['source']!r}")
    if what == "bodyless" and action["source"] != "mexc-spot":
        raise ValueError("only mexc-spot sends frames without a body")
    source = str(action.get("source"))
    if what == "maintenance" and source != "all" and not announces_maintenance(source):
        raise ValueError("only Bybit and OKX announce maintenance")
    if what in CHOICES:
        key, usual, known = CHOICES[what]
        if action.get(key, usual) not in known:
            raise ValueError(f"{key!r} of {what!r} is one of {', '.join(known)}")


def spoiled(action: Action, label: str, answer: Answer) -> Answer | None:
    """One answer, spoiled as the action says."""
    mode = action.get("mode", "429")
    if mode == "429":
        refused = too_many(label, int(action.get("retry_after_s", 1)))
        return refused._replace(status=429) if refused.status == 200 else refused
    if mode == "timeout":
        return None
    if mode == "truncated":
        return answer._replace(body=answer.body[: len(answer.body) // 2])
    body = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>"
    return Answer(int(action.get("status", 503)), [("content-type", "text/html")], body)
