"""Where a provider is reached, with its key in place, and how that is said without it."""

from urllib.parse import parse_qsl, urlsplit

from spread_scanner.config import Settings, files
from spread_scanner.config.pools import KEY_PLACE, ProviderSettings
from spread_scanner.errors import MASK
from spread_scanner.runtime.logs import without_secrets

_SECRET_LETTERS_MIN = 8  # a shorter path, /v1 for example, is no secret, and stands in other words


class ProviderEndpoint:
    """A provider's URLs, for the dial alone: what is told to people goes through `masked`."""

    def __init__(self, name: str, provider: ProviderSettings, key: str) -> None:
        self.name = name
        self.http_url = provider.http_url.replace(KEY_PLACE, key)
        self.ws_url = provider.ws_url.replace(KEY_PLACE, key)
        self.proxies = tuple(provider.proxies)
        # Of the settings, with {key} in place: what names the turns of dials and requests, which
        # everybody may read.
        self.http_told, self.ws_told = provider.http_url, provider.ws_url
        urls = self.http_url, self.ws_url, *self.proxies
        self._dialled = name, *urls
        # A host's name is said in small letters by whoever has checked whose it is.
        secrets = {key, key.lower(), *(part for url in urls for part in _secret_parts(url))}
        self._secrets = sorted(secrets - {""}, key=len, reverse=True)

    def __eq__(self, other: object) -> bool:
        """Whether the same is dialled: a key may be another one in the same file."""
        if not isinstance(other, ProviderEndpoint):
            return NotImplemented
        return self._dialled == other._dialled

    def __repr__(self) -> str:
        return f"ProviderEndpoint({self.name})"

    @property
    def shown(self) -> str:
        """Where it is dialled, for people."""
        return self.masked(self.ws_told)

    def masked(self, text: str) -> str:
        """What a library says of a failure, without the key, whatever part of a URL it quotes."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return without_secrets(text)


def endpoints_of(settings: Settings) -> list[ProviderEndpoint]:
    """Where all providers are reached that may be asked, in the order of pools.toml. Raises
    ConfigError on a key that cannot be read."""
    return [endpoint_of(settings, name) for name, _ in settings.pools.asked()]


def endpoint_of(settings: Settings, name: str) -> ProviderEndpoint:
    """Where one of them is reached. Raises ConfigError."""
    provider = settings.pools.providers[name]
    key = files.provider_key(name, provider, settings.folder / "pools.toml")
    return ProviderEndpoint(name, provider, key)


def _secret_parts(url: str) -> list[str]:
    """What may be a key: everything but scheme, host and port."""
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    said = [parts.path.strip("/"), parts.query, *parts.path.split("/"), *values]
    long = [part for part in (*said, parts.username or "") if len(part) >= _SECRET_LETTERS_MIN]
    return [*long, parts.password or ""]
