"""What a client of the stream may say, and what it is told: JSON texts, one object each, or the
same as msgpack.

Events (signals, opportunities) are told once each; states (prices, spreads, books, status) as a
snapshot first, then what changed. A client that said a wish again gets a new snapshot of states,
and of events all since the last one that it says it knows: that is how it resumes. Where its events
begin it is told with each wish (EventsBegan), in the words in which it says so when it comes back:
numbers are those of one ring and of one database, which are named with them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from spread_scanner.schema.enums import DIRECTIONS

PushKind = Literal["prices", "spreads", "books", "opportunities", "signals", "status"]
PushPace = Literal["live", "view"]
PushEncoding = Literal["json", "msgpack"]
NAMES_MAX = 4_096
NUMBER_MAX = 2**63 - 1  # of signals and opportunities, as the ring and the database count
InstanceName = Annotated[str, Meta(max_length=32)]


class PushWish(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag="subscribe"):
    """What a client wants to be told from now on; it replaces what it said before."""

    kinds: Annotated[tuple[PushKind, ...], Meta(min_length=1, max_length=6)]
    pairs: Annotated[tuple[str, ...], Meta(max_length=NAMES_MAX)] = ()  # empty: all
    sources: Annotated[tuple[str, ...], Meta(max_length=64)] = ()  # of prices; empty: all spot
    directions: Annotated[
        tuple[str, ...], Meta(max_length=len(DIRECTIONS))
    ] = ()  # of spreads and events; empty: all
    # Of spreads only these, as "BTC-USDT okx-bybit"; empty: all.
    only: Annotated[tuple[str, ...], Meta(max_length=NAMES_MAX)] = ()
    usable: bool = False  # of spreads only those that can be stood behind
    levels: Annotated[int, Meta(ge=1, le=100)] = 10  # of books
    # The last signal that it knows: those beyond it come first; -1: it knows none.
    after_seq: Annotated[int, Meta(ge=-1, le=NUMBER_MAX)] | None = None
    ring: InstanceName = ""  # of which that is a number; empty: it is not known
    # The last opportunity that it knows: those beyond it, and what has closed since.
    after_id: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] | None = None
    database: InstanceName = ""  # of which that is one
    encoding: PushEncoding = "json"  # of all that it is told
    pace: PushPace = "view"  # live: a frame each ms at most; view: each 100 ms

    def subscribed(self) -> "PushWish":
        """What is the same for all who are told the same."""
        return msgspec.structs.replace(
            self,
            kinds=(),
            after_seq=None,
            ring="",
            after_id=None,
            database="",
            encoding="json",
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
    """So many that it would have been told are no more to be had."""

    kind: str
    count: int | None  # null: those of another ring or database; nobody knows how many


class EventsBegan(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="began"):
    """Where the events of a wish begin: what it says when it comes back and was told none yet."""

    kind: str
    after_seq: int | None = None
    ring: str | None = None
    after_id: int | None = None
    database: str | None = None
