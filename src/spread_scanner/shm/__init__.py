"""Bytes in memory and the ways to share them safely: store, bitmaps, ring, health, control."""

from spread_scanner.shm.control import Control
from spread_scanner.shm.health import Health
from spread_scanner.shm.price_store import PriceStore
from spread_scanner.shm.ring import SignalRing

__all__ = ["Control", "Health", "PriceStore", "SignalRing"]
