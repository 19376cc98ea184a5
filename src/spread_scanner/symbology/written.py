"""A symbol, or a part of one, however a person or a bot writes it. Used by whoever is asked."""


def symbol_as(written: str) -> str:
    """As the tables have it: BTC-USDT for btc/usdt."""
    return written.strip("/").upper().replace("/", "-")
