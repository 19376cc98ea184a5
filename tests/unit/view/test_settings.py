"""The settings as they are shown."""

from typing import Any

import msgspec

from spread_scanner import config
from spread_scanner.view import settings


def test_no_secret_is_shown_and_all_else_is(bed: Any) -> None:
    environ = {
        "SPREAD_ALERTS__WEBHOOK_URL": "https://hooks.example.org/services/T0/SECRET?key=SECRET",
        "SPREAD_EXCHANGES__OKX_SPOT__PROXY": "http://user:SECRET@proxy.example.org:8080",
        "SPREAD_EXCHANGES__OKX_SPOT__WS_URL": "wss://example.org/ws?token=SECRET",
        "SPREAD_EXCHANGES__BYBIT_SPOT__WS_URL": "ws://127.0.0.1:1/v5/public",
    }
    shown = settings.read(config.load(bed.settings.folder, environ))
    assert "SECRET" not in msgspec.json.encode(shown).decode()
    assert shown.config["spread-alerts"]["webhook_url"] == "https://hooks.example.org/***"
    assert shown.exchanges["okx-spot"]["proxy"] == "http://***@proxy.example.org:8080"
    assert shown.exchanges["okx-spot"]["ws_url"] == "wss://example.org/ws?***"
    assert shown.exchanges["bybit-spot"]["ws_url"] == "ws://127.0.0.1:1/v5/public"
    assert shown.config["system"]["max_symbols"] == 64
