"""Raydium CPMM: a constant product over two vaults, less what is owed to protocol, fund and
creator. Pure.

Checked: decoding on one mainnet account, quotes without a creator fee against the mainnet binary of
2024, whose exact-out rounding of tiny amounts was another; a recorded swap of October 2026 with
fees on both legs and a creator fee on the output. From the source alone: a creator fee on the
input, and every exact-out with one.
"""

from struct import Struct as Layout

from msgspec import Struct

from spread_scanner.solana import keys
from spread_scanner.solana._kept import KeptBytes
from spread_scanner.solana.constant_product import ConstantProductPool
from spread_scanner.solana.layout import checked, u16, u64
from spread_scanner.solana.pool import (
    RATE_ALL,
    Accounts,
    Filled,
    PoolSight,
    account_of,
    mint_of,
    remembered,
    vault_of,
)
from spread_scanner.solana.refusal import PoolReason, PoolRefusal
from spread_scanner.solana.tokens import TokenBalance, TokenMint

POOL_BYTES, POOL_KIND = 637, bytes.fromhex("f7ede3f5d7c3de46")
CONFIG_BYTES, CONFIG_KIND = 236, bytes.fromhex("daf42168cbcb2b6f")
_SWAP_DISABLED = 1 << 2
# Keys from 8 on; status, decimals, supply, when it opens, where the creator's fee is on; beside it
# what is owed to protocol and fund, and to the creator.
_POOL = Layout("<32s32x32s32s32s32s32s32s32s32sxBx2BQ32xQ8x2B")
_POOL_AT = 8
_OWED, _OWED_AT = Layout("<4Q24x2Q"), 341
# But for what is owed, and the epoch of the last swap.
KEPT = KeptBytes((0, _OWED_AT), (373, 381), (389, 397), (413, None))
# Which token the creator's fee is taken from: the input's, whatever it is; or always this one.
_CREATOR_BOTH, _CREATOR_TOKEN0, _CREATOR_TOKEN1 = 0, 1, 2


class CpmmState(Struct, frozen=True):
    """The pool's account. Its reserves are in the vaults, with what is owed to others."""

    amm_config: str
    vaults: tuple[str, str]
    lp_mint: str
    mints: tuple[str, str]
    token_programs: tuple[str, str]
    observation: str
    status: int
    decimals: tuple[int, int]
    lp_supply: int
    owed: tuple[int, int]  # protocol, fund and creator fees that are in the vaults still
    open_time_s: int
    creator_fee_on: int
    creator_fee_enabled: bool


class CpmmConfig(Struct, frozen=True):
    """A tier of fees, in parts of a million; protocol's and fund's are parts of the trade fee."""

    index: int
    trade_fee_rate: int
    protocol_fee_rate: int
    fund_fee_rate: int
    creator_fee_rate: int


def decode(data: bytes) -> CpmmState | CpmmConfig:
    if data.startswith(CONFIG_KIND):
        return _config(data)
    checked(data, "CPMM PoolState", length=POOL_BYTES, kind=POOL_KIND)
    (
        config,
        vault0,
        vault1,
        lp_mint,
        mint0,
        mint1,
        program0,
        program1,
        observation,
        status,
        decimals0,
        decimals1,
        lp_supply,
        open_time_s,
        creator_fee_on,
        creator_fee_enabled,
    ) = _POOL.unpack_from(data, _POOL_AT)
    if creator_fee_on > _CREATOR_TOKEN1:
        raise PoolRefusal(
            PoolReason.BAD_VALUE, wanted="CPMM PoolState", creator_fee_on=creator_fee_on
        )
    text = keys.text
    return CpmmState(
        amm_config=text(config),
        vaults=(text(vault0), text(vault1)),
        lp_mint=text(lp_mint),
        mints=(text(mint0), text(mint1)),
        token_programs=(text(program0), text(program1)),
        observation=text(observation),
        status=status,
        decimals=(decimals0, decimals1),
        lp_supply=lp_supply,
        owed=_owed(data),
        open_time_s=open_time_s,
        creator_fee_on=creator_fee_on,
        creator_fee_enabled=bool(creator_fee_enabled),
    )


def _config(data: bytes) -> CpmmConfig:
    checked(data, "CPMM AmmConfig", length=CONFIG_BYTES, kind=CONFIG_KIND)
    found = CpmmConfig(u16(data, 10), u64(data, 12), u64(data, 20), u64(data, 28), u64(data, 108))
    if found.trade_fee_rate + found.creator_fee_rate >= RATE_ALL:
        raise PoolRefusal(
            PoolReason.BAD_VALUE, wanted="CPMM AmmConfig", trade_fee_rate=found.trade_fee_rate
        )
    return found


class CpmmPool(ConstantProductPool):
    """State, config and both vaults, of one slot."""

    def __init__(
        self,
        state: CpmmState,
        config: CpmmConfig,
        vaults: tuple[TokenBalance, TokenBalance],
        mints: tuple[TokenMint, TokenMint],
    ) -> None:
        super().__init__(state.mints, mints, vaults, state.owed)
        self.state, self.config = state, config

    def fee_rate(self) -> float:
        creator_rate = self.config.creator_fee_rate if self.state.creator_fee_enabled else 0
        return (self.config.trade_fee_rate + creator_rate) / RATE_ALL

    def check_open(self, unix_ts: int, slot: int) -> None:
        if self.state.status & _SWAP_DISABLED:
            raise PoolRefusal(PoolReason.CLOSED, status=self.state.status)
        if unix_ts < self.state.open_time_s:
            raise PoolRefusal(
                PoolReason.CLOSED, open_time_s=self.state.open_time_s, unix_ts=unix_ts
            )

    def moment(self, unix_ts: int, slot: int) -> bool:
        return unix_ts < self.state.open_time_s

    def sight(self, key: str) -> PoolSight:
        fixed = (self.state.amm_config, *self.mints)
        return self._sight(key, KEPT, self.state.vaults, _owed, fixed)

    def swap(self, down: bool, amount: int, by_input: bool, unix_ts: int, slot: int = 0) -> Filled:
        """The fee is the trade fee, and the creator's where that is taken from the input too."""
        creator_rate = self.config.creator_fee_rate if self.state.creator_fee_enabled else 0
        creator_on_input = self.state.creator_fee_on in (
            _CREATOR_BOTH,
            _CREATOR_TOKEN0 if down else _CREATOR_TOKEN1,
        )
        rate = self.config.trade_fee_rate + (creator_rate if creator_on_input else 0)
        rate_out = 0 if creator_on_input else creator_rate
        if by_input:
            fee = -(-amount * rate // RATE_ALL)
            out = self._out_for(amount - fee, down)
            out -= -(-out * rate_out // RATE_ALL)
            if not out:
                raise PoolRefusal(PoolReason.TOO_SMALL, amount_in=amount)
            return Filled(amount, out, fee)
        net = self._in_for(-(-amount * RATE_ALL // (RATE_ALL - rate_out)), down)
        paid = -(-net * RATE_ALL // (RATE_ALL - rate))
        return Filled(paid, amount, paid - net)


def _owed(data: bytes) -> tuple[int, int]:
    protocol0, protocol1, fund0, fund1, creator0, creator1 = _OWED.unpack_from(data, _OWED_AT)
    return protocol0 + fund0 + creator0, protocol1 + fund1 + creator1


decoded = remembered(decode)


def assemble(key: str, accounts: Accounts) -> CpmmPool:
    ours = keys.RAYDIUM_CPMM
    state = account_of(accounts, key, ours, decoded, CpmmState, "CPMM PoolState")
    config = account_of(accounts, state.amm_config, ours, decoded, CpmmConfig, "CPMM AmmConfig")
    vault0, vault1 = (
        vault_of(accounts, vault, mint)
        for vault, mint in zip(state.vaults, state.mints, strict=True)
    )
    mint0, mint1 = (
        TokenMint(decimals, 0) if program == keys.TOKEN else mint_of(accounts, mint)
        for decimals, program, mint in zip(
            state.decimals, state.token_programs, state.mints, strict=True
        )
    )
    return CpmmPool(state, config, (vault0, vault1), (mint0, mint1))
