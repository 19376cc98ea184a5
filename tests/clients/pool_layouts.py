"""What a price needs of the programs' accounts, by construct: for the independent client, and for
the benchmark's peer, which is read so.
"""

from construct import Array, Bytes, Int8ul, Int16ul, Int32sl, Int64ul, Pointer, Struct
from solders.pubkey import Pubkey

WIDE = Bytes(16)
LAYOUTS = {
    "raydium-v4": Struct(
        "decimals" / Pointer(32, Array(2, Int64ul)),
        "owed" / Pointer(192, Array(2, Int64ul)),
        "vaults" / Pointer(336, Array(2, Bytes(32))),
    ),
    "raydium-cpmm": Struct(
        "vaults" / Pointer(72, Array(2, Bytes(32))),
        "decimals" / Pointer(331, Array(2, Int8ul)),
        "protocol" / Pointer(341, Array(2, Int64ul)),
        "fund" / Pointer(357, Array(2, Int64ul)),
    ),
    "raydium-clmm": Struct(
        "decimals" / Pointer(233, Array(2, Int8ul)), "root" / Pointer(253, WIDE)
    ),
    "orca-whirlpool": Struct(
        "root" / Pointer(65, WIDE),
        "mint0" / Pointer(101, Bytes(32)),
        "mint1" / Pointer(181, Bytes(32)),
    ),
    "meteora-dlmm": Struct(
        "active" / Pointer(76, Int32sl),
        "step" / Pointer(80, Int16ul),
        "mint0" / Pointer(88, Bytes(32)),
        "mint1" / Pointer(120, Bytes(32)),
    ),
}
AMOUNT = Struct("amount" / Pointer(64, Int64ul))
Held = dict[str, bytes]


def vaults_of(program: str, data: bytes) -> list[str]:
    state = LAYOUTS[program].parse(data)
    return [str(Pubkey.from_bytes(vault)) for vault in state.get("vaults", ())]


def price_of(program: str, data: bytes, held: Held, decimals: dict[str, int]) -> float:
    """Token 1 per token 0 in whole tokens."""
    state = LAYOUTS[program].parse(data)
    if "decimals" in state:
        of_base, of_quote = state.decimals
    else:
        mints = (str(Pubkey.from_bytes(mint)) for mint in (state.mint0, state.mint1))
        of_base, of_quote = (decimals[mint] for mint in mints)
    if "vaults" in state:
        kept = [state.owed] if "owed" in state else [state.protocol, state.fund]
        amounts = [
            AMOUNT.parse(held[vault]).amount - sum(one[side] for one in kept)
            for side, vault in enumerate(vaults_of(program, data))
        ]
        ratio = amounts[1] / amounts[0]
    elif "root" in state:
        ratio = (int.from_bytes(state.root, "little") / 2**64) ** 2
    else:
        ratio = (1 + state.step / 10_000) ** state.active
    return float(ratio * 10.0 ** (of_base - of_quote))
