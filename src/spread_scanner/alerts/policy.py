"""Alerts: who is told, how often, and through what.

Conditions come from alerts.conditions; this decides what is worth sending and sends it, to a
webhook (JSON) and to Telegram. The same condition is not repeated within `repeat_s_min` while it
lasts, its end is told once, and at most `per_minute_max` messages leave in a minute: what is held
back is summed up in the next. A target that cannot be reached is counted and tried again with
growing pauses; meanwhile the newest messages wait, a bounded number of them.
"""

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import httpx

from spread_scanner import clock
from spread_scanner.clock import NS_PER_S
from spread_scanner.config import Alerts as AlertSettings
from spread_scanner.errors import ConfigError
from spread_scanner.runtime.logs import without_secrets

WAITING_MAX = 200
RETRY_S_MIN = 1.0
RETRY_S_MAX = 60.0
TIMEOUT_S = 5.0


class Condition(NamedTuple):
    """Something a person may want to know. `key` says which: the same key is the same thing."""

    key: str
    text: str
    passing: bool = False  # an event (an opportunity), which has no end to tell


class Message(NamedTuple):
    """What leaves: `event` is "raised", "cleared", "event" or "summary"."""

    event: str
    key: str
    text: str
    wall_ns: int


class Sender(Protocol):
    """A target. `send` raises httpx.HTTPError when it was not delivered."""

    name: str

    def send(self, message: Message) -> None: ...


class Webhook:
    """POSTs each message as a JSON object with the fields of Message."""

    name = "webhook"

    def __init__(self, url: str, client: httpx.Client) -> None:
        self._url = url
        self._client = client

    def send(self, message: Message) -> None:
        self._client.post(self._url, json=message._asdict()).raise_for_status()


class Telegram:
    """Sends each message as a chat text. The token stands in a file, never in the settings."""

    name = "telegram"

    def __init__(self, api: str, token: str, chat_id: str, client: httpx.Client) -> None:
        self._url = f"{api}/bot{token}/sendMessage"
        self._chat_id = chat_id
        self._client = client

    def send(self, message: Message) -> None:
        text = f"{message.event}: {message.text}"
        body = {"chat_id": self._chat_id, "text": text, "disable_notification": False}
        self._client.post(self._url, json=body).raise_for_status()


def senders(settings: AlertSettings, client: httpx.Client | None = None) -> list[Sender]:
    """The targets that the settings name; none is not an error."""
    client = client or httpx.Client(timeout=TIMEOUT_S)
    found: list[Sender] = []
    if settings.webhook_url:
        found.append(Webhook(settings.webhook_url, client))
    if settings.telegram_token_file:
        try:
            token = Path(settings.telegram_token_file).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            raise ConfigError(
                "the Telegram token cannot be read",
                key="spread-alerts.telegram_token_file",
                file=settings.telegram_token_file,
                reason=error.strerror if isinstance(error, OSError) else "not text",
            ) from None
        found.append(Telegram(settings.telegram_api, token, settings.telegram_chat_id, client))
    return found


class Desk:
    """Decides what is worth saying. Pure but for its clock: `update` returns what to send."""

    def __init__(self, settings: AlertSettings) -> None:
        self.settings = settings
        self._said_ns: dict[str, int] = {}  # when each lasting condition was last told
        self._texts: dict[str, str] = {}
        self._sent_ns: deque[int] = deque()
        self._held = 0
        self.held_back = 0  # in all

    def update(self, conditions: Iterable[Condition]) -> list[Message]:
        """Take the conditions that hold now (and events since the last call): what to send."""
        now_ns = clock.mono_ns()
        wanted: list[Message] = []
        present = list(conditions)
        for condition in present:
            if condition.passing:
                wanted.append(self._message("event", condition.key, condition.text))
            elif self._due(condition.key, now_ns):
                self._said_ns[condition.key] = now_ns
                self._texts[condition.key] = condition.text
                wanted.append(self._message("raised", condition.key, condition.text))
        lasting = {condition.key for condition in present if not condition.passing}
        for key in sorted(set(self._said_ns) - lasting):
            del self._said_ns[key]
            wanted.append(self._message("cleared", key, self._texts.pop(key)))
        return self._within_limit(wanted, now_ns)

    def _due(self, key: str, now_ns: int) -> bool:
        said_ns = self._said_ns.get(key)
        return said_ns is None or now_ns - said_ns >= self.settings.repeat_s_min * NS_PER_S

    def _within_limit(self, wanted: list[Message], now_ns: int) -> list[Message]:
        while self._sent_ns and now_ns - self._sent_ns[0] >= 60 * NS_PER_S:
            self._sent_ns.popleft()
        room = self.settings.per_minute_max - len(self._sent_ns)
        if self._held and room > 0:
            text = f"{self._held} more alerts were held back"
            wanted.insert(0, self._message("summary", "held", text))
            self._held = 0
        sent, held = wanted[: max(room, 0)], wanted[max(room, 0) :]
        self._held += len(held)
        self.held_back += len(held)
        self._sent_ns.extend(now_ns for _ in sent)
        return sent

    def _message(self, event: str, key: str, text: str) -> Message:
        return Message(event, key, text, clock.wall_ns())


def _said(error: httpx.HTTPError) -> str:
    """What went wrong, without the address: it may hold a bot's token or a webhook's key."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code} {error.response.reason_phrase}"
    return without_secrets(str(error)) or type(error).__name__


class Outbox:
    """Messages waiting for one target; a target that fails is tried again with growing pauses."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._waiting: deque[Message] = deque()
        self._next_try_ns = 0
        self._pause_s = RETRY_S_MIN
        self.sent = 0
        self.failures = 0
        self.dropped = 0
        self.failing = False
        self.last_error = ""

    @property
    def name(self) -> str:
        return self._sender.name

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def put(self, messages: Iterable[Message]) -> None:
        for message in messages:
            if len(self._waiting) >= WAITING_MAX:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(message)

    def flush(self) -> None:
        """Send what waits, in order, until it is empty or the target fails."""
        if clock.mono_ns() < self._next_try_ns:
            return
        while self._waiting:
            try:
                self._sender.send(self._waiting[0])
            except httpx.HTTPError as error:
                self.failures += 1
                self.failing = True
                self.last_error = _said(error)
                self._next_try_ns = clock.mono_ns() + int(self._pause_s * NS_PER_S)
                self._pause_s = min(2 * self._pause_s, RETRY_S_MAX)
                return
            self._waiting.popleft()
            self.sent += 1
            self.failing = False
            self._pause_s = RETRY_S_MIN
