"""The judge of freshness and its C twin say the same; costs that cannot be are none."""

import ctypes
import math
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spread_scanner.schema import costs, freshness
from spread_scanner.schema.books import BOOK_DTYPE, BookFlag
from spread_scanner.schema.enums import UNUSABLE, QuoteFlag
from spread_scanner.schema.funding import as_noted, carry_inputs
from spread_scanner.schema.records import QUOTE_DTYPE

NATIVE = Path(freshness.__file__).parent / "native"
SOURCE = """
#include "freshness.h"
int usable(const ss_quote *q, int beats, int64_t now, int64_t stale) {
    return ss_usable(q, beats, 0, now, stale);
}
int only_jumped(const ss_quote *q, int beats, int64_t now, int64_t stale) {
    return ss_only_jumped(q, beats, 0, now, stale);
}
int skewed(const ss_quote *s, const ss_quote *f, int64_t most) { return ss_skewed(s, f, most); }
int book_usable(const ss_book_record *book, int beats, int64_t now, int64_t stale) {
    return ss_book_usable(book, beats, now, stale);
}
int beats(int64_t beat, int64_t now, int64_t woke, int64_t most) {
    return ss_beats(beat, now, woke, most);
}
int plausible(double gross, double most) { return ss_plausible(gross, most); }
int alone(double px, double *others, uint32_t count, double most) {
    return ss_alone(px, others, count, most);
}
"""
NOW_NS = 1_700_000_000_000_000_000
LIMIT_NS = 2_000_000_000
# Around each limit, and far from it.
AGES_NS = st.one_of(
    st.sampled_from([0, -1, LIMIT_NS - 1, LIMIT_NS, LIMIT_NS + 1, NOW_NS]),
    st.integers(-LIMIT_NS, 3 * LIMIT_NS),
)
FLAGS = st.one_of(
    st.sampled_from([0, *map(int, QuoteFlag)]),
    st.integers(0, 2**32 - 1),
)
SPREADS = st.one_of(
    st.sampled_from([1_000.0, math.nextafter(1_000.0, 2_000.0), -1_000.0, math.nan, math.inf]),
    st.floats(allow_nan=True),
)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("twin")
    (folder / "twin.c").write_text(SOURCE)
    subprocess.run(
        ["cc", "-shared", "-fPIC", f"-I{NATIVE}", "-o", folder / "twin.so", folder / "twin.c"],
        check=True,
    )
    library = ctypes.CDLL(str(folder / "twin.so"))
    whole = ctypes.c_int64
    library.usable.argtypes = [ctypes.c_char_p, ctypes.c_int, whole, whole]
    library.only_jumped.argtypes = library.book_usable.argtypes = library.usable.argtypes
    library.skewed.argtypes = [ctypes.c_char_p, ctypes.c_char_p, whole]
    library.beats.argtypes = [whole] * 4
    library.plausible.argtypes = [ctypes.c_double] * 2
    many = ctypes.POINTER(ctypes.c_double)
    library.alone.argtypes = [ctypes.c_double, many, ctypes.c_uint32, ctypes.c_double]
    return library


def quote(age_ns: int, flags: int) -> np.ndarray:
    made = np.zeros(1, QUOTE_DTYPE)
    made["ts_recv"], made["flags"] = NOW_NS - age_ns, flags
    return made


@given(AGES_NS, FLAGS, st.booleans())
@example(LIMIT_NS, 0, True)
@example(LIMIT_NS + 1, 0, True)
@example(0, int(BookFlag.TOP_DISAGREES | BookFlag.PARTIAL), True)
@example(0, int(BookFlag.DEPLETED), True)
def test_the_judge_and_its_twin_agree_on_a_book(
    twin: ctypes.CDLL, age_ns: int, flags: int, beating: bool
) -> None:
    made = np.zeros(1, BOOK_DTYPE)
    made["ts_recv"], made["flags"] = NOW_NS - age_ns, flags
    said = twin.book_usable(made.tobytes(), beating, NOW_NS, LIMIT_NS)
    (right,) = freshness.book_usable(made, beating, NOW_NS, LIMIT_NS)
    assert bool(said) == right


@given(AGES_NS, FLAGS, AGES_NS, FLAGS, st.booleans())
@example(LIMIT_NS, 0, 0, 0, True)
@example(LIMIT_NS + 1, 0, 0, 0, True)
@example(0, int(QuoteFlag.JUMPED), 0, 0, True)
@example(LIMIT_NS, int(QuoteFlag.JUMPED), 0, 0, True)
@example(LIMIT_NS + 1, int(QuoteFlag.JUMPED), 0, 0, True)
@example(0, int(QuoteFlag.JUMPED), 0, 0, False)
@example(0, int(QuoteFlag.JUMPED | QuoteFlag.CROSSED), 0, 0, True)
@example(0, int(QuoteFlag.JUMPED | QuoteFlag.OVERDUE), 0, 0, True)
@example(LIMIT_NS + 1, int(QuoteFlag.OVERDUE), 0, 0, True)
@example(LIMIT_NS, int(QuoteFlag.OVERDUE), 0, 0, True)
@example(LIMIT_NS + 1, 0, 0, int(QuoteFlag.OVERDUE), True)
def test_both_judge_a_leg_and_two_legs_alike(
    twin: ctypes.CDLL, age_ns: int, flags: int, other_ns: int, others: int, beating: bool
) -> None:
    spot, futures = quote(age_ns, flags), quote(other_ns, others)
    said = bool(freshness.usable(spot, beating, NOW_NS, LIMIT_NS)[0])
    assert said == bool(twin.usable(spot.tobytes(), beating, NOW_NS, LIMIT_NS))
    assert said == (beating and not flags & UNUSABLE and age_ns <= LIMIT_NS)
    assert said == freshness.usable_one(flags, NOW_NS - age_ns, beating, NOW_NS, LIMIT_NS)
    jumped = bool(freshness.only_jumped(spot, beating, NOW_NS, LIMIT_NS)[0])
    assert jumped == bool(twin.only_jumped(spot.tobytes(), beating, NOW_NS, LIMIT_NS))
    assert jumped == (beating and flags & UNUSABLE == int(QuoteFlag.JUMPED) and age_ns <= LIMIT_NS)
    apart = bool(freshness.skewed(spot, futures, LIMIT_NS)[0])
    assert apart == bool(twin.skewed(spot.tobytes(), futures.tobytes(), LIMIT_NS))


@given(AGES_NS, AGES_NS)
@example(LIMIT_NS, 0)
@example(LIMIT_NS + 1, 0)
@example(5, 5)
@example(NOW_NS, NOW_NS)
def test_both_judge_a_heartbeat_alike(twin: ctypes.CDLL, age_ns: int, woke_ago_ns: int) -> None:
    given_ = (NOW_NS - age_ns, NOW_NS, NOW_NS - woke_ago_ns, LIMIT_NS)
    said = freshness.beats(*given_)
    assert said == bool(twin.beats(*given_))
    assert said == (given_[0] > 0 and age_ns <= min(LIMIT_NS, woke_ago_ns))


@given(SPREADS)
@example(1_000.0)
@example(-1_000.0)
@example(math.nan)
def test_both_judge_a_spread_alike(twin: ctypes.CDLL, gross: float) -> None:
    said = bool(freshness.plausible(np.array([gross]), 1_000.0)[0])
    assert said == bool(twin.plausible(gross, 1_000.0)) == (abs(gross) <= 1_000.0)


PRICES = st.one_of(
    st.sampled_from([100.0, 101.0, math.nextafter(101.0, 200.0), 99.0, 110.0, 1e9]),
    st.floats(1e-9, 1e9),
)


@given(
    st.lists(
        st.tuples(PRICES, st.booleans(), st.sampled_from([-1, 0, 0, 0, 2])), min_size=8, max_size=8
    )
)
@example([(110.0, True, 0), *[(100.0, True, 0)] * 3, *[(100.0, False, 0)] * 4])
@example([(110.0, True, 0), *[(100.0, True, 0)] * 2, *[(100.0, True, 2)] * 5])
@example([(101.0, True, 0), (99.0, True, 0), (100.0, True, 0), *[(101.0, True, 0)] * 5])
def test_both_find_the_same_legs_alone(
    twin: ctypes.CDLL, quoted: list[tuple[float, bool, int]]
) -> None:
    px = np.array([[px if usable else math.nan] for px, usable, _ in quoted])
    coins = np.array([[coin] for *_, coin in quoted])
    found = freshness.alone(px, coins, 100.0)[:, 0].tolist()
    for leg, (mid, usable, coin) in enumerate(quoted):
        others = [
            row[0]
            for number, row in enumerate(quoted)
            if row[1] and row[2] == coin >= 0 and number != leg
        ]
        row = (ctypes.c_double * 8)(*others)
        assert found[leg] == (usable and bool(twin.alone(mid, row, len(others), 100.0)))
        if len(others) >= 3:
            median = float(np.median(others))
            assert found[leg] == (usable and not abs((mid - median) / median * 1e4) <= 100.0)
        else:
            assert not found[leg]


@pytest.mark.parametrize(
    ("rate", "hours", "expected"),
    [
        (0.0001, 8.0, -1.0),
        (-0.0001, 4.0, 2.0),
        (-0.0001, 6.0, 2.0),  # no settlement is told: as many as can be
        (0.05, 8.0, -500.0),
        (0.0501, 8.0, None),
        (5.0, 8.0, None),
        (math.nan, 8.0, None),
        (math.inf, 8.0, None),
        (0.0001, None, None),
        (0.0001, 0.0, None),
        (0.0001, -8.0, None),
        (0.0001, math.nan, None),
        (0.0001, 48.0, None),
    ],
)
def test_funding_that_cannot_be_is_not_known(
    rate: float, hours: float | None, expected: float | None
) -> None:
    row = as_noted(rate, hours, NOW_NS, listing=1)
    found = costs.expected_carry(carry_inputs(row, NOW_NS, 8.0, 1), credit=True)
    assert found.rate_known is (expected is not None)
    most = 500.0  # the most that is ever charged, once in eight hours
    assert found.carry_bps == pytest.approx(most if expected is None else expected)


def test_each_leg_of_many_is_judged_by_itself() -> None:
    legs = np.concatenate([quote(0, 0), quote(LIMIT_NS + 1, 0), quote(0, 0)])
    beating = np.array([True, True, False])
    assert freshness.usable(legs, beating, NOW_NS, LIMIT_NS).tolist() == [True, False, False]
