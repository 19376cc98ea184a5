"""Whom a machine trusts: what may not be read is said, else nobody is trusted without a word."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from spread_scanner import config
from spread_scanner.cli import doctor
from spread_scanner.client import SpreadClient
from spread_scanner.errors import ConfigError
from spread_scanner.web import trust

SHIPPED = Path(__file__).parents[3] / "config"
NOBODY = 65534


@contextlib.contextmanager
def a_stranger() -> Iterator[None]:
    """Not root, who may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.mark.parametrize("variable", ["SSL_CERT_DIR", "SSL_CERT_FILE"])
def test_authorities_that_may_not_be_read_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    settings = config.load(SHIPPED, environ={})
    with tempfile.TemporaryDirectory() as folder:  # pytest's are closed to others
        Path(folder).chmod(0o755)
        named = Path(folder) / "authorities"
        if variable == "SSL_CERT_DIR":
            named.mkdir(0o000)
        else:
            named.touch(0o000)
        monkeypatch.setenv("SSL_CERT_FILE", "")
        monkeypatch.setenv(variable, str(named))
        with a_stranger():
            with pytest.raises(ConfigError, match=f"{named}.*{variable}"):
                trust.context()
            (check,) = doctor.reachable(settings)
        assert (check.result, str(named) in check.found) == (doctor.FAIL, True)


def test_a_folder_without_any_has_others_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert not trust.system_has_any()
    assert trust.context().cert_store_stats()["x509_ca"] > 0


def test_a_file_that_is_named_has_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL passes over one that has none: whoever has such a one is not believed, without a
    word why."""
    named = tmp_path / "own.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    with pytest.raises(ConfigError, match=f"No such file.*{named}.*SSL_CERT_FILE"):
        SpreadClient("https://127.0.0.1:1")
    named.write_text("no certificate")
    with pytest.raises(ConfigError, match=f"no certificate.*{named}.*SSL_CERT_FILE"):
        SpreadClient("https://127.0.0.1:1")
    named.write_bytes(Path(certifi.where()).read_bytes())
    assert trust.context().cert_store_stats()["x509_ca"] > 0
    SpreadClient("https://127.0.0.1:1").close()
