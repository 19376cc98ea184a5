"""What others have recorded becomes a log: of logs the records, their stores and times stay, of
recordings the quotes, which history and replay are asked about.
"""

import gzip
from pathlib import Path

import pytest
from engine_bed import settings, tables
from log_bed import SMALL, contents, write_every_kind
from replay_bed import Market

import bed as waits
from spread_scanner.clock import NS_PER_S, VirtualClock
from spread_scanner.config import Settings
from spread_scanner.errors import Unusable
from spread_scanner.history.gathered import Gathered
from spread_scanner.replay.importing import RecordedFile, import_logs
from spread_scanner.replay.playing import replay
from spread_scanner.symbology.publish import publish
from spread_scanner.wal import reader
from spread_scanner.wal.reader import LogDamaged
from spread_scanner.wal.salvage import salvage
from spread_scanner.wal.writer import LogWriter, Origin

FIRST_NS = 1_723_161_255_000_000_000


def heads(folder: Path) -> list[tuple[object, ...]]:
    """Whose records they are, and when each piece was written."""
    names = ("instance_id", "anchor_ns", "boot", "namespace", "created_wall_ns")
    return [
        (*(link.head[name].item() for name in names), piece.seq, piece.at_ns)
        for link, piece in reader.pieces_with_links(folder)
    ]


def two_lives(folder: Path, time: VirtualClock) -> None:
    """Of two stores, in several segments each: on two boots, a day apart."""
    for boot in (1, 2):
        writer = LogWriter(folder, Origin(f"of {boot}", boot, boot * 10**15, f"boot {boot}"),
                           segment_bytes=SMALL)  # fmt: skip
        for _ in range(3):
            time.advance_ms(40)
            write_every_kind(writer, 4, seed=boot)
        writer.close()
        time.advance_ms(86_400_000)


@pytest.mark.parametrize("how", ["import", "salvage"])
def test_a_copied_log_keeps_its_stores_and_its_times(
    tmp_path: Path, virtual_clock: VirtualClock, how: str
) -> None:
    two_lives(tmp_path / "log", virtual_clock)
    if how == "import":
        made = import_logs([str(tmp_path / "log")], tmp_path / "to", settings({}))
        assert made.records == sum(piece.records for piece in reader.pieces(tmp_path / "log"))
    else:
        salvage(tmp_path / "log", tmp_path / "to")
    assert heads(tmp_path / "to") == heads(tmp_path / "log")
    kinds = [(kind, seq) for kind, seq, _ in contents(tmp_path / "log")]
    assert [(kind, seq) for kind, seq, _ in contents(tmp_path / "to")] == kinds


def test_a_replay_of_a_copy_says_the_same(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    market = Market(tmp_path / "wal", virtual_clock, waits.seed())
    for _ in range(60):
        market.happen()
    market.close()
    import_logs([str(tmp_path / "wal")], tmp_path / "to", settings({}))
    assert replay(tmp_path / "to").digest == replay(tmp_path / "wal").digest


def test_a_damaged_log_is_not_imported(tmp_path: Path, virtual_clock: VirtualClock) -> None:
    two_lives(tmp_path / "log", virtual_clock)
    link = reader.chain(tmp_path / "log")[1]
    with link.path.open("r+b") as file:
        file.seek(4_096 + 40)
        file.write(b"\xff" * 8)
    with pytest.raises(LogDamaged, match="wal salvage"):
        import_logs([str(tmp_path / "log")], tmp_path / "to", settings({}))
    assert not (tmp_path / "to").exists(), "half a copy does not stay"


def test_a_log_of_which_a_segment_is_gone_is_not_imported(
    tmp_path: Path, virtual_clock: VirtualClock
) -> None:
    two_lives(tmp_path / "log", virtual_clock)
    links = reader.chain(tmp_path / "log")
    assert len(links) > 2
    links[1].path.unlink()
    with pytest.raises(LogDamaged, match="1 older files") as refused:
        import_logs([str(tmp_path / "log")], tmp_path / "to", settings({}))
    assert refused.value.evidence["file"] == str(links[1].path)
    assert not (tmp_path / "to").exists()


def line(at_ns: int, bid: float, ask: float, number: int) -> bytes:
    said = f'"u":{number},"s":"C0","b":"{bid}","B":"3","a":"{ask}","A":"4"'
    return f'{at_ns} {{"stream":"c0@bookTicker","data":{{{said}}}}}\n'.encode()


def message(at_ms: int, bid: float, ask: float) -> bytes:
    said = f'"s":"C0","b":[["{bid}","5"]],"a":[["{ask}","6"]],"u":{at_ms},"seq":1'
    head = f'"topic":"orderbook.1.C0","ts":{at_ms},"type":"snapshot"'
    return f'{at_ms} {{{head},"data":{{{said}}},"cts":{at_ms}}}\n'.encode()


@pytest.fixture
def with_tables(tmp_path: Path) -> Settings:
    """In whose folder tables lie that name C0."""
    found = settings({"enter_bps": 20.0, "exit_bps": 5.0}, signal_basis_unknown=True)
    found = Settings(tmp_path / "config", found.config, found.exchanges, found.directions)
    publish(found.generated_dir, tables(1), {})
    return found


def test_recordings_are_played_and_asked_about(tmp_path: Path, with_tables: Settings) -> None:
    """Two legs that are far apart are signalled; what the tables do not have is counted."""
    spot, futures = tmp_path / "spot", tmp_path / "futures.gz"
    lines = [line(FIRST_NS + number * 30_000_000, 100, 101, number) for number in range(20)]
    spot.write_bytes(b"".join([*lines, lines[-1].replace(b"C0", b"XUSDT")]))
    later = [
        message(FIRST_NS // 10**6 + number * 30 + 7, 102 + number % 2, 104) for number in range(20)
    ]
    futures.write_bytes(gzip.compress(b"".join(later)))
    made = import_logs(
        [f"binance-spot={spot}", f"bybit-futures={futures}"], tmp_path / "to", with_tables
    )
    assert made.skipped == {"unknown symbol": 1}
    found = replay(tmp_path / "to")
    assert (found.counts.ticks, found.counts.starts, found.counts.without) == (40, 1, 0)
    assert len(found.signals) > 0
    assert set(found.signals["symbol_id"]) == {0}
    rows = Gathered(reader.chain(tmp_path / "to"), {}).ticks_of(0)
    assert not rows["is_mark"].any()
    assert rows["ts"].tolist() == [FIRST_NS + number * 30_000_000 for number in range(20)]
    assert (rows["bid_px"] == 100).all()
    again = import_logs(
        [f"binance-spot={spot}", f"bybit-futures={futures}"], tmp_path / "again", with_tables
    )
    assert again.records == made.records
    assert replay(tmp_path / "again").digest == found.digest


def test_days_between_two_recordings_cost_nothing_and_show_no_feed_alive(
    tmp_path: Path, with_tables: Settings
) -> None:
    spot, days_ns = tmp_path / "spot", 3 * 86_400 * 10**9
    lines = [line(FIRST_NS + far, 100, 101, n) for n, far in enumerate((0, 10**9, days_ns))]
    spot.write_bytes(b"".join(lines))
    made = import_logs([f"binance-spot={spot}"], tmp_path / "to", with_tables)
    assert made.records < 1_000
    rows = Gathered(reader.chain(tmp_path / "to"), {}).ticks_of(0)
    assert rows["ts"].tolist() == [FIRST_NS, FIRST_NS + 10**9, FIRST_NS + days_ns]


def test_a_folder_may_be_called_anything_and_nothing_is_there_twice(
    tmp_path: Path, with_tables: Settings
) -> None:
    spot = tmp_path / "spot"
    spot.write_bytes(line(FIRST_NS, 100, 101, 1))
    odd = tmp_path / "day=2026-11-27"
    made = import_logs([f"binance-spot={spot}"], odd, with_tables)
    assert import_logs([str(odd)], tmp_path / "copy", with_tables).records == made.records
    with pytest.raises(Unusable, match="named twice"):
        import_logs([str(odd), f"{odd}/."], tmp_path / "twice", with_tables)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("future=binance-spot=FILE", "from the future"),
        ("nowhere", "nothing that can be imported"),
        ("kraken=FILE", "nothing that can be imported"),
        ("binance-spot=FILE", "does not begin with the time"),
    ],
)
def test_what_cannot_be_imported_is_named(
    tmp_path: Path, with_tables: Settings, said: str, why: str
) -> None:
    file = tmp_path / "frames"
    file.write_bytes(line(FIRST_NS, 1, 2, 3) + b'{"no": "time"}\n')
    if said.startswith("future="):
        said = said.removeprefix("future=")
        file.write_bytes(line(3_450_000_000 * 10**9, 1, 2, 3))
    with pytest.raises(Unusable, match=why):
        import_logs([said.replace("FILE", str(file))], tmp_path / "to", with_tables)


@pytest.mark.parametrize("digits", [10, 13, 16, 19])
def test_times_are_taken_in_any_unit(tmp_path: Path, digits: int) -> None:
    file = tmp_path / "frames"
    file.write_bytes(f"{FIRST_NS // 10 ** (19 - digits)} {{}}\n".encode())
    assert [at for at, _ in RecordedFile.of(f"okx-spot={file}").lines()] == [FIRST_NS]
    more = b"9" * 5_000
    file.write_bytes(b"1723161255.25%b: {}\n1723161254.0: {}\n" % (more if digits == 10 else b""))
    expected = [FIRST_NS + NS_PER_S // 4 + (9_999_999 if digits == 10 else 0)] * 2
    assert [at for at, _ in RecordedFile.of(f"okx-spot={file}").lines()] == expected
