"""What tests of every room share: shared-memory namespaces that leave nothing behind."""

import itertools
import os
from collections.abc import Iterator

import pytest

from spread_scanner.shm import segment

_numbers = itertools.count()


@pytest.fixture
def namespace() -> Iterator[str]:
    """A shared-memory namespace of this test alone; what stands in it afterwards is removed."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    yield name
    for left in segment.names(name):
        segment.remove(left)
