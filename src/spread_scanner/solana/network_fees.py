"""What the network takes for a transaction, in lamports. Pure."""

SIGNATURE_LAMPORTS = 5_000
MICRO = 1_000_000


def priority_lamports(price: int, units: int) -> int:
    """For so many compute units at `price` micro-lamports each, rounded up."""
    return -(-price * units // MICRO)
