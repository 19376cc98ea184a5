"""The files that settings name: whether they can be read, and are what they are to be.

Each process reads its own through here (web/trust.py, alerts/targets.py), so that every error
names the file of the settings, the section and the key. Who reloads and the doctor look at all of
them first: a process that is told finds what it needs. A relative name means what it means for the
folders of the settings, in whatever folder who reads it was started.
"""

import errno
import importlib.util
import os
import re
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from spread_scanner.config.pools import ProviderSettings
from spread_scanner.config.settings import Alerts, Gateway, Settings
from spread_scanner.errors import ConfigError
from spread_scanner.schema.names import ALERTS, GATEWAY, PATHS

POOLS_NEED = "solders"  # an extra: who reads no pools does without
PATHS_NEED = "rustworkx"
CREDENTIALS = "/run/credentials/"  # of a unit: nobody else may look there
BYTES_MAX = 1 << 20  # of one file; a machine's whole bundle of certificates has a quarter
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]+")
_PROVIDER_KEY = re.compile(r"[A-Za-z0-9._~-]+")  # what stands in a URL as it is
# Of RFC 6750 what a browser can send: as a subprotocol, a token of RFC 9110, without / and =. Long
# enough not to be guessed.
_BEARER = re.compile(r"[A-Za-z0-9._~+-]{16,}")


class Tokens(NamedTuple):
    """What the gateway wants to be sent; empty: nothing to read, and no control at all."""

    to_read: bytes
    to_control: bytes


def check_plain(path: Path) -> None:
    """A file that can be read to its end: a pipe is waited for and a device read for ever, and
    megabytes take minutes. Raises OSError, also for what is not there; a folder says so itself."""
    found = os.stat(path)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.EINVAL, "a pipe, socket or device, not a file")
    if found.st_size > BYTES_MAX:
        raise OSError(errno.EFBIG, f"larger than {BYTES_MAX:,} bytes")


def check_files(settings: Settings) -> None:
    """Raises ConfigError for the first that cannot be used by whom it is for."""
    for error in wrong_files(settings):
        raise error


def wrong_files(settings: Settings) -> Iterator[ConfigError]:
    """What is wrong with each that cannot be used by whom it is for."""
    for label, source in settings.exchanges.items():
        if source.enabled and source.ca_file:
            path = settings.folder / "exchanges.toml"
            try:
                add_authorities(
                    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), source.ca_file, path, label
                )
            except ConfigError as error:
                yield error
    alerts = settings.config.spread_alerts
    if alerts.telegram_token_file and not alerts.telegram_token_file.startswith(CREDENTIALS):
        try:
            telegram_token(alerts, settings.folder / "config.toml")
        except ConfigError as error:
            yield error
    gateway = settings.config.spread_gateway
    if gateway.wanted:
        for read in (tokens, tls_context):
            try:
                read(gateway, settings.folder / "config.toml")
            except ConfigError as error:
                yield error
    if settings.pools.runs:
        yield from _wrong_of_pools(settings)


def _wrong_of_pools(settings: Settings) -> Iterator[ConfigError]:
    wants_paths = settings.config.spread_paths.wanted
    try:
        (check_paths_extra if wants_paths else check_extra)(settings)
    except ConfigError as error:
        yield error
    yield from wrong_keys(settings)


def wrong_keys(settings: Settings) -> Iterator[ConfigError]:
    """What is wrong with the keys of pools' providers, but for those that a unit alone reads."""
    for name, provider in settings.pools.asked():
        if not provider.key_file.startswith(CREDENTIALS):
            try:
                provider_key(name, provider, settings.folder / "pools.toml")
            except ConfigError as error:
                yield error


def check_extra(settings: Settings) -> None:
    """Whether what reads pools is installed. Raises ConfigError."""
    _check_installed(POOLS_NEED, "pools need", settings.folder / "pools.toml", "enabled")


def check_paths_extra(settings: Settings) -> None:
    """Whether what finds cycles over pools is installed. Raises ConfigError."""
    check_extra(settings)
    path = settings.folder / "config.toml"
    _check_installed(PATHS_NEED, f"{PATHS} needs", path, f"{PATHS}.enabled")


def _check_installed(package: str, who_needs: str, path: Path, key: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"{who_needs} {package}, which is not installed",
            file=path,
            key=key,
            allowed="pip install 'spread-scanner[solana]'",
        )


def add_authorities(made: ssl.SSLContext, ca_file: str, path: Path, label: str) -> None:
    """Have a context trust a source's authorities as well. Raises ConfigError."""
    where = _where(ca_file, path, f"{label}.ca_file")
    try:
        check_plain(where["path"])
        made.load_verify_locations(where["path"])
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        said = f"bad setting: no certificates can be read: {error}"
        raise ConfigError(said, **where, allowed="a file of PEM certificates") from None


def telegram_token(alerts: Alerts, path: Path) -> str:
    """The bot's token. What is wrong with it is said, never what it is. Raises ConfigError."""
    where = _where(alerts.telegram_token_file, path, f"{ALERTS}.telegram_token_file")
    token = _secret("Telegram token", where)
    if not _TOKEN.fullmatch(token):
        raise ConfigError(
            "the Telegram token is none",
            **where,
            allowed="one line: the number of the bot, a colon, letters and digits",
        )
    return token


def tokens(gateway: Gateway, path: Path) -> Tokens:
    """What has to be sent to read and to control. Raises ConfigError."""
    found = Tokens(
        _token(gateway.token_file, path, "token_file"),
        _token(gateway.control_token_file, path, "control_token_file"),
    )
    if found.to_read and found.to_read == found.to_control:  # who may read would control
        where = _where(gateway.control_token_file, path, f"{GATEWAY}.control_token_file")
        raise ConfigError("the token is that of token_file", **where, allowed="another one")
    return found


def _token(named: str, path: Path, key: str) -> bytes:
    if not named:
        return b""
    where = _where(named, path, f"{GATEWAY}.{key}")
    token = _secret("token", where, ours_alone=not named.startswith(CREDENTIALS))
    if not _BEARER.fullmatch(token):
        allowed = "one line of at least 16 letters, digits and - . _ ~ + (openssl rand -hex 32)"
        raise ConfigError("the token is none", **where, allowed=allowed)
    return token.encode()


def provider_key(name: str, provider: ProviderSettings, path: Path) -> str:
    """What {key} stands for in a provider's URLs; "" where there is none. What is wrong with it is
    said, never what it is. Raises ConfigError."""
    if not provider.key_file:
        return ""
    where = _where(provider.key_file, path, f"providers.{name}.key_file")
    key = _secret("provider's key", where, ours_alone=not provider.key_file.startswith(CREDENTIALS))
    if not _PROVIDER_KEY.fullmatch(key):
        allowed = "one line of letters, digits and - . _ ~"
        raise ConfigError("the provider's key is none", **where, allowed=allowed)
    return key


def _where(named: str, path: Path, key: str) -> dict[str, Any]:
    """What an error about a file says: which file of the settings names it, by which key."""
    return {"file": path, "key": key, "path": _placed(named, path)}


def _secret(what: str, where: dict[str, Any], *, ours_alone: bool = False) -> str:
    """What the file at where["path"] holds, which nobody else may read where it is to be
    `ours_alone`. Raises ConfigError, which never says what that is."""
    file: Path = where["path"]
    try:
        check_plain(file)
        secret = file.read_text(encoding="utf-8").strip()
        open_to_others = file.stat().st_mode & 0o077
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise ConfigError(f"the {what} cannot be read", **where, reason=reason) from None
    if ours_alone and open_to_others:
        raise ConfigError(f"the {what} can be read by others", **where, allowed="mode 0600")
    return secret


def tls_context(gateway: Gateway, path: Path) -> ssl.SSLContext | None:
    """How the gateway is spoken to; None: in plain text. Raises ConfigError."""
    if not gateway.tls_certificate:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(made, gateway, path)
    return made


def load_certificate(context: ssl.SSLContext, gateway: Gateway, path: Path) -> None:
    """Whoever connects from now on sees the certificate that lies there now. Raises ConfigError,
    after which the context is of no use."""
    where = _where(gateway.tls_certificate, path, f"{GATEWAY}.tls_certificate, tls_key")
    key = _placed(gateway.tls_key, path)
    try:
        check_plain(where["path"])
        check_plain(key)
        context.load_cert_chain(where["path"], key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        said = f"bad setting: no certificate and key of each other can be read: {error}"
        raise ConfigError(said, **where, allowed="files of PEM") from None


def _placed(file: str, named_in: Path) -> Path:
    """Relative ones lie beside the folder of settings, as Settings.path has it of folders."""
    return named_in.parent.parent / file
