"""Whose word is taken for a server's certificate: one rule for REST and websockets.

The system's authorities (SSL_CERT_FILE and SSL_CERT_DIR included), and a source's `ca_file` beside
them, for a private authority or a proxy that looks inside. Where the system has none, as in small
containers, certifi's stand in. Used by whoever dials or asks.
"""

import ssl
from pathlib import Path

import certifi

from spread_scanner.errors import ConfigError


def context(ca_file: str = "") -> ssl.SSLContext:
    """Raises ConfigError when the file cannot be used."""
    made = ssl.create_default_context()
    if not _system_has_any():
        made.load_verify_locations(certifi.where())
    if ca_file:
        try:
            made.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"bad setting: no certificates can be read: {error}",
                file="exchanges.toml",
                key="ca_file",
                path=ca_file,
                allowed="a file of PEM certificates",
            ) from None
    return made


def _system_has_any() -> bool:
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None:
        return True
    return paths.capath is not None and any(Path(paths.capath).iterdir())
