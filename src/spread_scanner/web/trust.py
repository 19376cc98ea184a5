"""Whose word is taken for a server's certificate: one rule for REST and websockets.

The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR included), and a source's `ca_file` beside
them, for a private authority or a proxy that looks inside. Where the system has none, as in small
containers, certifi's stand in; what it has and this user may not read is an error, as OpenSSL
passes over it and trusts nobody then, and so is a file that SSL_CERT_FILE names and that is not
there, or has no certificate. Used by whoever dials or asks.
"""

import os
import ssl
from pathlib import Path

import certifi

from spread_scanner.config import Settings, files
from spread_scanner.errors import ConfigError

EXCHANGES = Path("exchanges.toml")


def of_source(settings: Settings, label: str) -> ssl.SSLContext:
    """As one source is dialled and asked. Raises ConfigError when its file cannot be used."""
    return context(settings.exchanges[label].ca_file, settings.folder / EXCHANGES, label)


def context(ca_file: str = "", path: Path = EXCHANGES, label: str = "") -> ssl.SSLContext:
    """Raises ConfigError, which names the section, when its file, or the system's, is unusable."""
    made = ssl.create_default_context()
    if not system_has_any():
        made.load_verify_locations(certifi.where())
    if ca_file:
        files.add_authorities(made, ca_file, path, label)
    return made


def system_has_any() -> bool:
    """Whether the machine has authorities. Raises ConfigError when they cannot be read."""
    paths = ssl.get_default_verify_paths()
    named = os.environ.get(paths.openssl_cafile_env)
    file = named or paths.cafile
    try:
        if file:
            Path(file).open("rb").close()
            if named:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(named)
            return True
        return paths.capath is not None and any(Path(paths.capath).iterdir())
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"the machine's certificates cannot be read: {error.strerror}",
            path=error.filename or file,
            allowed=f"what this user may read, as {paths.openssl_cafile_env} (a file of PEM"
            f" certificates) or {paths.openssl_capath_env} names it",
        ) from None
