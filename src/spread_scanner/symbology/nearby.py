"""What a word that names nothing may have been meant for. Used by whoever refuses one."""

from collections.abc import Iterable

NAMED_MAX = 5


def nearby(word: str, names: Iterable[str]) -> str:
    """A few of the names, for a message: what is spelled with the same letters and digits, as an
    exchange writes BTCUSDT, or else what begins as the word does."""
    meant, head = _letters(word), _letters(word.partition("-")[0])
    ordered = sorted(names)
    found = [name for name in ordered if _letters(name) == meant]
    found = found or [name for name in ordered if _letters(name).startswith(head)]
    return ", ".join(found[:NAMED_MAX]) or "none"


def _letters(word: str) -> str:
    return "".join(filter(str.isalnum, word)).upper()
