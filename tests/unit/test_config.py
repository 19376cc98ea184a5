"""Settings: what is right is taken, what is wrong is named with file, key and what is allowed."""

import re
import shutil
from pathlib import Path
from typing import Any

import certifi
import pytest

from spread_scanner import config
from spread_scanner.config import files, restart
from spread_scanner.config.gone import GONE
from spread_scanner.config.pools import PoolSettings
from spread_scanner.config.settings import Paths
from spread_scanner.errors import ConfigError, SpreadError
from spread_scanner.schema.channels import CHANNELS
from spread_scanner.schema.enums import EXCHANGE_SOURCES
from spread_scanner.web import trust

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
        (
            "config.toml",
            "[spread-engine]\nbasis_half_life_s = 60\n",
            ["spread-engine.basis_trust_s", "below 87.1"],
        ),
        (
            "config.toml",
            "[spread-analyst]\nhalf_lives_s = [14400.0, 3600.0, 300.0]\n",
            ["spread-analyst.half_lives_s", "each one larger than the one before it"],
        ),
        (
            "config.toml",
            "[spread-analyst]\nhalf_lives_s = [300.0, 3600.0]\n",
            ["spread-analyst.half_lives_s", ">= 3"],
        ),
        ("config.toml", "[spread-analyst]\nbollinger_bars = 1\n", ["bollinger_bars", ">= 2"]),
        (
            "config.toml",
            "[books]\nsizes_quote = [100.0, 100.0]\n",
            ["books.sizes_quote", "each one larger than the one before it"],
        ),
        ("config.toml", "[books]\nsizes_quote = []\n", ["books.sizes_quote", ">= 1"]),
        ("config.toml", "[books]\nwatch = ['BTCUSDT']\n", ["books.watch", "BTC-USDT"]),
        ("config.toml", "[books]\nbooks_margin_bps = -2\n", ["books_margin_bps", ">= -1"]),
        ("config.toml", "[spread-engine]\nimplausible_bps = 0\n", ["implausible_bps", "> 0"]),
        ("config.toml", "[spread-engine]\nenter_z_min = 'two'\n", ["enter_z_min", "float"]),
        ("config.toml", "[spread-tracker]\ntake_share = -1\n", ["take_share", ">= 0"]),
        ("directions.toml", "[defaults]\nclose_at = 'mid'\n", ["close_at", "mid"]),
        ("config.toml", "[pair-discovery]\nquotes = ['usdt']\n", ["quotes", "in capitals"]),
        ("config.toml", "[pair-discovery]\nquotes = []\n", ["quotes", ">= 1"]),
        ("config.toml", "[spread-enigne]\n", ["spread-enigne", "spread-engine"]),
        ("config.toml", "[feed-kraken-spot]\n", ["feed-kraken-spot"]),
        ("exchanges.toml", "[kraken-spot]\n", ["kraken-spot", "a source: binance-futures"]),
        ("exchanges.toml", "taker_fee_bps = 5\n", ["taker_fee_bps", "a source: binance-futures"]),
        ("config.toml", "[feeds.x]\n", ["feeds", "feed-<source>"]),
        ("config.toml", "[system\n", ["not TOML"]),
        ("config.toml", "[system]\nheartbeat_ms = 900\n", ["heartbeat_ms_max", "twice"]),
        (
            "config.toml",
            "[pair-discovery]\nlook_every_s = 0.5\n",
            ["pair-discovery.look_every_s", "at least 10, or 0"],
        ),
        (
            "config.toml",
            "[pair-discovery]\nfunding_every_s = 1e-9\n",
            ["pair-discovery.funding_every_s", "at least 10, or 0"],
        ),
        (
            "config.toml",
            "[pair-discovery]\ndiscover_every_s = 9\n",
            ["pair-discovery.discover_every_s", "at least 10, or 0"],
        ),
        (
            "config.toml",
            "[feed]\nbackoff_s_max = 0.1\n",
            ["feed.backoff_s_max", "at least backoff_s_min, which is 0.25"],
        ),
        (
            "config.toml",
            "[feed-okx-spot]\nask_again_s_min = 1000\n",
            ["feed-okx-spot.ask_again_s_max", "at least ask_again_s_min, which is 1000"],
        ),
        (
            "config.toml",
            "[feed]\nfirst_quote_s_max = 3600\n",
            ["feed.first_quote_quiet_s_max", "at least first_quote_s_max"],
        ),
        (
            "config.toml",
            "[feed]\nunanswered_ms_max = 500\n",
            ["feed.unanswered_ms_max", "at least pong_ms_max, which is 1000"],
        ),
        ("directions.toml", "[defaults]\nexit_bps = 20.0\n", ["exit_bps", "at most enter_bps"]),
        ("config.toml", "[feed]\nstood_s = 1e-10\n", ["stood_s", "0.001"]),
        ("config.toml", "[feed]\nbackoff_s_min = 1e-320\n", ["backoff_s_min", "0.001"]),
        ("directions.toml", "[direction.binance-kraken]\n", ["binance-kraken", "binance-bybit"]),
        ("directions.toml", "[pair.BTC-USDT]\n", ["pair.BTC-USDT", "<direction>:<SYMBOL>"]),
        (
            "directions.toml",
            "[defaults]\nenter_bps = 1000\n",
            ["defaults.enter_bps", "1000"],
        ),
        (
            "directions.toml",
            "[symbol.X-USDT]\nenter_bps = 1e3\n",
            ["X-USDT", "enter_bps"],
        ),
        ("directions.toml", "[symbol.X-USDT]\nenter_bps = 'much'\n", ["enter_bps", "float"]),
        ("directions.toml", "[symbol.X-USDT]\ncooldown_ms = -1\n", ["cooldown_ms", "X", ">= 0"]),
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


@pytest.mark.parametrize("text", ["2024", "1e5", "nan", "true", "1979-05-27"])
def test_text_in_a_variable_needs_no_quotes(folder: Path, text: str) -> None:
    environ = {
        "SPREAD_SYSTEM__NAMESPACE": text,
        "SPREAD_ALERTS__TELEGRAM_CHAT_ID": "-1001234567890",
        "SPREAD_ALERTS__TELEGRAM_TOKEN_FILE": "token",
        "SPREAD_EXCHANGES__OKX_SPOT__FEE_TIER": "",
        "SPREAD_SYSTEM__DATA_DIR": f'"{text}"',
    }
    settings = config.load(folder, environ)
    assert settings.config.system.namespace == text
    assert settings.config.spread_alerts.telegram_chat_id == "-1001234567890"
    assert settings.config.system.data_dir == text


@pytest.mark.parametrize(
    ("token_file", "chat", "key"),
    [
        ("token", "", "telegram_chat_id"),
        ("token", "my chat", "telegram_chat_id"),
        ("", "-100123", "telegram_token_file"),
    ],
)
def test_half_of_what_telegram_takes_is_refused(
    folder: Path, token_file: str, chat: str, key: str
) -> None:
    environ = {
        "SPREAD_ALERTS__TELEGRAM_TOKEN_FILE": token_file,
        "SPREAD_ALERTS__TELEGRAM_CHAT_ID": chat,
    }
    with pytest.raises(ConfigError) as caught:
        config.load(folder, environ)
    assert caught.value.evidence["key"] == f"spread-alerts.{key}"


def test_a_file_that_settings_name_is_the_same_from_any_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reloads stands elsewhere than the services, whose folder is the root."""
    shutil.copy(certifi.where(), tmp_path / "own.pem")
    (tmp_path / "token").write_text("1:abc", encoding="utf-8")
    environ = {
        "SPREAD_EXCHANGES__OKX_SPOT__CA_FILE": "own.pem",
        "SPREAD_ALERTS__TELEGRAM_CHAT_ID": "-1001234567890",
        "SPREAD_ALERTS__TELEGRAM_TOKEN_FILE": "token",
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for stood_in in (tmp_path, elsewhere):
        monkeypatch.chdir(stood_in)
        settings = config.load(folder, environ)
        files.check_files(settings)
        trust.of_source(settings, "okx-spot")
    (elsewhere / "own.pem").touch()
    (tmp_path / "own.pem").unlink()
    with pytest.raises(ConfigError, match=str(tmp_path / "own.pem")):
        trust.of_source(settings, "okx-spot")


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


URLS = ("rest_url", "ws_url", "proxy")
SCHEMES = {"rest_url": "https", "ws_url": "wss", "proxy": "http"}
HOST, PORT, HASH = "with a host", "a port from 1", "without #"
BAD_URLS = [
    *((rest, HOST) for rest in ("://", "://[portal/", "://h:x/", "://a..b/", "://a:b:c/")),
    *((rest, HOST) for rest in (f"://{'a' * 64}.com/", f"://{'.'.join(['a' * 60] * 5)}/", "://-/")),
    *((rest, HOST) for rest in ("://[v1.a]/", "://[::1]x:1/", "://[::g]/", "://[fe80::1%25lo]/")),
    *((rest, HOST) for rest in ("://256.256.256.256/", "://1/", "://0x7f.1/", "://h%00/")),
    *((rest, HOST) for rest in ("://xn--a/", "://xn--/", "://\u2488com/", "://a\u00ad.b/")),
    *((rest, HOST) for rest in ("://h:\u0661/", "://h:123456/", "://h:+1/")),
    *((rest, PORT) for rest in ("://h:99999/", "://h:0/")),
    *((rest, "blanks") for rest in ("://a b/", "://a/\n", "://\ta/")),
    *((rest, "a URL without") for rest in ("://h/\\x", '://h/"', "://h/<>", "://h/`", "://h/{a}")),
    *((rest, HASH) for rest in ("://h/#a", "://h#", "://h/?a#b")),
]


@pytest.mark.parametrize(("rest", "allowed"), BAD_URLS)
@pytest.mark.parametrize("key", URLS)
def test_a_url_that_cannot_be_dialled_is_found_at_load(
    folder: Path, key: str, rest: str, allowed: str
) -> None:
    variable = f"SPREAD_EXCHANGES__OKX_SPOT__{key.upper()}"
    with pytest.raises(ConfigError, match=rf"okx-spot\.{key}|{key}") as caught:
        config.load(folder, environ={variable: SCHEMES[key] + rest})
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ("key", "url", "allowed"),
    [
        ("rest_url", "https://h/path?x=1", "without ?"),
        ("proxy", "http://h:1/path", "nothing behind"),
        ("proxy", "http://h:1/?x=1", "nothing behind"),
        ("proxy", "socks5://user:hunter2@h", "with a port"),
        ("proxy", "socks5://user:hunter2@h:/", "with a port"),
        ("proxy", "http://user:hunter2\u2100@h:1", HOST),
        ("proxy", 'socks5://user:pa"hunter2@h', "with a port"),
    ],
)
def test_what_a_url_is_for_bounds_what_it_may_hold(
    folder: Path, key: str, url: str, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(folder, environ={f"SPREAD_EXCHANGES__OKX_SPOT__{key.upper()}": url})
    assert allowed in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("word", ["hunter2", 'pa"hunter2', "pa hunter2", "pa/hunter2"])
def test_what_was_said_is_shown_without_a_password(folder: Path, word: str) -> None:
    settings = config.load(folder, environ={})
    proxy = "exchanges.okx-spot.proxy"
    for said in (
        *(
            f"{proxy}=socks5://me:{word}@h",
            f"{proxy}=me:{word}@h:1080",
            f"{proxy}=http:/me:{word}@h",
        ),
        f"nothing=http://me:{word}@h/",
    ):
        with pytest.raises(ConfigError) as caught:
            config.with_settings(settings, [said])
        assert "hunter2" not in str(caught.value)
        assert said.partition("=")[0] in str(caught.value)


@pytest.mark.parametrize(
    "word", ["hunter2", 'pa"hunter2', "pa'hunter2", "pa\\hunter2", "p@hunter2"]
)
def test_an_error_as_text_shows_no_password(word: str) -> None:
    url = f"wss://me:{word}@h.test/ws"
    for error in (SpreadError(f"no answer of {url}"), SpreadError("no answer", url=url, of="a@b")):
        assert "hunter2" not in str(error)
        assert "h.test/ws" in str(error), "what is no secret stays"


@pytest.mark.parametrize(
    ("key", "rest"),
    [
        *((key, "://user:word@[::1]:8443/path") for key in ("rest_url", "ws_url")),
        ("ws_url", "://h/path?x=1&y=%20"),
        *((key, "://user:w%40rd@127.0.0.1:8443/") for key in URLS),
        *(
            (key, f"://user:{word}@h:8443")
            for key in URLS
            for word in ("w@rd", "w:rd", '\\w"^{|}<')
        ),
        *((key, rest) for key in URLS for rest in ("://a-b.c_d.example.", "://b\u00fccher.de:1")),
        *((key, "://xn--bcher-kva.example") for key in URLS),
    ],
)
def test_a_url_that_can_be_dialled_is_taken_as_it_is(folder: Path, key: str, rest: str) -> None:
    variable, good = f"SPREAD_EXCHANGES__OKX_SPOT__{key.upper()}", SCHEMES[key] + rest
    assert getattr(config.load(folder, environ={variable: good}).exchanges["okx-spot"], key) == good


@pytest.mark.parametrize("label", [source.label for source in EXCHANGE_SOURCES])
def test_a_channel_that_a_source_has_not_is_found_at_load(folder: Path, label: str) -> None:
    variable = f"SPREAD_EXCHANGES__{label.upper().replace('-', '_')}__CHANNEL"
    with pytest.raises(ConfigError, match=rf"{label}\.channel.*{CHANNELS[label][0]}"):
        config.load(folder, environ={variable: "bbo"})
    for channel in CHANNELS[label]:
        config.load(folder, environ={variable: f'"{channel}"'})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("directions.toml", "[symbols.multiplier]\n'bybit-futures:X' = 0.0\n", ["multiplier"]),
        ("directions.toml", "[symbols.multiplier]\n'bybit-futures:X' = -5\n", ["multiplier"]),
        ("directions.toml", "[symbols.multiplier]\n'bybit-futures:X' = 5e-324\n", ["1e-18"]),
        ("directions.toml", "[symbols.multiplier]\n'bybit-futures:X' = nan\n", ["finite"]),
        ("directions.toml", "[symbols.multiplier]\n'bybit:X' = 1.0\n", ["bybit:X", "<source>"]),
        ("directions.toml", "[symbols.multiplier]\nBTCUSDT = 1.0\n", ["BTCUSDT", "<source>"]),
        ("directions.toml", "[symbols.alias]\n'okx:X' = 'Y'\n", ["okx:X", "<source>"]),
        ("directions.toml", "[symbols.alias]\n'okx-spot:X' = ' '\n", ["okx-spot:X"]),
        ("directions.toml", "[symbols.identity_band_pct]\n'X-USDT' = 0\n", ["identity_band_pct"]),
        ("directions.toml", "[symbols.identity_band_pct]\nXUSDT = 1\n", ["XUSDT", "BASE-QUOTE"]),
        ("directions.toml", "[symbols]\nallow = ['BTCUSDT']\n", ["BTCUSDT", "BASE-QUOTE"]),
        ("directions.toml", "[symbols]\ndeny = ['btc-usdt']\n", ["btc-usdt", "BASE-QUOTE"]),
        ("directions.toml", "[symbols]\ndeny = ['kraken:X']\n", ["kraken:X", "<source>"]),
        ("directions.toml", "[symbol.BTCUSDT]\nenter_bps = 9\n", ["BTCUSDT", "BASE-QUOTE"]),
        ("directions.toml", "[pair.'binance-bybit:BTCUSDT']\n", ["binance-bybit:BTCUSDT"]),
        ("directions.toml", "[defaults]\nenter_bps = inf\n", ["defaults.enter_bps", "finite"]),
        ("directions.toml", "[symbol.X-USDT]\nenter_bps = nan\n", ["enter_bps", "finite"]),
        ("config.toml", "[pair-discovery]\nvalidate_s = nan\n", ["validate_s", "finite"]),
        ("config.toml", "feed = 5\n[feed-okx-spot]\nredundant = 1\n", ["feed"]),
        ("config.toml", "feed-okx-spot = 5\n", ["feed-okx-spot", "a section"]),
        ("config.toml", '[system]\ndata_dir = "a\\u0000b"\n', ["data_dir"]),
        (
            "config.toml",
            "[alerts]\nwebhook_url = 'http://[x/'\n",
            ["spread-alerts.webhook_url", "URL"],
        ),
        ("config.toml", "a = " + "[" * 3_000 + "]" * 3_000, ["not TOML"]),
    ],
)
def test_what_could_only_break_later_is_refused_by_name(
    folder: Path, name: str, text: str, words: list[str]
) -> None:
    write(folder, name, text)
    with pytest.raises(ConfigError) as caught:
        config.load(folder, environ={})
    for word in [name, *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize("value", ["-1e9", "nan", "inf", "1001"])
@pytest.mark.parametrize("table", ["fee_tiers_bps", "symbol_fees_bps"])
def test_a_fee_that_cannot_be_is_refused(folder: Path, table: str, value: str) -> None:
    text = (folder / "exchanges.toml").read_text()
    row = f'[okx-spot]\n{table} = {{ "BTC-USDT" = {value} }}\n'
    write(folder, "exchanges.toml", text.replace("[okx-spot]\n", row))
    with pytest.raises(ConfigError, match=table):
        config.load(folder, environ={})


def test_a_symbol_in_a_variable_means_the_symbol(folder: Path) -> None:
    settings = config.load(
        folder,
        environ={
            "SPREAD_DIRECTIONS__SYMBOL__BTC_USDT__ENTER_BPS": "99",
            "SPREAD_DIRECTIONS__DIRECTION__OKX_MEXC__ENTER_BPS": "77",
            "SPREAD_EXCHANGES__OKX_SPOT__SYMBOL_FEES_BPS__ETH_USDT": "1",
        },
    )
    assert settings.directions.thresholds("binance-bybit", "BTC-USDT").enter_bps == 99.0
    assert settings.directions.thresholds("okx-mexc", "ETH-USDT").enter_bps == 77.0
    assert settings.exchanges["okx-spot"].fee_bps("ETH-USDT") == 1.0
    for odd in ("BTCUSDT", "_USDT", "B_"):
        with pytest.raises(ConfigError, match=r"directions\.toml"):
            config.load(folder, environ={f"SPREAD_DIRECTIONS__SYMBOL__{odd}__ENTER_BPS": "99"})


def test_a_folder_in_place_of_a_file_is_a_bad_setting(folder: Path) -> None:
    (folder / "directions.toml").unlink()
    (folder / "directions.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(folder, environ={})


def test_the_digest_differs_with_every_setting_and_is_the_same_for_the_same(folder: Path) -> None:
    first = config.load(folder, environ={})
    assert config.load(folder, environ={}).digest == first.digest
    variables = {
        "SPREAD_FEED__REDUNDANT": "2",
        "SPREAD_EXCHANGES__OKX_SPOT__TAKER_FEE_BPS": "1",
        "SPREAD_DIRECTIONS__SYMBOL__BTC_USDT__ENTER_BPS": "99",
    }
    digests = {config.load(folder, environ={key: value}).digest for key, value in variables.items()}
    assert len(digests | {first.digest}) == 4


def test_what_needs_a_restart_is_named_with_whom_it_concerns(folder: Path) -> None:
    old = config.load(folder, environ={})
    running = restart.checksums(old, "spread-engine")
    assert restart.changed(old, "spread-engine", running) == []
    new = config.load(
        folder,
        environ={"SPREAD_SYSTEM__MAX_SYMBOLS": "256", "SPREAD_SPREAD_ENGINE__CPUS": "[0]"},
    )
    keys = restart.changed(new, "spread-engine", running)
    assert keys == ["system.max_symbols", "spread-engine.cpus"]
    assert restart.changed(new, "spread-engine", [0] * len(running)) == []
    with pytest.raises(ConfigError, match=r"max_symbols \(a restart of everything\).*cpus \(a re"):
        restart.refuse({key: ["spread-engine"] for key in keys})


@pytest.mark.parametrize("section", ["alerts", "spread-alerts"])
def test_a_section_is_read_under_its_former_name_too(folder: Path, section: str) -> None:
    write(folder, "config.toml", f'[{section}]\nwebhook_url = "http://127.0.0.1:9/"\n')
    for variable in ("SPREAD_ALERTS__PER_MINUTE_MAX", "SPREAD_SPREAD_ALERTS__PER_MINUTE_MAX"):
        alerts = config.load(folder, {variable: "7"}).config.spread_alerts
        assert (alerts.webhook_url, alerts.per_minute_max) == ("http://127.0.0.1:9/", 7)


def test_a_section_under_both_its_names_is_refused(folder: Path) -> None:
    write(folder, "config.toml", "[alerts]\n[spread-alerts]\n")
    with pytest.raises(ConfigError, match="keep one"):
        config.load(folder, {})


IN_FILES: dict[Any, tuple[str, str]] = {
    config.Engine: ("config.toml", "spread-engine"),
    config.Tracker: ("config.toml", "spread-tracker"),
    Paths: ("config.toml", "spread-paths"),
    PoolSettings: ("pools.toml", ""),
}


@pytest.mark.parametrize(("struct", "key"), GONE)
def test_a_setting_that_has_gone_names_the_one_that_came(
    folder: Path, struct: Any, key: str
) -> None:
    name, section = IN_FILES[struct]
    write(folder, name, f"[{section}]\n{key} = 8\n" if section else f"{key} = 8\n")
    said = GONE[struct, key]
    named = re.split("[,; ]", said)[0]
    with pytest.raises(ConfigError, match=f"there is now {named}") as caught:
        config.load(folder, environ={})
    assert caught.value.evidence["key"] == f"{section}.{key}".removeprefix(".")
    assert named in (PoolSettings if "of pools.toml" in said else struct).__struct_fields__
