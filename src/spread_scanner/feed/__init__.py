"""Feeds: from one source's websockets into the price store; one process per source."""
