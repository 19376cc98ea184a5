"""A busy connection goes half-open, all settings as shipped: what is still signalled of it."""

from half_open import half_open

LEG_S_MAX = 1.3


def test_no_signal_has_a_leg_of_a_half_open_line_older_than_1300_ms(namespace: str) -> None:
    """By the store's stamps. What this process was held up is told, and not the policy's."""
    found = half_open(namespace, per_s=500.0, flow_s=1.5)

    print(found)
    assert found.signals > 100, "nothing was signalled: nothing is shown"
    assert found.oldest_s - found.held_up_s <= LEG_S_MAX, found
    assert 0 < found.silent_s - found.held_up_s <= LEG_S_MAX, found
