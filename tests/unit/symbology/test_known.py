"""Settings that name nothing: each kind is warned about, and nothing that may be right."""

from pathlib import Path

import pytest
from saved_world import World, run, settings_in

from spread_scanner import config
from spread_scanner.config import Settings
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.symbology.known import Known, KnownSource, encoded, idle_settings, load_known
from spread_scanner.symbology.tables import CURRENT


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """All listings of the world: six coins everywhere, but DOT not on OKX's spot market."""
    top = tmp_path_factory.mktemp("known")
    world = World()
    for kind in ("instruments", "tickers"):
        world.keep("okx-spot", kind, "BTC", "ETH", "SOL", "ADA", "LTC")
    return run(world.write(top / "saved"), settings_in(top)).known


def settings(folder: Path, directions: str = "", exchange: str = "") -> Settings:
    chosen = settings_in(folder).folder
    (chosen / "directions.toml").write_text(directions)
    path = chosen / "exchanges.toml"
    path.write_text(path.read_text().replace("[okx-spot]\n", f"[okx-spot]\n{exchange}\n"))
    return config.load(chosen, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[symbol."BTCC-USDT"]\nenabled = false', ["[symbol]", "BTCC-USDT"]),
        (
            '[pair."mexc-okx:AIX-USDT"]\nenabled = false',
            ["[pair]", "mexc-okx:AIX-USDT", "mexc-spot"],
        ),
        ('[pair."okx-mexc:DOT-USDT"]\nenabled = false', ["okx-spot has no DOT-USDT"]),
        ('[symbols]\ndeny = ["BTCC-USDT"]', ["deny", "BTCC-USDT"]),
        ('[symbols]\ndeny = ["okx-spot:BTCUSDT"]', ["deny", "okx-spot:BTCUSDT"]),
        ('[symbols]\nallow = ["BTC-USDT", "BTCC-USDT"]', ["allow", "BTCC-USDT"]),
        ('[symbols.alias]\n"okx-spot:XYZ" = "ABC"', ["alias", "okx-spot:XYZ"]),
        ('[symbols.multiplier]\n"okx-spot:XYZ" = 10', ["multiplier", "okx-spot:XYZ"]),
        ('[symbols.identity_band_pct]\n"BTCC-USDT" = 10', ["identity_band_pct", "BTCC-USDT"]),
    ],
)
def test_a_name_that_nobody_has_is_warned_about(
    tmp_path: Path, known: Known, text: str, words: list[str]
) -> None:
    (warning,) = idle_settings(settings(tmp_path, text), known)
    for word in ["directions.toml", *words]:
        assert word in warning


def test_a_fee_of_a_symbol_that_the_source_has_not_is_warned_about(
    tmp_path: Path, known: Known
) -> None:
    fees = 'symbol_fees_bps = { "BTC-USDT" = 1.0, "DOT-USDT" = 1.0 }'
    (warning,) = idle_settings(settings(tmp_path, exchange=fees), known)
    assert "[okx-spot]" in warning
    assert "DOT-USDT" in warning


RIGHT = """
[symbol."BTC-USDT"]
enabled = false
[pair."okx-mexc:BTC-USDT"]
enabled = false
[symbols]
allow = ["BTC-USDT", "ETH-USDT"]
deny = ["ETH-USDT", "okx-spot:BTC-USDT", "okx-spot:ETH"]
[symbols.alias]
"okx-spot:BTC" = "BTC"
"""


def test_what_names_something_is_not_warned_about(tmp_path: Path, known: Known) -> None:
    assert idle_settings(settings(tmp_path, RIGHT), known) == []


def test_a_source_that_was_never_reached_may_have_it(tmp_path: Path, known: Known) -> None:
    odd = (
        '[symbol."NEW-USDT"]\nenabled = false\n[symbols]\ndeny = ["okx-spot:NEW", "mexc-spot:X"]\n'
    )
    sources = {**known.sources, "okx-spot": KnownSource()}
    (warning,) = idle_settings(settings(tmp_path, odd), Known(sources))
    assert "mexc-spot:X" in warning
    assert idle_settings(settings(tmp_path, odd), Known()) == []


def test_a_file_that_is_missing_or_damaged_knows_nothing(tmp_path: Path, known: Known) -> None:
    assert load_known(tmp_path) == Known()
    (tmp_path / "1").mkdir()
    (tmp_path / CURRENT).symlink_to("1")
    path = tmp_path / CURRENT / "known.json"
    path.write_text(encoded(known))
    assert load_known(tmp_path) == known
    for damage in ("", "{", "[]", '{"sources": 5}', "\udcff"):
        path.write_bytes(damage.encode(errors="surrogateescape"))
        assert load_known(tmp_path) == Known()


def test_denied_and_unpaired_listings_are_known(tmp_path: Path) -> None:
    world = World()
    for source in EXCHANGE_SOURCES[1:]:
        for kind in ("instruments", "tickers"):
            world.keep(source.label, kind, "BTC", "ETH")
    deny = '[symbols]\ndeny = ["ETH-USDT"]\n'
    found = run(world.write(tmp_path / "saved"), settings(tmp_path, deny))
    assert found.warnings == []
    symbols = found.known.of("binance-spot").symbols
    assert {"ETH-USDT", "SOL-USDT"} < symbols
