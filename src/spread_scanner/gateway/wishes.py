"""What a client of the stream may say, and what it is told: JSON texts, one object each, or the
same as msgpack.

Events (signals, opportunities) are told once each; states (prices, spreads, books, status) as a
snapshot first, then what changed. A client that said a wish again gets a new snapshot of states,
and of events all since the last one that it says it knows: that is how it resumes.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

PushKind = Literal["prices", "spreads", "books", "opportunities", "signals", "status"]
PushPace = Literal["live", "view"]
PushEncoding = Literal["json", "msgpack"]
NAMES_MAX = 4_096


class PushWish(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="subscribe"):
    """What a client wants to be told from now on; it replaces what it said before."""

    kinds: Annotated[tuple[PushKind, ...], Meta(min_length=1, max_length=6)]
    pairs: Annotated[tuple[str, ...], Meta(max_length=NAMES_MAX)] = ()  # empty: all
    sources: Annotated[tuple[str, ...], Meta(max_length=64)] = ()  # of prices; empty: all spot
    directions: Annotated[
        tuple[str, ...], Meta(max_length=12)
    ] = ()  # of spreads and events; empty: all
    usable: bool = False  # of spreads only those that can be stood behind
    levels: Annotated[int, Meta(ge=1, le=100)] = 10  # of books
    after_seq: int | None = None  # the last signal that it knows: those beyond it come first
    after_id: int | None = None  # the last opportunity that it knows
    encoding: PushEncoding = "json"  # of all that it is told
    pace: PushPace = "view"  # live: a frame each ms at most; view: each 100 ms

    def subscribed(self) -> "PushWish":
        """What is the same for all who are told the same."""
        return msgspec.structs.replace(
            self, kinds=(), after_seq=None, after_id=None, encoding="json"
        )


class StreamHello(Struct, frozen=True, tag_field="type", tag="hello"):
    """The first thing a client is told."""

    version: str
    namespace: str
    heartbeat_s: float


class StreamBeat(Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Once a second: that the stream lives, and how much it has sent this client."""

    frames: int  # to this connection, this one not counted
    wall_ns: int


class Misheard(Struct, frozen=True, tag_field="type", tag="error"):
    """What a client said that means nothing; the stream goes on as it was."""

    code: str
    detail: str


class MissedEvents(Struct, frozen=True, tag_field="type", tag="missed"):
    """So many that it asked for are no more to be had."""

    kind: str
    count: int
