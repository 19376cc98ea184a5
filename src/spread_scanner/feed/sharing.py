"""What a feed's settings make of what its connections share: at its start, and at each reload.

Used by the feed. Everything that a reload changes without anybody being told stands here: whoever
reads the share finds it there.
"""

import ssl
from collections.abc import Callable

from spread_scanner.clock import NS_PER_MS
from spread_scanner.config import Settings
from spread_scanner.exchanges.adapter import Adapter
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.feed._board import Board
from spread_scanner.feed.evidence import Evidence
from spread_scanner.feed.freshness import silence_rule
from spread_scanner.feed.listings import Instruments, decoder_of, target_of
from spread_scanner.feed.share import Share
from spread_scanner.runtime.gate import Gates
from spread_scanner.runtime.process import Process
from spread_scanner.schema.enums import Source
from spread_scanner.shm.connections import ConnectionRows
from spread_scanner.web import trust


def share_of(
    process: Process,
    source: Source,
    board: Board,
    rows: ConnectionRows,
    gates: Gates,
    instruments: Instruments,
    fail: Callable[[BaseException], None],
) -> Share:
    """By the settings that the process begins with. Raises ConfigError."""
    mine = process.settings.exchanges[source.label]
    adapter = adapter_of(source, mine)
    return Share(
        adapter=adapter,
        settings=process.settings.feed(source.label),
        target=target_of(mine, source),
        board=board,
        row=process.row,
        rows=rows,
        decoder=decoder_of(adapter, instruments),
        instruments=instruments,
        connects=gates.of(adapter, mine.proxy),
        evidence=Evidence(process.log.warning),
        log=process.log,
        fail=fail,
        tls=trust.of_source(process.settings, source.label),
    )


def put_in_force(
    share: Share,
    settings: Settings,
    source: Source,
    adapter: Adapter,
    tls: ssl.SSLContext,
    gates: Gates,
) -> None:
    """Other settings from now on; `adapter` and `tls` are made of them already."""
    mine = settings.exchanges[source.label]
    share.settings = settings.feed(source.label)
    share.board.lag_ns_max = share.settings.lag_ms_max * NS_PER_MS
    share.board.clock_off_ns_max = share.settings.clock_off_ms_max * NS_PER_MS
    share.board.silence = silence_rule(share.settings)
    share.board.best.drifts(share.settings.lag_drift_ppm)
    share.adapter = adapter
    share.tls, share.connects = tls, gates.of(adapter, mine.proxy)
    share.target = target_of(mine, source)
