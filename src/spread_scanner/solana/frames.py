"""What a transaction ran: each instruction with what it called and what it said, as a tree. Pure.

Nesting is told by the node (stackHeight), by old ones only through the log. A log is a stack of its
own: "Program X invoke [n]" begins what follows, "Program X success" or "failed" ends it. Whatever
stands there belongs to the innermost; a program's words are prefixed, so that nobody can say them
for another. Nodes cut logs at 10,000 bytes: what came after is in the instructions alone.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum

from spread_scanner.errors import BadMessage
from spread_scanner.solana.base58 import decode58
from spread_scanner.solana.wire_transaction import WireInstruction, WireTransaction

# They check signatures before anything runs, and say nothing. How many is their data's first byte.
SIGNATURE_CHECKS = {
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
}
_BEGINS = re.compile(r"Program (\w{32,44}) invoke \[(\d+)\]")
_ENDS = re.compile(r"Program (\w{32,44}) (success|failed: .*)", re.DOTALL)
_LOG, _DATA = "Program log: ", "Program data: "
_CUT = "Log truncated"
HEIGHT_MAX = 64  # no cluster lets instructions call so deep


class LogState(StrEnum):
    """How much of what was said is there."""

    WHOLE = "whole"
    TRUNCATED = "truncated"
    ABSENT = "absent"


class FrameEnd(StrEnum):
    """What became of an instruction, by the log."""

    SUCCESS = "success"
    FAILED = "failed"
    UNTOLD = "untold"


class CallFrame:
    """One instruction while it ran."""

    def __init__(
        self, at: str, program: str, accounts: tuple[str, ...], data: bytes, height: int | None
    ) -> None:
        self.at, self.program, self.accounts, self.data = at, program, accounts, data
        self.height = height
        self.parent: CallFrame | None = None
        self.children: list[CallFrame] = []
        self.logs: list[str] = []
        self.told: list[bytes] = []  # what it said as data: events
        self.end = FrameEnd.UNTOLD

    def account(self, place: int) -> str:
        """Raises BadMessage where the instruction has fewer."""
        if not -len(self.accounts) <= place < len(self.accounts):
            raise BadMessage(
                "an instruction of too few accounts", at=self.at, accounts=len(self.accounts)
            )
        return self.accounts[place]

    def walk(self) -> Iterator["CallFrame"]:
        """It and all that it called, in the order in which they began."""
        yield self
        for child in self.children:
            yield from child.walk()


def frames_of(found: WireTransaction, keys: Sequence[str]) -> tuple[list[CallFrame], LogState]:
    """The instructions of the message, with all that they called, and how much of the log there is.
    Raises BadMessage."""
    outer, flat = [], []
    inner = {
        one.index: one.instructions for one in (found.meta and found.meta.innerInstructions) or ()
    }
    for number, instruction in enumerate(found.transaction.message.instructions):
        frame = _frame(f"{number}", instruction, keys, 1)
        outer.append(frame)
        flat.append(frame)
        flat += [
            _frame(f"{number}.{place}", one, keys, one.stackHeight)
            for place, one in enumerate(inner.get(number, ()))
        ]
    state = _hear(flat, found.meta.logMessages if found.meta else None)
    _nest(flat)
    return outer, state


def _frame(
    at: str, instruction: WireInstruction, keys: Sequence[str], height: int | None
) -> CallFrame:
    places = (instruction.programIdIndex, *instruction.accounts)
    if not all(0 <= place < len(keys) for place in places):
        raise BadMessage("an account that is not in the list", at=at, keys=len(keys))
    program, *accounts = (keys[place] for place in places)
    return CallFrame(at, program, tuple(accounts), decode58(instruction.data), height)


def _hear(flat: list[CallFrame], lines: list[str] | None) -> LogState:
    """Give each frame what it said, and its height where the node did not tell."""
    if lines is None:
        return LogState.ABSENT
    waiting, stack = iter(flat), list[CallFrame | None]()
    next_one = next(waiting, None)
    for line in lines:
        if begins := _BEGINS.fullmatch(line):
            while next_one is not None and next_one.program in SIGNATURE_CHECKS:
                next_one = next(waiting, None)
            frame, height = None, int(begins[2])
            if next_one is not None and _is_it(next_one, begins[1], height):
                frame, next_one = next_one, next(waiting, None)
                frame.height = height
            stack.append(frame)
        elif ends := _ENDS.fullmatch(line):
            ended = stack.pop() if stack else None
            if ended is not None:
                ended.end = FrameEnd.SUCCESS if ends[2] == "success" else FrameEnd.FAILED
        elif line == _CUT:
            return LogState.TRUNCATED
        elif stack and (inmost := stack[-1]) is not None:
            if line.startswith(_LOG):
                inmost.logs.append(line.removeprefix(_LOG))
            elif line.startswith(_DATA):
                inmost.told += _decoded(line.removeprefix(_DATA))
    return LogState.WHOLE


def _is_it(frame: CallFrame, program: str, height: int) -> bool:
    return frame.program == program and frame.height in (None, height)


def _decoded(words: str) -> Iterator[bytes]:
    for word in words.split():
        try:
            yield base64.b64decode(word, validate=True)
        except (binascii.Error, ValueError):
            return


def _nest(flat: list[CallFrame]) -> None:
    """Who called whom; what nobody told the height of is the message's instruction's."""
    above: list[CallFrame] = []
    for frame in flat:
        height = 2 if frame.height is None else frame.height
        if not 1 <= height <= min(len(above) + 1, HEIGHT_MAX):
            raise BadMessage("an instruction that nobody called", at=frame.at, height=height)
        del above[height - 1 :]
        if above:
            frame.parent = above[-1]
            above[-1].children.append(frame)
        above.append(frame)
