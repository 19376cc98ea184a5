"""Where every byte of the segments lies, and who may write it.

Every segment opens with the same header; its body depends on the kind:

    +------------------+ 0
    | header           |  state word (stored last), magic, versions, sizes, checksum   creator
    +------------------+ 256

    store              one mapping, read-only for readers
    | source rows      |  128 B per source: epoch, heartbeat                           its feed
    | sequences        |  64 B per (source, symbol), a cache line each                 its feed
    | cells            |  2 x 64 B per (source, symbol)                                its feed

    dirty
    | per reader:      |
    |   eventcount     |  128 B: futex word, waiting flag                              reader, feeds
    |   words          |  a 128-byte aligned block of bits per source                  reader, feeds

    tapes              a ring per source, of its quotes in their order           its feed, recorder
                       on its consumer line how far the log is with it           recorder

    ring
    | producer line    |  128 B: write_pos, dropped                                    producer
    | consumer line    |  128 B: read_pos                                              consumer
    | eventcount       |  128 B                                                        both
    | slots            |  records                                                      producer

    health             a row per process: head, counters, histograms                   the process
                       the folder of the settings                                    shm-init
    control            switches; a slot per process: commands, answers            operator, process

    connections        rows per source, and of providers of pools: head,          its feed
                       counters, histograms

    funding            what exchanges told last of funding; pair-discovery
    | sequences        |  64 B per (source, symbol)
    | cells            |  2 x 64 B per (source, symbol), as in the store

    why
    | control line     |  128 B: head                                                  engine
    | slots            |  evaluations, 256 B each, a sequence in the last word         engine

    analysis           what spread-analyst found out: a latch per pair and per cell
    | sequences, cells |  64 B and 2 x 320 B per (direction, symbol)                    analyst
    | sequences, cells |  64 B and 2 x 320 B per (source, symbol)                       analyst

    books              order books of the symbols that somebody wants
    | places           |  8 B per (source, symbol): its slot + 1; 0: it has none            its feed
    | sequences        |  64 B per (source, slot)                                       its feed
    | cells            |  2 x 704 B per (source, slot)                                  its feed
    | tapes            |  a ring per source, of levels that changed           its feed, recorder

    wants              which books are wanted
    | asked            |  8 B per (source, symbol): until when somebody wants it        all who ask
    | near             |  8 B per (direction, symbol): how near its threshold it is     engine

    pools              what is known of Solana's pools
    | eventcount       |  128 B                                          feed-solana, spread-paths
    | head             |  128 B: how often anything was written, the slot               feed-solana
    | sequences, cells |  64 B and 2 x 576 B per pool                                   feed-solana
    | sequences, cells |  64 B and 2 x 16 KiB per pool: its accounts                    feed-solana

    dials
    | slots            |  256 B per exchange, host and outgoing address: turns, ban    all who dial

One writer per datum, with two exceptions. An exchange limits an address and not a process, so
every process that dials moves the same turns of `dials`, by compare-and-swap alone; see
native/dials.h for why a kill at any instant costs one turn at most. And a book is wanted for as
long as anybody wants it: who asks stores one word of `asked`, which is old or new, and of two who
ask at once either one's stands.

Each offset is the previous one plus its size; nothing is written down twice. The numbers are
pinned by tests/unit/shm/test_shm_layout.py; who changes one raises ABI_VERSION.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spread_scanner.errors import SegmentError
from spread_scanner.schema.analysis import CELL_ANALYSIS_DTYPE, PAIR_ANALYSIS_DTYPE
from spread_scanner.schema.books import BOOK_DTYPE
from spread_scanner.schema.counters import COUNTERS_MAX, FEED_HISTOGRAMS, HISTOGRAMS_MAX
from spread_scanner.schema.enums import DIRTY_READERS, directions_within
from spread_scanner.schema.log import BOOK_DELTA_DTYPE, TICK_DTYPE
from spread_scanner.schema.pools import POOL_DTYPE, POOL_STATE_DTYPE, POOLS_MAX
from spread_scanner.schema.records import EVALUATION_DTYPE, FUNDING_DTYPE, QUOTE_DTYPE
from spread_scanner.shm import _level_tape, _memory, _ring, _rows, _store
from spread_scanner.shm.faults import BadInput

ABI_VERSION = 11
MAGIC = 0x31_4D_48_53_44_52_50_53  # "SPRDSHM1", little-endian
LINE = 128  # two cache lines: adjacent-line prefetch makes one line share with its neighbour

NUM_SOURCES_MAX = 64
MAX_SYMBOLS_MAX = 16_384
RING_SLOTS_MAX = 1 << 20
EVALUATIONS_SLOTS_MAX = 1 << 20
PROCESSES_MAX = 64
DIRECTIONS_MAX = 64
BOOKS_MAX = 1_024  # slots per source
CONNECTIONS_MAX = 64  # rows per source
DIAL_SLOTS = 64  # (exchange, host, outgoing address); the last one is for all that find no other


# Bytes of what the native core lays out; the room's other modules take them from here.
SIZES = {
    **_memory.SIZES,
    **_store.SIZES,
    **_ring.SIZES,
    **_rows.SIZES,
    **_level_tape.SIZES,
}


class Kind(IntEnum):
    """What a segment holds; stored in its header."""

    STORE = 1
    DIRTY = 2
    RING = 3
    HEALTH = 4
    CONTROL = 5
    EVALUATIONS = 6
    CONNECTIONS = 7
    DIALS = 8
    FUNDING = 9
    ANALYSIS = 10
    BOOKS = 11
    WANTS = 12
    TAPES = 13
    POOLS = 14


class State(IntEnum):
    """The header's first word. Anything else means that the creator has not finished."""

    BUILDING = 0
    READY = 0x59_44_41_45_52  # "READY"
    RETIRED = 0x44_52_54_45_52  # "RETRD"


HEADER_DTYPE = np.dtype(
    [
        ("state", "<u8"),  # stored last; the only field that changes afterwards
        ("magic", "<u8"),
        ("abi_version", "<u4"),
        ("kind", "<u4"),
        ("layout_hash", "<u8"),
        ("length", "<u8"),
        ("instance_id", "<u8"),
        ("anchor_ns", "<i8"),  # of the session clock: wall minus monotonic at creation
        ("created_wall_ns", "<i8"),
        ("page_size", "<u4"),
        ("byte_order", "<u4"),
        ("creator_pid", "<u4"),  # a label for people, never proof of life
        ("creator", "S28"),
        ("params", "<u8", (8,)),  # sizes, by kind
        ("reserved", "V80"),
        ("checksum", "<u8"),  # CRC-32 of all between state and checksum
    ]
)
HEADER_BYTES = 256
BYTE_ORDER = 0x01_02_03_04
CHECKED_BYTES = slice(8, 248)


def aligned(size: int, to: int = LINE) -> int:
    """The next multiple of `to`."""
    return -(-size // to) * to


def sizes_fit(num_sources: int, max_symbols: int) -> bool:
    """Whether a segment of records per source and symbol may be of these sizes."""
    return 1 <= num_sources <= NUM_SOURCES_MAX and 1 <= max_symbols <= MAX_SYMBOLS_MAX


def symbol_place(sizes: tuple[int, int], source_id: int, symbol_id: int) -> int:
    """The place of a symbol of a source in a table of all, `sizes` of them. Raises BadInput."""
    sources, symbols = sizes
    if not (0 <= source_id < sources and 0 <= symbol_id < symbols):
        raise BadInput(
            "no such source or symbol id",
            source_id=source_id,
            symbol_id=symbol_id,
            allowed=f"under {sources} and {symbols}",
        )
    return source_id * symbols + symbol_id


@dataclass(frozen=True)
class StoreLayout:
    """Offsets of the store and the dirty segment of one size."""

    num_sources: int
    max_symbols: int
    num_readers: int = len(DIRTY_READERS)

    @property
    def rows_at(self) -> int:
        return HEADER_BYTES

    @property
    def sequences_at(self) -> int:
        return self.rows_at + self.num_sources * SIZES["source_row"]

    @property
    def cells_at(self) -> int:
        return self.sequences_at + self.num_sources * self.max_symbols * SIZES["sequence"]

    @property
    def store_bytes(self) -> int:
        return self.cells_at + self.num_sources * self.max_symbols * 2 * SIZES["cell"]

    @property
    def words_per_source(self) -> int:
        return -(-self.max_symbols // 64)

    @property
    def words_stride(self) -> int:
        """Words from one source's block to the next one's."""
        return aligned(self.words_per_source * 8) // 8

    @property
    def readers_at(self) -> int:
        return HEADER_BYTES

    @property
    def reader_stride(self) -> int:
        return SIZES["wake"] + self.num_sources * self.words_stride * 8

    @property
    def dirty_bytes(self) -> int:
        return self.readers_at + self.num_readers * self.reader_stride


@dataclass(frozen=True)
class RingLayout:
    """Offsets of a ring of one size."""

    slots: int
    record_bytes: int
    control_at: int = HEADER_BYTES

    @property
    def control_bytes(self) -> int:
        return SIZES["ring_control"]

    @cached_property
    def slots_at(self) -> int:
        return self.control_at + self.control_bytes

    @property
    def ring_bytes(self) -> int:
        """Where it ends."""
        return self.slots_at + aligned(self.slots * self.record_bytes)


@dataclass(frozen=True)
class TapesLayout:
    """Offsets of the sources' tapes: a ring each, one behind the other."""

    num_sources: int
    slots: int

    def tape(self, source_id: int) -> RingLayout:
        bytes_each = RingLayout(self.slots, SIZES["tick"], 0).ring_bytes
        return RingLayout(self.slots, SIZES["tick"], HEADER_BYTES + source_id * bytes_each)

    @property
    def tapes_bytes(self) -> int:
        return self.tape(self.num_sources).control_at


@dataclass(frozen=True)
class EvaluationsLayout:
    """Offsets of the engine's kept evaluations."""

    slots: int

    @property
    def control_at(self) -> int:
        return HEADER_BYTES

    @property
    def slots_at(self) -> int:
        return self.control_at + LINE

    @property
    def evaluations_bytes(self) -> int:
        return self.slots_at + self.slots * EVALUATION_DTYPE.itemsize


@dataclass(frozen=True)
class AnalysisLayout:
    """Offsets of what spread-analyst writes, and the places of pairs and cells in its tables."""

    num_sources: int
    max_symbols: int

    @property
    def pairs(self) -> int:
        return len(directions_within(self.num_sources)) * self.max_symbols

    @property
    def cells(self) -> int:
        return self.num_sources * self.max_symbols

    @property
    def pair_sequences_at(self) -> int:
        return HEADER_BYTES

    @property
    def pairs_at(self) -> int:
        return self.pair_sequences_at + self.pairs * SIZES["sequence"]

    @property
    def cell_sequences_at(self) -> int:
        return self.pairs_at + self.pairs * 2 * PAIR_ANALYSIS_DTYPE.itemsize

    @property
    def cells_at(self) -> int:
        return self.cell_sequences_at + self.cells * SIZES["sequence"]

    @property
    def analysis_bytes(self) -> int:
        return self.cells_at + self.cells * 2 * CELL_ANALYSIS_DTYPE.itemsize

    def pair_at(self, directions: npt.ArrayLike, symbols: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Places of pairs, by direction and symbol id. Raises SegmentError on a symbol beyond."""
        return self._at(directions, symbols)

    def cell_at(self, sources: npt.ArrayLike, symbols: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Places of cells, by source and symbol id. Raises SegmentError on a symbol beyond."""
        return self._at(sources, symbols)

    def _at(self, rows: npt.ArrayLike, symbols: npt.ArrayLike) -> npt.NDArray[np.int64]:
        ids = np.atleast_1d(np.asarray(symbols, np.int64))
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < self.max_symbols:
            raise SegmentError("no such symbol id", allowed=f"0 to {self.max_symbols - 1}")
        return np.ascontiguousarray(np.asarray(rows, np.int64) * self.max_symbols + ids)


@dataclass(frozen=True)
class FundingLayout:
    """Offsets of the funding that exchanges told."""

    num_sources: int
    max_symbols: int

    @property
    def cells(self) -> int:
        return self.num_sources * self.max_symbols

    @property
    def sequences_at(self) -> int:
        return HEADER_BYTES

    @property
    def cells_at(self) -> int:
        return self.sequences_at + self.cells * SIZES["sequence"]

    @property
    def funding_bytes(self) -> int:
        return self.cells_at + self.cells * 2 * FUNDING_DTYPE.itemsize


@dataclass(frozen=True)
class BooksLayout:
    """Offsets of the order books."""

    num_sources: int
    max_symbols: int
    slots: int  # per source
    tape_slots: int  # per source

    @property
    def places_at(self) -> int:
        return HEADER_BYTES

    @property
    def books(self) -> int:
        return self.num_sources * self.slots

    @property
    def sequences_at(self) -> int:
        return self.places_at + aligned(self.num_sources * self.max_symbols * 8)

    @property
    def cells_at(self) -> int:
        return self.sequences_at + self.books * SIZES["sequence"]

    def tape(self, source_id: int) -> RingLayout:
        bytes_each = RingLayout(self.tape_slots, SIZES["level_change"], 0).ring_bytes
        tapes_at = aligned(self.cells_at + self.books * 2 * BOOK_DTYPE.itemsize)
        at = tapes_at + source_id * bytes_each
        return RingLayout(self.tape_slots, SIZES["level_change"], at)

    @property
    def books_bytes(self) -> int:
        return self.tape(self.num_sources).control_at


@dataclass(frozen=True)
class WantsLayout:
    """Offsets of what tells which books are wanted."""

    num_sources: int
    max_symbols: int

    @property
    def asked_at(self) -> int:
        return HEADER_BYTES

    @property
    def near_at(self) -> int:
        return self.asked_at + aligned(self.num_sources * self.max_symbols * 8)

    @property
    def wants_bytes(self) -> int:
        return self.near_at + len(directions_within(self.num_sources)) * self.max_symbols * 8


@dataclass(frozen=True)
class ConnectionsLayout:
    """Offsets of the connections' rows: those of the sources, and behind them those of providers
    that pools are heard from, which are no source's."""

    num_sources: int

    @property
    def providers_id(self) -> int:
        return self.num_sources

    def row_at(self, source_id: int, number: int) -> int:
        return HEADER_BYTES + (source_id * CONNECTIONS_MAX + number) * CONNECTION_BYTES

    @property
    def connections_bytes(self) -> int:
        return self.row_at(self.providers_id + 1, 0)


# A health row: what a process says of itself. Counters and histograms follow the head.
ROW_HEAD_DTYPE = np.dtype(
    [
        ("name", "S32"),
        ("state", "<u8"),  # schema.enums.ProcessState
        ("heartbeat_mono_ns", "<i8"),
        ("pid", "<u8"),  # a label for people
        ("started_wall_ns", "<i8"),  # by the session clock, which nobody sets
        ("starts", "<u8"),  # how often a process took this row
        ("generation", "<u8"),  # of the tables in use
        ("longest_cycle_ns", "<u8"),
        ("message", "S128"),  # the last thing a person should know
        ("version", "S40"),  # of what runs: schema.version
    ]
)
ROW_COUNTERS_AT = ROW_HEAD_DTYPE.itemsize
ROW_HISTOGRAMS_AT = ROW_COUNTERS_AT + 8 * COUNTERS_MAX
ROW_BYTES = ROW_HISTOGRAMS_AT + 8 * HISTOGRAMS_MAX * SIZES["histogram_buckets"]
FOLDER_AT = HEADER_BYTES + PROCESSES_MAX * ROW_BYTES  # behind the rows: where the settings are
FOLDER_BYTES = 4_096
HEALTH_BYTES = FOLDER_AT + FOLDER_BYTES

# A connection's row: counters and histograms of the feed's ids follow the head.
CONNECTION_HEAD_DTYPE = np.dtype(
    [
        ("state", "<u8"),  # schema.enums.ConnectionState
        ("symbols", "<u4"),  # carried
        ("carries", "<u4"),  # schema.enums.Carries
        ("number", "<u4"),  # of the connection in use, counted by its feed; 0: none yet
        ("ban_status", "<u4"),  # what the ban was answered with; 0: there is none
        ("opened_mono_ns", "<i8"),  # of that connection; 0: none is open
        ("heard_mono_ns", "<i8"),  # its last frame of any kind
        ("since_wall_ns", "<i8"),  # when the row began to count
        ("last_end", "S72"),  # why the one before it ended, or why the last dial failed
        ("ban_until_mono_ns", "<i8"),  # nobody dials there until then; 0: anybody may
        ("provider", "S32"),  # whose it is, of pools
        ("url", "S96"),  # where a provider is dialled, its key masked
    ]
)
CONNECTION_COUNTERS_AT = CONNECTION_HEAD_DTYPE.itemsize
CONNECTION_HISTOGRAMS_AT = CONNECTION_COUNTERS_AT + 8 * COUNTERS_MAX
CONNECTION_BYTES = CONNECTION_HISTOGRAMS_AT + 8 * len(FEED_HISTOGRAMS) * SIZES["histogram_buckets"]

# Turns to dial, and bans: as native/dials.h has them.
DIAL_SLOT_DTYPE = np.dtype(
    [
        ("key", "<u8"),
        ("dial_turn_ns", "<i8"),
        ("weight_turn_ns", "<i8"),
        ("ban_from_ns", "<i8"),
        ("ban_until_ns", "<i8"),
        ("ban_status", "<u8"),
        ("reserved", "V80"),
        ("name", "S128"),
    ]
)
DIALS_BYTES = HEADER_BYTES + DIAL_SLOTS * DIAL_SLOT_DTYPE.itemsize

# Pools of Solana: a latch for what is known of each, and one for what it is quoted by.
POOLS_WAKE_AT = HEADER_BYTES
POOLS_CHANGES_AT = POOLS_WAKE_AT + SIZES["wake"]
POOLS_SLOT_AT = POOLS_CHANGES_AT + 8
POOLS_CLOCK_AT = POOLS_SLOT_AT + 8
POOLS_SEQUENCES_AT = POOLS_CHANGES_AT + LINE
POOLS_CELLS_AT = POOLS_SEQUENCES_AT + POOLS_MAX * SIZES["sequence"]
POOL_STATE_SEQUENCES_AT = POOLS_CELLS_AT + POOLS_MAX * 2 * POOL_DTYPE.itemsize
POOL_STATES_AT = POOL_STATE_SEQUENCES_AT + POOLS_MAX * SIZES["sequence"]
POOLS_BYTES = POOL_STATES_AT + POOLS_MAX * 2 * POOL_STATE_DTYPE.itemsize

# Control: the operator's switches, then per process what it is told and what it answers.
SWITCHES_DTYPE = np.dtype(
    [
        ("generation", "<u8"),  # steps with every command; stored last
        ("kill", "<u8"),  # 1: no signal leaves the engine
        ("issued_mono_ns", "<i8"),
        ("reserved", "V104"),
    ]
)
# One thing that is switched: what, since when, by whom. The record of a symbol is what pauses it,
# by the name of the coin, never by an id: that is another coin's with other tables.
SWITCH_DTYPE = np.dtype(
    [
        ("state", "<u8"),  # 0: free, STANDING, or a symbol's key; stored last
        ("since_wall_ns", "<i8"),
        ("kind", "<u4"),  # schema.enums.SwitchKind
        ("pid", "<u4"),
        ("checksum", "<u4"),  # CRC-32 of all fields but this and the state
        ("reserved", "V4"),
        ("name", "S64"),  # UTF-8, of the process, source, direction or symbol
        ("user", "S32"),
        ("command", "S128"),
    ]
)
STANDING = 1  # a symbol's key is far above it
STANDING_MAX = 512
# What became of the last reload, in a process's own words. Two places, used in turn as the cells of
# the price store are: a reader has a whole one while the writer fills the other.
ANSWER_DTYPE = np.dtype(
    [
        ("generation", "<u8"),  # the command that is answered
        ("digest", "<u8"),  # config.Settings.digest of the settings in force
        ("outcome", "<u4"),  # schema.enums.ReloadOutcome
        ("checksum", "<u4"),  # CRC-32 of all other fields
        ("text", "S232"),  # UTF-8
    ]
)
FIXED_MAX = 32
SWITCHES_AT = HEADER_BYTES
CONTROL_WAKE_AT = SWITCHES_AT + SWITCHES_DTYPE.itemsize
PAUSED_SOURCES_AT = CONTROL_WAKE_AT + SIZES["wake"]
PAUSED_DIRECTIONS_AT = PAUSED_SOURCES_AT + NUM_SOURCES_MAX
STANDING_AT = PAUSED_DIRECTIONS_AT + DIRECTIONS_MAX
SLOTS_AT = STANDING_AT + STANDING_MAX * SWITCH_DTYPE.itemsize
SLOT_DTYPE = np.dtype(
    [
        ("name", "S32"),
        ("name_reserved", "V96"),
        ("paused", "<u8"),  # a level: survives a restart of the process
        ("stop_generation", "<u8"),  # an edge: the generation that asked to stop
        ("reload_generation", "<u8"),  # an edge: the generation that asked to reload
        ("command_reserved", "V104"),
        ("ack_generation", "<u8"),
        ("ack_mono_ns", "<i8"),
        ("answer_count", "<u8"),  # answers given; the newest lies in place answer_count & 1
        ("ack_reserved", "V104"),
        ("fixed", "<u4", (FIXED_MAX,)),  # checksums of the settings that need a restart
        ("answers", ANSWER_DTYPE, (2,)),
    ]
)
PAUSED_AT = 128  # within a slot; pinned by the layout test
ACK_GENERATION_AT = 256  # within a slot; pinned by the layout test
ANSWER_COUNT_AT = 272  # within a slot; pinned by the layout test
CONTROL_BYTES = SLOTS_AT + PROCESSES_MAX * SLOT_DTYPE.itemsize


def layout_hash() -> int:
    """A number that changes with any record, offset or rule that two processes must share."""
    parts = (
        ABI_VERSION,
        QUOTE_DTYPE.descr,
        EVALUATION_DTYPE.descr,
        FUNDING_DTYPE.descr,
        HEADER_DTYPE.descr,
        ROW_HEAD_DTYPE.descr,
        SWITCHES_DTYPE.descr,
        SWITCH_DTYPE.descr,
        TICK_DTYPE.descr,
        SLOT_DTYPE.descr,
        CONNECTION_HEAD_DTYPE.descr,
        DIAL_SLOT_DTYPE.descr,
        PAIR_ANALYSIS_DTYPE.descr,
        CELL_ANALYSIS_DTYPE.descr,
        BOOK_DTYPE.descr,
        BOOK_DELTA_DTYPE.descr,
        POOL_DTYPE.descr,
        POOL_STATE_DTYPE.descr,
        sorted(SIZES.items()),
        (ROW_BYTES, HEALTH_BYTES, CONTROL_BYTES, CONNECTION_BYTES, CONNECTIONS_MAX, DIRTY_READERS),
        (DIAL_SLOTS, DIALS_BYTES),
        (POOLS_MAX, POOLS_BYTES),
    )
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little")


LAYOUT_HASH = layout_hash()
