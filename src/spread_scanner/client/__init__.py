"""Asking a gateway from Python, from any machine that reaches it.

    from spread_scanner.client import SpreadClient

asking   what both clients share: the calls, what is made of the answers, where the gateway is
blocking SpreadClient: each call waits for its answer
awaited  AsyncSpreadClient: the same calls, awaited
jupiter  JupiterClient: quotes of Jupiter, for when the gateway is away or has no route
mixed    what the gateway has at once, and Jupiter's as they come
"""

from spread_scanner.client.awaited import AsyncSpreadClient
from spread_scanner.client.blocking import SpreadClient
from spread_scanner.client.jupiter import JupiterClient, JupiterQuote
from spread_scanner.client.mixed import JupiterCycle, MixedFind, mixed

__all__ = [
    "AsyncSpreadClient",
    "JupiterClient",
    "JupiterCycle",
    "JupiterQuote",
    "MixedFind",
    "SpreadClient",
    "mixed",
]
