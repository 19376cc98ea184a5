"""What must agree in pools.toml, beyond what each key may be. No error repeats a URL or a part of
one: it may hold a key.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from spread_scanner.config.pools import KEY_PLACE, POOL_QUOTES, PoolSettings, ProviderSettings
from spread_scanner.config.wrong import dotted
from spread_scanner.errors import ConfigError
from spread_scanner.schema import urls
from spread_scanner.schema.enums import EXCHANGE_SOURCES, Market
from spread_scanner.schema.figures import plain
from spread_scanner.schema.pools import POOLS_MAX

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_KEY_BYTES = 32
_KEY_MEANS = "a key of Solana: 32 bytes, written in the letters and digits of base58"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_URL_MEANS = "a URL with a host, without blanks; {key} stands where the key belongs"
_SPOT = [source.label for source in EXCHANGE_SOURCES if source.market is Market.SPOT]


def check_pools(settings: PoolSettings, path: Path) -> None:
    """Rules that cross sections. Raises ConfigError."""
    if len(list(settings.wanted())) > POOLS_MAX:
        _fail(path, "pools", f"at most {POOLS_MAX} that are enabled")
    if settings.stable.source not in _SPOT:
        _fail(path, "stable.source", f"one of {', '.join(_SPOT)}")
    if any(one >= other for one, other in pairwise(settings.ladder_quote)):
        _fail(path, "ladder_quote", "each one larger than the one before it")
    if settings.fees.micro_lamports_min > settings.fees.micro_lamports_max:
        _fail(path, "fees.micro_lamports_min", "at most fees.micro_lamports_max")
    _check_asked_in_time(path, settings)
    for name, provider in settings.providers.items():
        _check_provider(path, name, provider)
    _check_mints(path, settings)
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


def _check_asked_in_time(path: Path, settings: PoolSettings) -> None:
    """Each pool is asked about anew before what was heard of it is believed no more."""
    fees, count = settings.fees, max(len(list(settings.wanted())), 1)
    if fees.ask_every_s * count > fees.heard_s_max:
        most = f"at most fees.heard_s_max, {plain(fees.heard_s_max)}, over the {count} pools"
        _fail(path, "fees.ask_every_s", f"{most} that are enabled: one is asked about at a time")


def _check_mints(path: Path, settings: PoolSettings) -> None:
    for key, mint in settings.mints.items():
        _check_key(path, dotted(("mints", key)), key)
        if mint.coin in POOL_QUOTES and mint.multiplier != 1:
            said = f"1, as prices are in it: {', '.join(POOL_QUOTES)}"
            _fail(path, dotted(("mints", key, "multiplier")), said)


def _check_provider(path: Path, name: str, provider: ProviderSettings) -> None:
    where = f"providers.{dotted((name,))}"
    if not _NAME.fullmatch(name):
        _fail(path, where, "a name of small letters, digits and -, at most 32")
    asked = {"http_url": provider.http_url, "ws_url": provider.ws_url}
    for key, url in asked.items():
        url = url.replace(KEY_PLACE, "key")
        if not url.isascii() or urls.fault_of(url):
            _fail(path, f"{where}.{key}", _URL_MEANS)
    for proxy in provider.proxies:
        if said := urls.fault_of_proxy(proxy):
            _fail(path, f"{where}.proxies", said)
    has_place = any(KEY_PLACE in url for url in asked.values())
    if has_place and not provider.key_file:
        _fail(path, f"{where}.key_file", "the file with the key, as {key} stands in a URL")
    if provider.key_file and not has_place:
        _fail(path, f"{where}.http_url", "a URL with {key} in it, as key_file is set")


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
