"""Evidence of bad bytes is kept, and logged at a rate that no flood can push up."""

from spread_scanner.clock import VirtualClock
from spread_scanner.errors import EVIDENCE_BYTES_MAX, BadMessage, BadQuote
from spread_scanner.feed.evidence import KINDS_MAX, Evidence


def test_one_line_a_minute_per_kind_and_the_count_of_the_others(
    virtual_clock: VirtualClock,
) -> None:
    lines: list[dict[str, object]] = []
    evidence = Evidence(lambda _event, **line: lines.append(line))

    for number in range(100):
        evidence.take(BadMessage(f"not a message: byte {number}"), b"\xff" * 1_000)
    evidence.take(BadQuote("a price that cannot be"), b"{}")
    virtual_clock.advance_ms(60_000)
    evidence.take(BadMessage("not a message: byte 1"), b"last")

    assert [line["kind"] for line in lines] == [
        "BadMessage: not a message",
        "BadQuote: a price that cannot be",
        "BadMessage: not a message",
    ]
    assert [line["more_since"] for line in lines] == [0, 0, 99]
    assert evidence.kept["BadMessage: not a message"] == b"last"


def test_what_is_kept_is_bounded_in_bytes_and_kinds() -> None:
    evidence = Evidence(lambda *_args, **_line: None)

    for number in range(10 * KINDS_MAX):
        evidence.take(BadMessage(f"kind {number}"), b"x" * 10_000)

    assert len(evidence.kept) <= KINDS_MAX + 1
    assert max(map(len, evidence.kept.values())) == EVIDENCE_BYTES_MAX
