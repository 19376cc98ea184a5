"""What must agree: rules that span sections or files; a range stands with its own setting.

Called by config.reading when the first three files are typed. A rule that is broken is a
ConfigError that names the file, the key and what is allowed.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from spread_scanner.config.settings import (
    Alerts,
    Books,
    Config,
    Directions,
    Discovery,
    Feed,
    Gateway,
    Settings,
    SourceSettings,
)
from spread_scanner.config.wrong import dotted
from spread_scanner.errors import ConfigError
from spread_scanner.schema import urls
from spread_scanner.schema.channels import CHANNELS, DEPTH_CHANNELS
from spread_scanner.schema.costs import full_weight
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, EXCHANGE_SOURCES, SOURCES
from spread_scanner.schema.figures import plain
from spread_scanner.schema.names import ALERTS, ANALYST, DISCOVERY, GATEWAY

PERIOD_S_MIN = 10.0
PAUSES = (
    ("backoff_s_max", "backoff_s_min"),
    ("ask_again_s_max", "ask_again_s_min"),
    ("first_quote_quiet_s_max", "first_quote_s_max"),
    ("unanswered_ms_max", "pong_ms_max"),
)
SYMBOL = re.compile(r"[^\sa-z:][^a-z:]*-[A-Z0-9]+")  # a base may be of any script
CHAT = re.compile(r"-?\d+|@[A-Za-z]\w*")
SYMBOL_MEANS = "BASE-QUOTE in capitals, for example BTC-USDT"


def check_sources(labels: Iterable[str], path: Path) -> None:
    """Sections of exchanges.toml, before anybody asks what they lack."""
    known = {source.label for source in EXCHANGE_SOURCES}
    for label in labels:
        if label not in known:
            _fail(path, label, f"a source: {', '.join(sorted(known))}")


def check_agreement(settings: Settings) -> None:
    """Rules that cross sections; ranges stand with the settings themselves."""
    folder = settings.folder
    for label, source in settings.exchanges.items():
        _check_source(folder / "exchanges.toml", label, source)
        if source.fee_tier and source.fee_tier not in source.fee_tiers_bps:
            _fail(
                folder / "exchanges.toml",
                f"{label}.fee_tier",
                f"one of {', '.join(source.fee_tiers_bps) or 'fee_tiers_bps, which is empty'}",
            )
    if missing := {source.label for source in EXCHANGE_SOURCES} - set(settings.exchanges):
        _fail(
            folder / "exchanges.toml",
            sorted(missing)[0],
            "every source has a section; enabled = false leaves it out",
        )
    _check_alerts(folder / "config.toml", settings.config.spread_alerts)
    _check_rising(folder / "config.toml", settings.config)
    _check_books(folder / "config.toml", settings.config.books)
    _check_gateway(folder / "config.toml", settings.config.spread_gateway)
    system = settings.config.system
    engine = settings.config.spread_engine
    for key, slots in (
        ("system.ring_slots", system.ring_slots),
        ("system.tape_slots", system.tape_slots),
        ("spread-engine.evaluations_kept", engine.evaluations_kept),
    ):
        if slots & (slots - 1):
            _fail(folder / "config.toml", key, "a power of two")
    most = full_weight(engine.basis_half_life_s)
    if engine.basis_trust_s >= most:
        _fail(
            folder / "config.toml",
            "spread-engine.basis_trust_s",
            f"below {most:.1f}, the weight of a pair that is always fresh at basis_half_life_s"
            f" = {plain(engine.basis_half_life_s)}: no pair would ever be trusted",
        )
    if system.heartbeat_ms_max < 2 * system.heartbeat_ms:
        _fail(folder / "config.toml", "system.heartbeat_ms_max", "at least twice heartbeat_ms")
    _check_periods(folder / "config.toml", settings.config.pair_discovery)
    for name, feed in (("feed", settings.config.feed), *_named(settings.config.feeds)):
        _check_pauses(folder / "config.toml", name, feed)
    _check_listings(settings)
    _check_directions(settings)


def _named(feeds: Mapping[str, Feed]) -> Iterator[tuple[str, Feed]]:
    return ((f"feed-{label}", feed) for label, feed in feeds.items())


def _check_periods(path: Path, discovery: Discovery) -> None:
    """One that is all but nothing would ask the exchanges without a pause, and be banned."""
    for key in ("discover_every_s", "look_every_s", "funding_every_s"):
        if 0 < getattr(discovery, key) < PERIOD_S_MIN:
            _fail(path, f"{DISCOVERY}.{key}", f"at least {plain(PERIOD_S_MIN)}, or 0")


def _check_pauses(path: Path, section: str, feed: Feed) -> None:
    """The longest is no shorter than the first."""
    for key, other in PAUSES:
        least = getattr(feed, other)
        if getattr(feed, key) < least:
            _fail(path, f"{section}.{key}", f"at least {other}, which is {plain(least)}")


def _check_rising(path: Path, config: Config) -> None:
    """What is told apart by its place in a list."""
    for key, values in (
        ("books.sizes_quote", config.books.sizes_quote),
        (f"{ANALYST}.half_lives_s", config.spread_analyst.half_lives_s),
    ):
        if any(one >= other for one, other in pairwise(values)):
            _fail(path, key, "each one larger than the one before it")


def _check_books(path: Path, books: Books) -> None:
    for symbol in books.watch:
        _check_symbol(path, "books.watch", symbol)


def _check_gateway(path: Path, gateway: Gateway) -> None:
    """An address that others can reach is never open to all of them."""
    try:
        here = ipaddress.ip_address(gateway.host).is_loopback
    except ValueError:
        here = gateway.host == "localhost"
        if not here:
            _fail(path, f"{GATEWAY}.host", "an address such as 127.0.0.1 or ::, or localhost")
    if not here and not gateway.token_file:
        said = f"a file with a token, as host = {gateway.host} can be reached by other machines"
        _fail(path, f"{GATEWAY}.token_file", said)
    for key, other in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
        if getattr(gateway, key) and not getattr(gateway, other):
            _fail(path, f"{GATEWAY}.{other}", f"a file, as {key} is set")


def _check_alerts(path: Path, alerts: Alerts) -> None:
    """Where they go; half of what Telegram takes would be silently nothing."""
    for key, url, said in (
        ("webhook_url", alerts.webhook_url, urls.fault_of(alerts.webhook_url)),
        ("telegram_api", alerts.telegram_api, urls.fault_of_base(alerts.telegram_api)),
        ("heartbeat_url", alerts.heartbeat_url, urls.fault_of(alerts.heartbeat_url)),
    ):
        if url and not re.match(r"https?://", url):
            said = "a URL with http or https"
        if url and said:
            _fail(path, f"{ALERTS}.{key}", said)
    if alerts.telegram_token_file and not CHAT.fullmatch(alerts.telegram_chat_id):
        _fail(path, f"{ALERTS}.telegram_chat_id", "a number, or @ and the name of a channel")
    if alerts.telegram_chat_id and not alerts.telegram_token_file:
        key = f"{ALERTS}.telegram_token_file"
        _fail(path, key, "the file with the bot's token, as telegram_chat_id is set")


def _check_source(path: Path, label: str, source: SourceSettings) -> None:
    """Where to dial and what to ask for: a typing error ends here and not in a dial."""
    for key, said in (
        ("rest_url", urls.fault_of_base(source.rest_url)),
        ("ws_url", urls.fault_of(source.ws_url)),
        ("proxy", source.proxy and urls.fault_of_proxy(source.proxy)),
    ):
        if said:
            _fail(path, f"{label}.{key}", said)
    for symbol in source.symbol_fees_bps:
        _check_symbol(path, f"{label}.symbol_fees_bps", symbol)
    if source.channel and source.channel not in CHANNELS[label]:
        _fail(path, f"{label}.channel", ", ".join(CHANNELS[label]))
    if source.depth_channel and source.depth_channel not in DEPTH_CHANNELS[label]:
        _fail(path, f"{label}.depth_channel", ", ".join(DEPTH_CHANNELS[label]))


def _check_directions(settings: Settings) -> None:
    path = settings.folder / "directions.toml"
    directions = settings.directions
    for label in directions.direction:
        if label not in DIRECTION_BY_LABEL:
            _fail(path, f"direction.{label}", f"one of {', '.join(DIRECTION_BY_LABEL)}")
    for name in directions.pair:
        label, colon, symbol = name.partition(":")
        if not colon or label not in DIRECTION_BY_LABEL or not SYMBOL.fullmatch(symbol):
            means = "'<direction>:<SYMBOL>', for example 'binance-bybit:BTC-USDT'"
            _fail(path, f"pair.{name}", means)
    labels, symbols = ["", *directions.direction], ["", *directions.symbol]
    combined = [(label, symbol) for label in labels for symbol in symbols]
    pairs = [name.partition(":") for name in directions.pair]
    for label, symbol in [*combined, *((label, symbol) for label, _, symbol in pairs)]:
        merged = directions.thresholds(label, symbol)
        implausible_bps = settings.config.spread_engine.implausible_bps
        if merged.enter_bps >= implausible_bps:
            _fail(
                path,
                _decisive(directions, label, symbol, "enter_bps"),
                f"below spread-engine.implausible_bps, which is {plain(implausible_bps)}",
            )
        if merged.exit_bps > merged.enter_bps:
            _fail(
                path,
                _decisive(directions, label, symbol, "exit_bps", "enter_bps"),
                f"at most enter_bps, which is {plain(merged.enter_bps)} for "
                f"{label or 'every direction'} and {symbol or 'every symbol'}",
            )


def _decisive(directions: Directions, label: str, symbol: str, *keys: str) -> str:
    """The most special place that sets one of these thresholds; the defaults set the first."""
    sections = [
        (f"pair.{dotted((f'{label}:{symbol}',))}", directions.pair.get(f"{label}:{symbol}")),
        (f"symbol.{dotted((symbol,))}", directions.symbol.get(symbol)),
        (f"direction.{label}", directions.direction.get(label)),
    ]
    for name, section in sections:
        for key in keys:
            if section is not None and getattr(section, key) is not None:
                return f"{name}.{key}"
    return f"defaults.{keys[0]}"


def _check_listings(settings: Settings) -> None:
    """Keys that name listings: one that can name none would be taken and do nothing."""
    path = settings.folder / "directions.toml"
    symbols = settings.directions.symbols
    sources = {source.label for source in SOURCES}
    keys = [("symbols.alias", key) for key in symbols.alias]
    keys += [("symbols.multiplier", key) for key in symbols.multiplier]
    keys += [("symbols.deny", key) for key in symbols.deny if ":" in key]
    for where, key in keys:
        label, _, name = key.partition(":")
        if label not in sources or not name:
            _fail(path, f"{where}.{key}", f"'<source>:<name>', the source one of {sorted(sources)}")
    names = [("symbol", key) for key in settings.directions.symbol]
    names += [("symbols.allow", key) for key in symbols.allow]
    names += [("symbols.deny", key) for key in symbols.deny if ":" not in key]
    names += [("symbols.identity_band_pct", key) for key in symbols.identity_band_pct]
    for where, key in names:
        _check_symbol(path, where, key)
    for key, base in symbols.alias.items():
        if not base.strip():
            _fail(path, f"symbols.alias.{key}", "the base that it really is")


def _check_symbol(path: Path, where: str, symbol: str) -> None:
    if not SYMBOL.fullmatch(symbol):
        _fail(path, f"{where}.{symbol}", SYMBOL_MEANS)


def _fail(path: Path, key: str, allowed: str) -> NoReturn:
    raise ConfigError("bad setting", file=path, key=key, allowed=allowed)
