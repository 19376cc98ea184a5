"""A condition: something that is wrong, or worth a word, by a key that says which.

docs/operating.md has a line for each kind, the part of a key before its colon.
"""

from typing import NamedTuple

STANDS_S = 3.0  # so long before anybody is told: what passes sooner is nothing to wake anybody for


class Condition(NamedTuple):
    """Something a person may want to know. `key` says which: the same key is the same thing."""

    key: str
    text: str
    passing: bool = False  # an event (an opportunity), which has no end to tell
    stands_s: float = STANDS_S
    patient: bool = False  # in no hurry: reminders come once a day or so
    deliberate: bool = False  # somebody wants it so: by a switch, by a setting
    process: str = ""  # whose start makes it for a while


def kind_of(key: str) -> str:
    """What a key is about, whatever of."""
    return key.partition(":")[0]


# By kind; docs/operating.md says more.
WHAT_TO_DO = {
    "down": "see its log; spread-ctl status",
    "hung": "the watchdog ends it; report it if it repeats",
    "degraded": "its message says what fails",
    "limited": "its message says what is missing",
    "failed": "its log says why; of pair-discovery again: spread-ctl discover",
    "stale": "is the exchange well? spread-ctl connections",
    "refused": "spread-ctl pools says why: mend pools.toml, or leave the pool out",
    "halted": "nothing: the exchange has announced it",
    "maintenance": "nothing: the exchange has announced it",
    "implausible": "look at both listings; spread-ctl discover judges anew",
    "blocked": "look at both listings; spread-ctl discover judges anew",
    "quarantine": "alias, multiplier, a wider band or deny: see validation_report.txt",
    "usual": "its log says what the disk refuses",
    "learning": "are quotes fresh? spread-ctl sources; is basis_trust_s within reach?",
    "old": "does cron or the timer run? spread-ctl discover",
    "away": "spread-ctl discover; enabled = false where it is blocked for good",
    "room": "set the max_symbols that it names, restart",
    "funding": "does cron or the timer run? its log says what the exchange answers",
    "mixed": "mend what it names, spread-ctl reload",
    "version": "restart to take the installed one",
    "switched": "spread-ctl allow, resume, or leave it",
    "clock": "run chrony; restart when convenient",
    "disk": "make room",
    "filling": "make room, or lower samples_keep_days",
    "wal": "end the program that reads tracker.db",
    "database": "spread-ctl vacuum; the log of who writes it says why nothing is deleted",
}
