"""Base58 of any length: instruction data is written so. Keys, of one length, are `keys.raw`."""

from spread_scanner.errors import BadMessage

_LETTERS = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {letter: digit for digit, letter in enumerate(_LETTERS)}
_POWERS = [58**count for count in range(11)]
_CHUNK = 10  # digits that are put together in a small number before the large one is touched
LETTERS_MAX = 4_096  # more than any transaction has room for: it grows with the square


def decode58(text: str) -> bytes:
    """The bytes; each leading 1 is a byte of zero. Raises BadMessage."""
    if len(text) > LETTERS_MAX:
        raise BadMessage("base58 of no transaction", letters=len(text), allowed=LETTERS_MAX)
    number = 0
    try:
        for at in range(0, len(text), _CHUNK):
            chunk, small = text[at : at + _CHUNK].encode(), 0
            for letter in chunk:
                small = small * 58 + _DIGITS[letter]
            number = number * _POWERS[len(chunk)] + small
    except (KeyError, IndexError, UnicodeEncodeError):
        raise BadMessage("no base58", text=text[:_CHUNK]) from None
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
