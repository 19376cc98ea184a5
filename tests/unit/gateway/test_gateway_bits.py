"""Rows as the bits of a number are what numpy's masks of them were, few or many."""

import numpy as np
import pytest

from spread_scanner.gateway import bits


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65, 500, 3_600])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_bits_are_the_mask(count: int, share: float) -> None:
    random = np.random.default_rng(count)
    mask, other = random.random((2, count)) < share
    rows, others = bits.of_mask(mask), bits.of_mask(other)
    places = np.flatnonzero(mask).tolist()
    assert bits.places(rows) == places
    assert bits.of_places(places) == bits.of_places(places[::-1]) == rows
    for made, meant in (
        (rows, mask),
        (rows | others, mask | other),
        (rows & ~others, mask & ~other),
        (rows ^ others, mask != other),
    ):
        found = bits.mask_of(made, count)
        assert found.dtype == np.bool_
        assert found.tolist() == meant.tolist()
