"""What is held of each account that is heard, and whether it can be stood behind. Pure.

An account is covered by a provider that has told what stood after its subscription did: whatever is
written later is told. The first by slot wins, from whichever provider. What a provider tells for an
earlier slot than its own last word on an account is a fork taken back; from anybody else, and where
a seed stands, it is old. Two that differ for one slot are believed neither until a seed has come.
Where whoever told what is held is lost, it is believed on the word of another that has said the
same last; where nobody has, it may be of a fork that is taken back, which nobody would tell: then
it is stale until a seed.
"""

from collections.abc import Iterable, Mapping
from enum import Enum

from msgspec import Struct

Account = tuple[str, bytes]  # who owns it, and its bytes


class AccountTaking(Enum):
    """What became of something that was told."""

    TAKEN = "newer than what was held"
    REPEATED = "held already"
    OLD = "older than what is held"
    ROLLED_BACK = "older, from the provider that had told the newer: a fork is taken back"
    CONFLICT = "other bytes for the same slot: neither is believed"
    UNHEARD = "of no account that is wanted, or no connection that stands"


class HeldAccount(Struct):
    """One account as it was told last, and by whom."""

    account: Account
    slot: int
    provider: str
    life: int
    by_seed: bool


class _Heard:
    """An account that is wanted."""

    def __init__(self) -> None:
        self.held: HeldAccount | None = None
        self.covered_by: set[str] = set()
        self.said_by: set[str] = set()  # whose last word on it is what is held
        self.seed_slot_min = 0

    def hold(self, account: HeldAccount) -> None:
        if self.held is None or self.held.account != account.account:
            self.said_by.clear()
        self.held = account

    def said(self, account: Account, provider: str) -> None:
        """A provider's last word on it."""
        same = self.held is not None and account == self.held.account
        (self.said_by.add if same else self.said_by.discard)(provider)


class HeldAccounts:
    """All accounts that are wanted, over the lives of the providers' subscriptions."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self._lives: dict[str, int] = {}  # of the providers that are connected
        self._lives_begun = 0
        self.doubted: set[str] = set()  # believed no more: to be asked for at once

    def want(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._heard.setdefault(key, _Heard())

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._heard.pop(key, None)
            self.doubted.discard(key)

    def connected(self, provider: str) -> None:
        """A new connection, on which everything is subscribed anew: it covers nothing yet."""
        self.lost(provider)
        self._lives_begun += 1
        self._lives[provider] = self._lives_begun

    def lost(self, provider: str) -> None:
        """What it alone covered is stale until it is seeded anew."""
        life = self._lives.pop(provider, None)
        for heard in self._heard.values():
            heard.covered_by.discard(provider)
            heard.said_by.discard(provider)
            held = heard.held
            if held is not None and (held.provider, held.life) == (provider, life):
                self._pass_on(heard, held)

    def _pass_on(self, heard: _Heard, held: HeldAccount) -> None:
        """Who told what is held is lost."""
        if heard.said_by:
            held.provider = min(heard.said_by)
            held.life = self._lives[held.provider]
        else:
            heard.covered_by.clear()

    def get(self, key: str) -> HeldAccount | None:
        """What is held, whether it is covered or not."""
        heard = self._heard.get(key)
        return heard.held if heard is not None else None

    def covered_by(self, key: str) -> set[str]:
        """The providers by whom it can be stood behind; none: it is stale."""
        heard = self._heard.get(key)
        return heard.covered_by if heard is not None and heard.held is not None else set()

    def covered(self, keys: Iterable[str]) -> dict[str, Account]:
        """Those of them that can be stood behind, as they are held."""
        found = {}
        for key in keys:
            heard = self._heard.get(key)
            if heard is not None and heard.held is not None and heard.covered_by:
                found[key] = heard.held.account
        return found

    def judged(self, key: str, slot: int, account: Account, provider: str) -> AccountTaking:
        """What `take` will make of it."""
        if key not in self._heard or provider not in self._lives:
            return AccountTaking.UNHEARD
        held = self._heard[key].held
        if held is None or slot > held.slot:
            return AccountTaking.TAKEN
        if slot == held.slot:
            same = account == held.account
            return AccountTaking.REPEATED if same else AccountTaking.CONFLICT
        own = (held.provider, held.life) == (provider, self._lives[provider])
        return AccountTaking.ROLLED_BACK if own and not held.by_seed else AccountTaking.OLD

    def take(self, key: str, slot: int, account: Account, provider: str) -> AccountTaking:
        taking = self.judged(key, slot, account, provider)
        if taking is AccountTaking.UNHEARD:
            return taking
        heard = self._heard[key]
        if taking is AccountTaking.CONFLICT:
            self.doubt(key, slot)
        elif taking in (AccountTaking.TAKEN, AccountTaking.ROLLED_BACK):
            life = self._lives[provider]
            heard.hold(HeldAccount(account, slot, provider, life, False))
        heard.said(account, provider)
        return taking

    def doubt(self, key: str, slot: int) -> None:
        """Nothing is held of it until a seed of this slot or a later one has come."""
        heard = self._heard[key]
        heard.held = None
        heard.covered_by.clear()
        heard.said_by.clear()
        heard.seed_slot_min = max(heard.seed_slot_min, slot)
        self.doubted.add(key)

    def uncovered(self, key: str, provider: str) -> None:
        """This provider told something that was not taken: it is to be seeded anew."""
        heard = self._heard.get(key)
        if heard is not None:
            heard.covered_by.discard(provider)

    def disbelieve_after(self, slot: int) -> bool:
        """Nothing was written later than that: what was told so is held no more, and is not waited
        for. Whether there was any."""
        gone = [
            key
            for key, heard in self._heard.items()
            if heard.seed_slot_min > slot or (heard.held is not None and heard.held.slot > slot)
        ]
        for key in gone:
            self._heard[key].seed_slot_min = 0
            self.doubt(key, 0)
        return bool(gone)

    def seed(self, provider: str, slot: int, accounts: Mapping[str, Account]) -> list[str]:
        """What stood at the end of a slot, asked for when this provider's subscriptions stood.

        Those that are covered by it from now on; the others have to be asked for again.
        """
        if provider not in self._lives:
            return []
        return [
            key
            for key, account in accounts.items()
            if key in self._heard and self._seed_one(provider, slot, key, account)
        ]

    def _seed_one(self, provider: str, slot: int, key: str, account: Account) -> bool:
        heard = self._heard[key]
        held = heard.held
        if slot < heard.seed_slot_min:
            return False
        if held is not None and held.slot > slot:
            # Told since, if by a connection that would have told us were it taken back.
            if self._lives.get(held.provider) != held.life:
                return False
        elif held is not None and held.slot == slot and heard.covered_by:
            if held.account != account:
                self.doubt(key, slot)
                return False
        else:
            heard.hold(HeldAccount(account, slot, provider, self._lives[provider], True))
        heard.said(account, provider)
        heard.covered_by.add(provider)
        self.doubted.discard(key)
        return True

    def unseeded(self, provider: str) -> list[str]:
        """The accounts that this provider does not cover."""
        return [key for key, heard in self._heard.items() if provider not in heard.covered_by]

    def seed_slot_min(self, keys: Iterable[str]) -> int:
        """The earliest slot of which a seed of all these would be taken."""
        return max((self._slot_min(self._heard[key]) for key in keys), default=0)

    def _slot_min(self, heard: _Heard) -> int:
        held = heard.held
        if held is None or self._lives.get(held.provider) == held.life:
            return heard.seed_slot_min
        return max(heard.seed_slot_min, held.slot)
