"""Keys of a pretend Solana: base58, and addresses that a program derives from seeds.

Written a second time, from the documentation: what the product derives by its library has to be
what is found here.
"""

from hashlib import sha256

_LETTERS = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_P = 2**255 - 19
_D = -121_665 * pow(121_666, -1, _P) % _P


def text(raw: bytes) -> str:
    """Base58."""
    number, letters = int.from_bytes(raw), ""
    while number:
        number, digit = divmod(number, 58)
        letters = _LETTERS[digit] + letters
    return _LETTERS[0] * (len(raw) - len(raw.lstrip(b"\0"))) + letters


def raw(key: str) -> bytes:
    """The 32 bytes of a key."""
    number = 0
    for letter in key:
        number = number * 58 + _LETTERS.index(letter)
    return number.to_bytes(32)


def named(*names: object) -> str:
    """A key that stands for a name, always the same."""
    return text(sha256(" ".join(map(str, names)).encode()).digest())


def derived(seeds: list[bytes], program: str) -> str:
    """The first address, by falling bumps, that is no point of the curve."""
    for bump in range(255, -1, -1):
        parts = (*seeds, bytes([bump]), raw(program), b"ProgramDerivedAddress")
        found = sha256(b"".join(parts)).digest()
        if not _on_curve(found):
            return text(found)
    raise ValueError("no address")


def _on_curve(point: bytes) -> bool:
    """Whether 32 bytes are a point of ed25519: whether x squared = (y^2 - 1) / (d y^2 + 1) has a
    root."""
    y = int.from_bytes(point, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    return square == 0 or pow(square, (_P - 1) // 2, _P) == 1
