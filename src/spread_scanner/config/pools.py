"""What can be set of Solana's pools: pools.toml, which is read by itself, by whoever reads pools.

PoolSettings is the file, checked by check_pools; config.reading reads it, config.files the keys of
providers. No error repeats a URL or a part of one: it may hold a key.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, NoReturn
from urllib.parse import urlsplit

from msgspec import Meta, Struct, field

from spread_scanner.config.wrong import dotted
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import SOURCES, Market

KEY_PLACE = "{key}"
POOL_QUOTES = ("USDT", "USDC")  # what prices are in; the first that a pool has is its quote
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_KEY_BYTES = 32
_KEY_MEANS = "a key of Solana: 32 bytes, written in the letters and digits of base58"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_URL_MEANS = "a URL with a host, without blanks; {key} stands where the key belongs"
_SPOT = [source.label for source in SOURCES if source.market is Market.SPOT]

Program = Literal["raydium-v4", "raydium-clmm", "raydium-cpmm", "orca-whirlpool", "meteora-dlmm"]
Proxy = Annotated[str, Meta(pattern=r"^(http|socks5)://", description="http:// or socks5://")]


class ProviderSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """One RPC provider: where it is asked and heard, and how fast it lets itself be asked."""

    http_url: Annotated[
        str,
        Meta(
            pattern=r"^https?://",
            description="Where accounts are asked for; {key} is replaced by the key.",
        ),
    ]
    ws_url: Annotated[
        str,
        Meta(
            pattern=r"^wss?://",
            description="Where changes are heard; {key} is replaced by the key.",
        ),
    ]
    enabled: Annotated[bool, Meta(description="False leaves the provider out.")] = True
    key_file: Annotated[
        str,
        Meta(
            description="File with the key that {key} stands for, relative to the config folder's "
            "parent; empty: none."
        ),
    ] = ""
    requests_per_s: Annotated[
        float, Meta(gt=0, le=10_000, description="Requests a second, of all kinds.")
    ] = 4.0
    subscriptions_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Accounts heard on one connection.")
    ] = 1_000
    proxies: Annotated[
        list[Proxy], Meta(description="Proxies to dial through in turn; empty: none.")
    ] = field(default_factory=list)


class MintSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """What a mint is to the rest of the system."""

    coin: Annotated[
        str, Meta(pattern=r"^[^\sa-z:-]+$", description="The coin in capitals, as symbols have it.")
    ]
    multiplier: Annotated[float, Meta(gt=0, le=1e18, description="Coins in one whole token.")] = 1.0


class PoolEntry(Struct, forbid_unknown_fields=True, frozen=True):
    """One pool, and what it has to be when it is read."""

    program: Annotated[Program, Meta(description="Whose account it is.")]
    mints: Annotated[
        list[str],
        Meta(min_length=2, max_length=2, description="Both mints, in either order."),
    ]
    enabled: Annotated[bool, Meta(description="False leaves the pool out.")] = True


class StableRate(Struct, forbid_unknown_fields=True, frozen=True):
    """Where USDC's price in USDT comes from: they are not one coin."""

    source: Annotated[str, Meta(description="The spot source that quotes it.")] = "binance-spot"
    symbol: Annotated[str, Meta(pattern=r"^USDC-USDT$", description="USDC-USDT")] = "USDC-USDT"


class PoolSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """pools.toml."""

    commitment: Annotated[
        Literal["processed", "confirmed"],
        Meta(description="How sure a provider is of what it tells; processed may be taken back."),
    ] = "confirmed"
    reference_quote: Annotated[
        float, Meta(gt=0, le=1e9, description="Size that best bid and ask are for.")
    ] = 1_000.0
    ladder_quote: Annotated[
        list[Annotated[float, Meta(gt=0, le=1e9)]],
        Meta(min_length=1, max_length=20, description="Sizes of the ladder, ascending."),
    ] = field(default_factory=lambda: [100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 1e5])
    arrays: Annotated[
        int,
        Meta(ge=1, le=16, description="Arrays of ticks or bins to either side of the price."),
    ] = 2
    stable: StableRate = field(default_factory=StableRate)
    providers: Annotated[
        dict[str, ProviderSettings], Meta(description="By a name of one's own.")
    ] = field(default_factory=dict)
    mints: Annotated[dict[str, MintSettings], Meta(description="By the mint's key.")] = field(
        default_factory=dict
    )
    pools: Annotated[dict[str, PoolEntry], Meta(description="By the pool's key.")] = field(
        default_factory=dict
    )

    def wanted(self) -> Iterator[tuple[str, PoolEntry]]:
        """The pools that are not left out, by their keys."""
        return ((key, pool) for key, pool in self.pools.items() if pool.enabled)


def check_pools(settings: PoolSettings, path: Path) -> None:
    """Rules that cross sections. Raises ConfigError."""
    if settings.stable.source not in _SPOT:
        _fail(path, "stable.source", f"one of {', '.join(_SPOT)}")
    if any(one >= other for one, other in pairwise(settings.ladder_quote)):
        _fail(path, "ladder_quote", "each one larger than the one before it")
    for name, provider in settings.providers.items():
        _check_provider(path, name, provider)
    for key, mint in settings.mints.items():
        _check_key(path, dotted(("mints", key)), key)
        if mint.coin in POOL_QUOTES and mint.multiplier != 1:
            said = f"1, as prices are in it: {', '.join(POOL_QUOTES)}"
            _fail(path, dotted(("mints", key, "multiplier")), said)
    for key, pool in settings.pools.items():
        _check_key(path, dotted(("pools", key)), key)
        if pool.mints[0] == pool.mints[1]:
            _fail(path, dotted(("pools", key, "mints")), "two different mints")
        for of in pool.mints:
            if of not in settings.mints:
                said = f"keys with a section of their own; {of} has no [mints.{of}]"
                _fail(path, dotted(("pools", key, "mints")), said)
        if len({settings.mints[of].coin for of in pool.mints}) != 2:
            _fail(path, dotted(("pools", key, "mints")), "mints of two different coins")


def _check_provider(path: Path, name: str, provider: ProviderSettings) -> None:
    where = f"providers.{dotted((name,))}"
    if not _NAME.fullmatch(name):
        _fail(path, where, "a name of small letters, digits and -, at most 32")
    urls = {"http_url": provider.http_url, "ws_url": provider.ws_url}
    for key, url in urls.items():
        _check_url(path, f"{where}.{key}", url.replace(KEY_PLACE, "key"))
    for proxy in provider.proxies:
        _check_url(path, f"{where}.proxies", proxy)
    has_place = any(KEY_PLACE in url for url in urls.values())
    if has_place and not provider.key_file:
        _fail(path, f"{where}.key_file", "the file with the key, as {key} stands in a URL")
    if provider.key_file and not has_place:
        _fail(path, f"{where}.http_url", "a URL with {key} in it, as key_file is set")


def _check_url(path: Path, key: str, url: str) -> None:
    """Whether it can be dialled at all. Not even a part of it is said: it may be the key."""
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0
        url.encode("ascii")
    except ValueError:  # UnicodeError is one
        good = False
    if not good or re.search(r"[\s\x00-\x1f\x7f{}]", url):
        _fail(path, key, _URL_MEANS)


def _check_key(path: Path, where: str, key: str) -> None:
    """By hand: the library of keys is an extra, and settings are read without it."""
    number = 0
    for letter in key:
        number = number * len(_BASE58) + _BASE58.find(letter)
    zeros = len(key) - len(key.lstrip(_BASE58[0]))
    if not set(key) <= set(_BASE58) or zeros + -(-number.bit_length() // 8) != _KEY_BYTES:
        _fail(path, where, _KEY_MEANS)


def _fail(path: Path, key: str, allowed: str) -> NoReturn:
    raise ConfigError("bad setting", file=path, key=key, allowed=allowed)
