"""Watches spot-to-perpetual spreads across exchanges, in shared memory."""

__version__ = "0.1.0"
