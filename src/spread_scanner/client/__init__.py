"""Asking a gateway from Python, from any machine that reaches it.

    from spread_scanner.client import SpreadClient

asking   what both clients share: the calls, what is made of the answers, where the gateway is
blocking SpreadClient: each call waits for its answer
awaited  AsyncSpreadClient: the same calls, awaited
"""

from spread_scanner.client.awaited import AsyncSpreadClient
from spread_scanner.client.blocking import SpreadClient

__all__ = ["AsyncSpreadClient", "SpreadClient"]
