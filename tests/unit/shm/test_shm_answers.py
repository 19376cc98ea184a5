"""A process's answer to a reload: read whole or not at all, cut where it does not fit."""

import threading

import pytest

from spread_scanner.schema.enums import ReloadOutcome
from spread_scanner.shm import Control
from spread_scanner.shm.control import TEXT_BYTES
from spread_scanner.shm.layout import ANSWER_COUNT_AT, FIXED_MAX, SLOT_DTYPE, SLOTS_AT


def test_an_answer_is_what_was_said_last(namespace: str) -> None:
    with Control.create(namespace) as control:
        assert control.answer("engine") is None
        with control.claim("engine") as slot:
            assert control.answer("engine") is None
            slot.answer(3, ReloadOutcome.APPLIED, 2**64 - 1)
            slot.answer(4, ReloadOutcome.REFUSED, 7, "no such channel")
            answer = control.answer("engine")
    assert answer is not None
    assert (answer.process, answer.generation, answer.digest) == ("engine", 4, 7)
    assert (answer.outcome, answer.text) == (ReloadOutcome.REFUSED, "no such channel")


@pytest.mark.parametrize("text", ["x" * 1_000, "币" * 200, "a\0b", "\ud800", ""])
def test_any_text_is_kept_as_far_as_it_fits(namespace: str, text: str) -> None:
    with Control.create(namespace) as control, control.claim("engine") as slot:
        slot.answer(1, ReloadOutcome.REFUSED, 0, text)
        answer = control.answer("engine")
    assert answer is not None
    assert len(answer.text.encode()) <= TEXT_BYTES
    assert "\ufffd" not in answer.text
    assert answer.text[:1] == (text.encode(errors="replace").decode() or "")[:1]
    assert answer.text.endswith("...") == (len(text) > 100)


def test_a_reader_has_a_whole_answer_while_one_is_given_after_the_other(namespace: str) -> None:
    with Control.create(namespace) as control, control.claim("engine") as slot:
        over = threading.Event()

        def speak() -> None:
            number = 0
            while not over.is_set():
                number += 1
                text = chr(ord("a") + number % 26) * (number % TEXT_BYTES)
                slot.answer(number, ReloadOutcome.REFUSED, number, text)

        speaker = threading.Thread(target=speak)
        speaker.start()
        try:
            seen = 0
            while seen < 500:
                answer = control.answer("engine")
                if answer is None:
                    continue
                seen += 1
                number = answer.generation
                assert answer.digest == number
                assert answer.text == chr(ord("a") + number % 26) * (number % TEXT_BYTES)
        finally:
            over.set()
            speaker.join()


def test_a_torn_answer_is_none(namespace: str) -> None:
    """What a writer that was killed within the third answer leaves: the second, whole; and bytes
    that fit no checksum are never shown.
    """
    with Control.create(namespace) as control, control.claim("engine") as slot:
        slot.answer(1, ReloadOutcome.APPLIED, 1)
        slot.answer(2, ReloadOutcome.REFUSED, 2, "second")
        row = slot.memory_segment.array(SLOT_DTYPE, SLOTS_AT, (1,))[0]
        row["answers"][1]["text"] = b"half of the th"
        answer = control.answer("engine")
        assert answer is not None
        assert answer.text == "second"
        slot.memory_segment.words.store(SLOTS_AT + ANSWER_COUNT_AT, 3)
        assert control.answer("engine") is None


def test_the_checksums_of_a_life_replace_those_of_the_one_before(namespace: str) -> None:
    with Control.create(namespace) as control:
        assert control.fixed("engine") == [0] * FIXED_MAX
        with control.claim("engine") as slot:
            slot.fix([1, 2**32 - 1, 3])
            slot.fix([5])
            assert control.fixed("engine") == [5] + [0] * (FIXED_MAX - 1)
