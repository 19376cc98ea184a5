"""Whom alerts are sent to: a webhook and Telegram, and what their answers mean.

A target answers that it took a message, that it never will (`NeverTaken`: 4xx but for 408 and 429),
or it fails for now (`Unreached`): for the sake of the message or not, nobody knows. What says that
it is not the message is `NotNow`: too many, nobody there, no answer in time, a wish to be asked
again later, or elsewhere.
Nothing that is said of an error holds an address: it may have a token in it.
"""

import contextlib
from pathlib import Path
from typing import NamedTuple, Protocol

import httpx
import msgspec

from spread_scanner import clock
from spread_scanner.config import Alerts as AlertSettings
from spread_scanner.config import files
from spread_scanner.errors import SpreadError
from spread_scanner.runtime import refusals
from spread_scanner.runtime.logs import without_secrets
from spread_scanner.web import trust
from spread_scanner.web.bodies import PACKED, read_body_by
from spread_scanner.web.timely import answered_by, bound

CONFIG = Path("config.toml")
TIMEOUT_S = 5.0
RETRY_AFTER_S_MAX = 3_600.0
TEXT_CHARS_MAX = 1 << 20  # of one text, where a target knows no bound
TELEGRAM_CHARS = 4_000  # of the 4,096 that it takes in one message
PASSES = (408, 429)  # of 4xx: the same message may be taken later
ANSWER_BYTES_MAX = 64 << 10  # what is read of a refusal: Telegram's are some hundred
HOPS_MAX = 3  # of redirects


class Message(NamedTuple):
    """What leaves. `event` is "raised", "still", "cleared", "over" (began and ended before it could
    be told), "event", "summary", or "several" with what it holds in `parts`."""

    event: str
    key: str
    text: str
    wall_ns: int
    parts: tuple["Message", ...] = ()

    @property
    def document(self) -> dict[str, object]:
        """As a webhook gets it."""
        made: dict[str, object] = self._asdict()
        del made["parts"]
        if self.parts:
            made["parts"] = [part.document for part in self.parts]
        return made


class _Parameters(msgspec.Struct):
    retry_after: float


class _Refused(msgspec.Struct):
    """As Telegram says when to ask again."""

    parameters: _Parameters


class Unreached(SpreadError):
    """It was not delivered, and may be later."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NotNow(Unreached):
    """Whatever it says. A message that was not answered in time may have arrived: to try its parts
    one by one could tell each of them over and over."""


class NeverTaken(SpreadError):
    """It was not delivered and never will be."""


class Sender(Protocol):
    """A target. `send` raises Unreached or NeverTaken, and may cut what is longer than
    `chars_max`."""

    name: str
    chars_max: int

    def send(self, message: Message) -> None: ...


class Webhook:
    """POSTs each message as a JSON object with the fields of Message."""

    name = "webhook"
    chars_max = TEXT_CHARS_MAX

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url
        self._client = client

    def send(self, message: Message) -> None:
        post(self._client, self._url, message.document)


class Telegram:
    """Sends each message as a chat text. The token stands in a file, never in the settings."""

    name = "telegram"
    chars_max = TELEGRAM_CHARS

    def __init__(self, api: str, token: str, chat_id: str, client: httpx.Client) -> None:
        self._url = f"{api.rstrip('/')}/bot{token}/sendMessage"
        self._chat_id = chat_id
        self._client = client

    def send(self, message: Message) -> None:
        text = f"{message.event}: {message.text}"
        if len(text) > TELEGRAM_CHARS:
            text = f"{text[:TELEGRAM_CHARS]}... (cut)"
        body = {"chat_id": self._chat_id, "text": text, "disable_notification": False}
        post(self._client, self._url, body)


def post(client: httpx.Client, url: str, body: dict[str, object]) -> None:
    """POST as JSON. Raises Unreached or NeverTaken."""
    _judge(_asked(client, "POST", url, body))


def ping(client: httpx.Client, method: str, url: str) -> None:
    """Ask with nothing to say, for a heartbeat. Raises Unreached or NeverTaken."""
    _judge(_asked(client, method, url, None))


class _Answer(NamedTuple):
    """What came back; of its body what may be kept, None: there is more, or it cannot be read."""

    head: httpx.Response
    body: bytes | None


def _body(response: httpx.Response) -> bytes | None:
    """Of one that was taken nobody wants any; a refusal that cannot be read is one still."""
    if response.is_success:
        return None
    try:
        return read_body_by(response, ANSWER_BYTES_MAX, clock.awake_s() + TIMEOUT_S)
    except httpx.HTTPError:
        return None


def _asked(client: httpx.Client, method: str, url: str, body: object) -> _Answer:
    """The answer. A redirect is followed where nothing is handed over (GET, HEAD), and not away
    from TLS: a message goes to whom the settings name."""
    try:
        asked = client.build_request(method, url, json=body, headers=PACKED)
        for hop in range(HOPS_MAX + 1):
            with (
                answered_by(clock.awake_s() + TIMEOUT_S),
                contextlib.closing(client.send(asked, stream=True)) as response,
            ):
                following = response.next_request
                if following is None:
                    return _Answer(response, _body(response))
            less_safe = (asked.url.scheme, following.url.scheme) == ("https", "http")
            if method == "POST" or less_safe or hop == HOPS_MAX:
                to = f"{following.url.scheme}://{following.url.host}"
                raise NotNow(f"HTTP {response.status_code}: leads on to {to}, not followed")
            asked = following
        raise AssertionError("the last hop is not followed")
    except (httpx.TimeoutException, httpx.ConnectError) as error:
        raise NotNow(_said(error)) from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Unreached(_said(error)) from None


def _said(error: Exception) -> str:
    return without_secrets(str(error)) or type(error).__name__


def _judge(answer: _Answer) -> None:
    response = answer.head
    if response.is_success:
        return
    said = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    if response.is_client_error and response.status_code not in PASSES:
        raise NeverTaken(said)
    asked_s = _retry_after_s(answer)
    if asked_s is None:
        raise NotNow(said) if response.status_code in PASSES else Unreached(said)
    pause = refusals.cut(asked_s, RETRY_AFTER_S_MAX)
    raise NotNow(f"{said}, {pause.note}" if pause.note else said, pause.seconds)


def _retry_after_s(answer: _Answer) -> float | None:
    """How long it wants to be left alone: the header, or Telegram's field."""
    header = answer.head.headers.get("retry-after", "")
    if header:
        return refusals.retry_after_s(header, clock.wall_ns())
    try:
        said = msgspec.json.decode(answer.body or b"", type=_Refused, strict=False)
        return refusals.believable_s(said.parameters.retry_after)
    except (msgspec.MsgspecError, RecursionError):
        return None


def new_client() -> httpx.Client:
    """Trusts whom the exchanges' are trusted by: the system's authorities."""
    return bound(httpx.Client(timeout=TIMEOUT_S, verify=trust.context()))


def senders(
    settings: AlertSettings, client: httpx.Client | None = None, path: Path = CONFIG
) -> list[Sender]:
    """The targets that the settings in a file name; none is not an error. Raises ConfigError."""
    client = client or new_client()
    found: list[Sender] = []
    if settings.webhook_url:
        found.append(Webhook(settings.webhook_url, client))
    if settings.telegram_token_file:
        token = files.telegram_token(settings, path)
        found.append(Telegram(settings.telegram_api, token, settings.telegram_chat_id, client))
    return found
