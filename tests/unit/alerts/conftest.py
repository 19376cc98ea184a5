"""What the tests of the alerts share."""

from collections.abc import Iterator

import pytest
from alerts_bed import Target


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()
