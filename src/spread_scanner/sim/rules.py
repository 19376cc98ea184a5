"""What each source allows: limits of a connection and an address, pings, lives, as its rules say.

Read by the dialects, which refuse what is beyond them, and by the server, which ends connections.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """What a source allows one connection. None: no such rule."""

    messages_per_s_max: int | None = None
    topics_max: int | None = None
    args_per_request_max: int | None = None
    args_chars_max: int | None = None
    request_bytes_max: int | None = None
    operations_per_hour_max: int | None = None
    connects_max: int | None = None
    connects_window_s: float = 300.0
    server_ping_s: float | None = None
    pong_s: float | None = None
    client_silence_s: float | None = None  # closed when the client says nothing for so long
    silence_s: float | None = None  # closed when nothing went either way for so long
    unsubscribed_s: float | None = None  # closed when nothing is subscribed for so long
    life_s: float | None = None
    shutdown_notice_s: float | None = None  # how long before the cut it is announced


DAY_S = 86_400.0
RULES: dict[str, Rules] = {
    "binance-spot": Rules(
        messages_per_s_max=5, topics_max=1024, connects_max=300, server_ping_s=20.0, pong_s=60.0,
        life_s=DAY_S, shutdown_notice_s=10.0,
    ),
    "binance-futures": Rules(
        messages_per_s_max=10, topics_max=1024, connects_max=300, server_ping_s=180.0,
        pong_s=600.0, life_s=DAY_S,
    ),
    "bybit-spot": Rules(
        args_per_request_max=10, args_chars_max=21_000, connects_max=500, client_silence_s=600.0
    ),
    "bybit-futures": Rules(args_chars_max=21_000, connects_max=500, client_silence_s=600.0),
    "okx-spot": Rules(
        request_bytes_max=65_536, operations_per_hour_max=480, connects_max=3,
        connects_window_s=1.0, silence_s=30.0,
    ),
    "okx-futures": Rules(
        request_bytes_max=65_536, operations_per_hour_max=480, connects_max=3,
        connects_window_s=1.0, silence_s=30.0,
    ),
    "mexc-spot": Rules(
        messages_per_s_max=100, topics_max=30, silence_s=60.0, unsubscribed_s=30.0, life_s=DAY_S
    ),
    "mexc-futures": Rules(client_silence_s=60.0),
}  # fmt: skip
