"""A provider's key is in the URLs that are dialled and nowhere else."""

import pytest

from spread_scanner.config.pools import ProviderSettings
from spread_scanner.pools.endpoints import ProviderEndpoint

SECRET = "k-3.Y_z~9"


def endpoint(url: str, proxies: list[str] | None = None, key: str = SECRET) -> ProviderEndpoint:
    provider = ProviderSettings(f"https://{url}", f"wss://{url}", proxies=proxies or [])
    return ProviderEndpoint("mine", provider, key)


def test_the_key_stands_in_its_place() -> None:
    one = endpoint("rpc.example/?api-key={key}")
    assert one.http_url == f"https://rpc.example/?api-key={SECRET}"
    assert one.ws_url == f"wss://rpc.example/?api-key={SECRET}"
    assert repr(one) == "ProviderEndpoint(mine)"


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("rpc.example/?api-key={key}", SECRET),
        ("rpc.example/v2/{key}", SECRET),
        ("{key}.rpc.example/", SECRET),
        ("rpc.example:8900/written-out-in-the-path/", "written-out-in-the-path"),
        ("rpc.example/?token=written-out", "written-out"),
        ("user:pass-word@rpc.example/", "pass-word"),
    ],
)
def test_no_error_says_it(url: str, secret: str) -> None:
    one = endpoint(url)
    for said in (
        f"ConnectError: {one.http_url}",
        f"{one.ws_url!r}: 403",
        f"Client error '401' for url '{one.http_url}'",
        f"unknown host {one.http_url.split('//')[1].split('/')[0]}: {secret}",
    ):
        assert secret not in one.masked(said)
        assert "***" in one.masked(said)


def test_no_error_says_it_in_small_letters_as_a_hosts_name_is() -> None:
    one = endpoint("{key}.rpc.example/")
    said = f"Hostname mismatch, certificate is not valid for '{SECRET.lower()}.rpc.example'"
    assert one.masked(said) == "Hostname mismatch, certificate is not valid for '***.rpc.example'"


def test_a_proxys_password_is_not_said() -> None:
    one = endpoint("rpc.example/", proxies=["socks5://me:pass-word@proxy:1080"])
    assert (
        one.masked("socks5://me:pass-word@proxy:1080 refused") == "socks5://***@proxy:1080 refused"
    )
    assert one.masked("some pass-word refused") == "some *** refused"


def test_what_is_no_secret_is_said() -> None:
    one = endpoint("rpc.example/v1/", key="")
    assert one.masked("https://rpc.example/v1/: 503 in slot 5") == (
        "https://rpc.example/v1/: 503 in slot 5"
    )
