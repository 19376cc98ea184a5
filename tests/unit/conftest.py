"""What the tests of several rooms share: a small system without processes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spread_scanner import config
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Settings
from spread_scanner.schema.enums import EXCHANGE_SOURCES, ProcessState
from spread_scanner.schema.names import SHM_INIT
from spread_scanner.shm import Health, PriceStore
from spread_scanner.shminit import making
from spread_scanner.symbology import publish
from spread_scanner.symbology.tables import (
    DirectionRow,
    InstrumentRow,
    QuarantineRow,
    SymbolRow,
    Tables,
)

SYMBOLS = ("AAA-USDT", "BBB-USDT", "CCC-USDT")


class Bed:
    """Settings, tables and segments in a folder and namespace of their own."""

    def __init__(self, folder: Path, namespace: str) -> None:
        self.namespace = namespace
        self.folder = folder
        config_dir = folder / "config"
        config_dir.mkdir()
        (config_dir / "config.toml").write_text(
            f'[system]\nnamespace = "{namespace}"\nmax_symbols = 64\nring_slots = 64\n\n'
            "[spread-engine]\nevaluations_kept = 64\n",
            encoding="utf-8",
        )
        (config_dir / "exchanges.toml").write_text(
            "\n".join(
                f'[{source.label}]\nrest_url = "http://127.0.0.1:1"\n'
                f'ws_url = "ws://127.0.0.1:1"\ntaker_fee_bps = 5.0\n'
                for source in EXCHANGE_SOURCES
            ),
            encoding="utf-8",
        )
        self.settings: Settings = config.load(config_dir, {})

    def publish_tables(self) -> Tables:
        """Three symbols, all in the first direction; the last also quarantined in the second."""
        ids = tuple(range(len(SYMBOLS)))
        made = Tables(
            generation=1,
            created_wall_ns=1_700_000_000_000_000_000,
            symbols=tuple(
                SymbolRow(number, name, name[:3], "USDT") for number, name in enumerate(SYMBOLS)
            ),
            instruments=tuple(
                InstrumentRow(
                    source_id, number, f"{name[:3]}USDT", 1.0, 1.0, None, None, None, None,
                    False, False,
                )
                for number, name in enumerate(SYMBOLS)
                for source_id in (0, 3)
            ),
            directions=(DirectionRow(0, ids),),
            funding=(),
            quarantine=(QuarantineRow(1, "CCC-USDT", "prices differ by 40 %"),),
        )  # fmt: skip
        publish.publish(self.settings.generated_dir, made, {})
        return made

    def make_segments(self) -> None:
        making.ensure(self.settings)

    def quote(self, source_id: int, symbol_id: int, bid: float, ask: float) -> None:
        """Write one quote, with a heartbeat, as a feed would."""
        with PriceStore.attach(self.namespace) as store, store.writer(source_id) as writer:
            now_ns = store.clock.now_ns()
            writer.write(symbol_id, bid, 10.0, ask, 10.0, now_ns, now_ns, 1)
            writer.heartbeat(now_ns - store.clock.anchor_ns)

    def health(self) -> Health:
        return Health.attach(self.namespace)


@pytest.fixture
def bed(tmp_path: Path, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Bed:
    """A system that is configured, not up."""
    made = Bed(tmp_path, namespace)
    monkeypatch.setenv("SPREAD_CONFIG_DIR", str(tmp_path / "config"))
    return made


@pytest.fixture
def up_bed(bed: Bed) -> Bed:
    """The same with tables and segments; nobody runs."""
    bed.publish_tables()
    bed.make_segments()
    # An hour ago: who is not there is not about to come.
    with Health.attach(bed.namespace) as health, health.claim(SHM_INIT) as row:
        row._head["started_wall_ns"] -= 3_600 * NS_PER_S
        row.beat(ProcessState.STOPPED)
    return bed


@pytest.fixture
def spread_ctl(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process: (exit code, stdout, stderr)."""
    from spread_scanner.cli.main import obey  # few tests want it, and it takes a while to load

    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = obey(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return run
