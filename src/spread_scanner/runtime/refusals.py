"""What an HTTP status and its Retry-After say about trying on: for how long, and in which words.

Used by whoever dials or asks (ws.py, rest.py), by the gate that all of them pass, and by alerts for
what their targets answer. Pure.
"""

import math
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from spread_scanner.clock import NS_PER_S

# How long nobody dials after a status that does not say it itself; a repeat soon after doubles it.
# 418 is an exchange's ban, of 2 minutes at the least. 403 is a firewall after a burst, of up to 10
# minutes, or a region that is not served; 451 is always the latter.
BAN_S = {403: 15.0, 418: 120.0, 429: 10.0, 451: 300.0}
BAN_S_MAX = 600.0
# What an exchange may ask for: bans of three days are known; an overloaded one (5xx) that asks
# for hours is asked again nevertheless, as a maintenance page knows little of its end.
ASKED_S_MAX = 3 * 86_400.0
ASKED_S_MAX_PASSING = 300.0
WORDS = {
    403: "forbidden: a firewall or a blocked region",
    418: "banned",
    429: "too many requests",
    451: "not served in this region",
}


class Pause(NamedTuple):
    """Nobody dials for so long; `note` says what is odd about it, or is empty."""

    seconds: float
    note: str = ""


def in_words(status: int) -> str:
    """For example "418 banned"."""
    word = WORDS.get(status) or ("server error" if status >= 500 else "refused")
    return f"{status} {word}"


def retry_after_s(text: str, wall_ns: int) -> float | None:
    """Retry-After in seconds, given as a number or as an HTTP date (RFC 9110, 10.2.3).

    None where there is none, none that can be read, or none to wait for: zero, or a date that is
    over by our clock. An exchange's garbage is no order, and who refuses without saying for how
    long is not asked again at once.
    """
    text = text.strip()
    try:
        seconds = math.nan if "_" in text else float(text)  # "1_000" is Python's, not a number
    except ValueError:
        try:
            at = parsedate_to_datetime(text)  # without a zone, as asctime writes it, it is GMT
            at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
            seconds = at.timestamp() - wall_ns / NS_PER_S
        except (ValueError, OverflowError):
            return None
    return believable_s(seconds)


def believable_s(asked_s: float | None) -> float | None:
    """What somebody asks us to wait; None where that is no time to wait."""
    return asked_s if asked_s is not None and 0.0 < asked_s < math.inf else None


def cut(asked_s: float, longest_s: float) -> Pause:
    """What was asked for, and no more than that."""
    if asked_s <= longest_s:
        return Pause(asked_s)
    return Pause(longest_s, f"Retry-After of {asked_s:,.0f} s cut to {longest_s:,.0f} s")


def pause_of(status: int, asked_s: float | None, last_s: float = 0.0) -> Pause | None:
    """How long nobody dials after this answer; None: it concerns nobody else.

    `last_s` is how long the last ban was if it has only just ended, else 0.
    """
    wait_s = believable_s(asked_s)
    if wait_s is not None:
        return cut(wait_s, ASKED_S_MAX if status in BAN_S else ASKED_S_MAX_PASSING)
    if status not in BAN_S:
        return None
    return Pause(min(max(BAN_S[status], 2 * last_s), max(BAN_S[status], BAN_S_MAX)))
