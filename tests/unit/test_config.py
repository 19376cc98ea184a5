"""Settings: what is right is taken, what is wrong is named with file, key and what is allowed."""

import shutil
from pathlib import Path

import pytest

from spread_scanner import config
from spread_scanner.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "config")
    return tmp_path / "config"


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_the_shipped_files_are_right() -> None:
    settings = config.load(SHIPPED, environ={})
    assert settings.config.system.namespace == "spread"
    assert len(settings.exchanges) == 8
    assert settings.directions.thresholds("binance-bybit", "BTC-USDT").enter_bps == 10.0


def test_an_unknown_key_names_the_file_the_key_and_what_is_allowed(folder: Path) -> None:
    write(folder, "config.toml", "[system]\nnamespce = 'x'\n")
    with pytest.raises(ConfigError) as caught:
        config.load(folder, environ={})
    text = str(caught.value)
    assert "config.toml" in text
    assert "namespce" in text
    assert "max_symbols" in text  # among the keys that are allowed


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("config.toml", "[system]\nmax_symbols = 1\n", ["max_symbols", ">= 64"]),
        ("config.toml", "[system]\nnamespace = 'a/b'\n", ["namespace", "regex"]),
        ("config.toml", "[system]\nring_slots = 1000\n", ["ring_slots", "power of two"]),
        ("config.toml", "[spread-engine]\nidle = 'sleep'\n", ["idle"]),
        ("config.toml", "[spread-enigne]\n", ["spread-enigne", "spread-engine"]),
        ("config.toml", "[feed-kraken-spot]\n", ["feed-kraken-spot"]),
        ("config.toml", "[feeds.x]\n", ["feeds", "feed-<source>"]),
        ("config.toml", "[system\n", ["not TOML"]),
        ("config.toml", "[system]\nheartbeat_ms = 900\n", ["heartbeat_ms_max", "twice"]),
        ("directions.toml", "[defaults]\nexit_bps = 20.0\n", ["exit_bps", "at most enter_bps"]),
        ("directions.toml", "[direction.binance-kraken]\n", ["binance-kraken", "binance-bybit"]),
        ("directions.toml", "[pair.BTC-USDT]\n", ["pair.BTC-USDT", "<direction>:<SYMBOL>"]),
        ("directions.toml", "[symbol.X]\nenter_bps = 'much'\n", ["enter_bps", "float"]),
        ("directions.toml", "[symbol.X]\ncooldown_ms = -1\n", ["cooldown_ms", "X", ">= 0"]),
    ],
)
def test_a_bad_setting_says_what_is_allowed(
    folder: Path, name: str, text: str, words: list[str]
) -> None:
    write(folder, name, text)
    with pytest.raises(ConfigError) as caught:
        config.load(folder, environ={})
    for word in [name, *words]:
        assert word in str(caught.value)


def test_a_missing_exchanges_file_says_which_folder_is_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="SPREAD_CONFIG_DIR"):
        config.load(tmp_path, environ={})


def test_every_source_needs_a_section(folder: Path) -> None:
    text = (folder / "exchanges.toml").read_text()
    write(folder, "exchanges.toml", text.replace("[okx-spot]", "[okx-spott]"))
    with pytest.raises(ConfigError, match="okx-spott"):
        config.load(folder, environ={})


def test_environment_overrides_each_file(folder: Path) -> None:
    settings = config.load(
        folder,
        environ={
            "SPREAD_SYSTEM__NAMESPACE": "test",
            "SPREAD_SYSTEM__MAX_SYMBOLS": "256",
            "SPREAD_SPREAD_ENGINE__IDLE": "spin",
            "SPREAD_FEED_OKX_SPOT__REDUNDANT": "2",
            "SPREAD_EXCHANGES__BINANCE_SPOT__WS_URL": "ws://127.0.0.1:1/x",
            "SPREAD_DIRECTIONS__DEFAULTS__ENTER_BPS": "50.0",
            "SPREAD_CONFIG_DIR": "ignored here",
        },
    )
    assert settings.config.system.namespace == "test"
    assert settings.config.system.max_symbols == 256
    assert settings.config.spread_engine.idle == "spin"
    assert settings.feed("okx-spot").redundant == 2
    assert settings.feed("okx-futures").redundant == 1
    assert settings.exchanges["binance-spot"].ws_url == "ws://127.0.0.1:1/x"
    assert settings.directions.defaults.enter_bps == 50.0


@pytest.mark.parametrize("scheme", ["socks4", "socks5h", "https"])
def test_a_proxy_that_not_every_client_can_use_is_refused(folder: Path, scheme: str) -> None:
    key = "SPREAD_EXCHANGES__OKX_SPOT__PROXY"
    for good in ("http", "socks5"):
        settings = config.load(folder, environ={key: f"{good}://127.0.0.1:1080"})
        assert settings.exchanges["okx-spot"].proxy.startswith(good)
    with pytest.raises(ConfigError, match="proxy"):
        config.load(folder, environ={key: f"{scheme}://127.0.0.1:1080"})


def test_a_misspelt_environment_variable_is_an_error(folder: Path) -> None:
    with pytest.raises(ConfigError, match="namespce"):
        config.load(folder, environ={"SPREAD_SYSTEM__NAMESPCE": "x"})


def test_a_feed_section_stands_on_top_of_the_general_one(folder: Path) -> None:
    write(folder, "config.toml", "[feed]\nredundant = 3\n[feed-mexc-spot]\nlag_ms_max = 7\n")
    settings = config.load(folder, environ={})
    assert settings.feed("mexc-spot").lag_ms_max == 7
    assert settings.feed("mexc-spot").redundant == 3
    assert settings.feed("okx-spot").redundant == 3
    assert settings.feed("okx-spot").lag_ms_max == 2_000


def test_thresholds_go_from_general_to_special(folder: Path) -> None:
    write(
        folder,
        "directions.toml",
        """
        [defaults]
        enter_bps = 10.0
        exit_bps = 1.0
        [direction.okx-mexc]
        enter_bps = 20.0
        cooldown_ms = 5
        [symbol."BTC-USDT"]
        enter_bps = 30.0
        [pair."okx-mexc:BTC-USDT"]
        enabled = false
        """,
    )
    directions = config.load(folder, environ={}).directions
    assert directions.thresholds("binance-okx", "ETH-USDT").enter_bps == 10.0
    assert directions.thresholds("okx-mexc", "ETH-USDT").enter_bps == 20.0
    both = directions.thresholds("okx-mexc", "BTC-USDT")
    assert (both.enter_bps, both.cooldown_ms, both.enabled) == (30.0, 5, False)


def test_fees_by_symbol_then_tier_then_source(folder: Path) -> None:
    text = (folder / "exchanges.toml").read_text()
    text = text.replace(
        "[okx-spot]\n",
        '[okx-spot]\nfee_tier = "vip1"\nfee_tiers_bps = { vip1 = 7.0 }\n'
        'symbol_fees_bps = { "BTC-USDT" = 1.0 }\n',
    )
    write(folder, "exchanges.toml", text)
    source = config.load(folder, environ={}).exchanges["okx-spot"]
    assert source.fee_bps("BTC-USDT") == 1.0
    assert source.fee_bps("ETH-USDT") == 7.0


def test_a_fee_tier_that_is_not_in_the_table_is_an_error(folder: Path) -> None:
    text = (folder / "exchanges.toml").read_text()
    write(folder, "exchanges.toml", text.replace("[okx-spot]\n", '[okx-spot]\nfee_tier = "x"\n'))
    with pytest.raises(ConfigError, match=r"okx-spot\.fee_tier"):
        config.load(folder, environ={})
