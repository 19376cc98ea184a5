"""How a mend is undone for a while: one attribute of the product replaced."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def put(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Another attribute, until left."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
