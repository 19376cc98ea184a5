"""What can be set of Solana's pools: pools.toml.

PoolSettings is the file, checked by config.pools_agreement; config.reading reads it, config.files
the keys of providers.
"""

from collections.abc import Collection, Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from spread_scanner.schema.enums import Source
from spread_scanner.schema.pools import PROGRAM_SOURCES

KEY_PLACE = "{key}"
POOL_QUOTES = ("USDT", "USDC")  # what prices are in; the first that a pool has is its quote

Program = Literal["raydium-v4", "raydium-clmm", "raydium-cpmm", "orca-whirlpool", "meteora-dlmm"]
Proxy = Annotated[str, Meta(pattern=r"^(http|socks5)://", description="http:// or socks5://")]


class ProviderSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """One RPC provider: where it is asked and heard, and how fast it lets itself be asked."""

    http_url: Annotated[
        str,
        Meta(
            pattern=r"^https?://",
            description="Where accounts are asked for; {key} is replaced by the key.",
        ),
    ]
    ws_url: Annotated[
        str,
        Meta(
            pattern=r"^wss?://",
            description="Where changes are heard; {key} is replaced by the key.",
        ),
    ]
    enabled: Annotated[bool, Meta(description="False leaves the provider out.")] = True
    key_file: Annotated[
        str,
        Meta(
            description="File with the key that {key} stands for, relative to the config folder's "
            "parent; empty: none."
        ),
    ] = ""
    requests_per_s: Annotated[
        float, Meta(gt=0, le=10_000, description="Requests a second, of all kinds.")
    ] = 4.0
    fee_call: Annotated[
        Literal["recent", "triton", "helius"],
        Meta(
            description="How it is asked what others pay for priority: the call of every node, "
            "Triton's with a percentile of each slot, or Helius' own estimate."
        ),
    ] = "recent"
    subscriptions_max: Annotated[
        int, Meta(ge=1, le=100_000, description="Accounts heard on one connection.")
    ] = 1_000
    proxies: Annotated[
        list[Proxy], Meta(description="Proxies to dial through in turn; empty: none.")
    ] = field(default_factory=list)


class MintSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """What a mint is to the rest of the system."""

    coin: Annotated[
        str, Meta(pattern=r"^[^\sa-z:-]+$", description="The coin in capitals, as symbols have it.")
    ]
    multiplier: Annotated[
        float, Meta(ge=1e-18, le=1e18, description="Coins in one whole token.")
    ] = 1.0


class PoolEntry(Struct, forbid_unknown_fields=True, frozen=True):
    """One pool, and what it has to be when it is read."""

    program: Annotated[Program, Meta(description="Whose account it is.")]
    mints: Annotated[
        list[str],
        Meta(min_length=2, max_length=2, description="Both mints, in either order."),
    ]
    enabled: Annotated[bool, Meta(description="False leaves the pool out.")] = True


class StableRate(Struct, forbid_unknown_fields=True, frozen=True):
    """Where USDC's price in USDT comes from: they are not one coin."""

    source: Annotated[str, Meta(description="The spot source that quotes it.")] = "binance-spot"
    symbol: Annotated[str, Meta(pattern=r"^USDC-USDT$", description="USDC-USDT")] = "USDC-USDT"


class FeeSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """What is offered for priority, by what others have paid of late (solana.priority_fees): what
    cycles and directions from pools are charged."""

    percentile: Annotated[
        float, Meta(gt=0, le=100, description="Of the prices that others paid, 0 left out.")
    ] = 75.0
    half_life_slots: Annotated[
        float, Meta(gt=0, le=1e9, description="After so many slots a price has half its weight.")
    ] = 40.0
    congestion_gain: Annotated[
        float, Meta(ge=0, le=100, description="Added of the price where everybody pays.")
    ] = 0.5
    micro_lamports_min: Annotated[
        int, Meta(ge=0, le=10**12, description="Never less a compute unit.")
    ] = 1_000
    micro_lamports_max: Annotated[
        int, Meta(ge=0, le=10**12, description="Never more a compute unit.")
    ] = 5_000_000
    tip_lamports: Annotated[
        int, Meta(ge=0, le=10**11, description="To whoever takes a bundle; 0: none is sent.")
    ] = 0
    ask_every_s: Annotated[
        float,
        Meta(
            ge=0.1,
            le=86_400,
            description="Between two questions to providers for what others paid, a pool at a "
            "time and a provider in turn.",
        ),
    ] = 2.0
    heard_s_max: Annotated[
        float,
        Meta(
            ge=1,
            le=86_400,
            description="What was heard longer ago is believed no more: then the floor counts.",
        ),
    ] = 900.0


class PoolSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """pools.toml."""

    enabled: Annotated[
        bool, Meta(description="True: feed-solana runs; needs the extra [solana].")
    ] = False
    cpus: Annotated[
        list[Annotated[int, Meta(ge=0, le=4_095)]],
        Meta(description="CPUs that feed-solana is pinned to; empty: any."),
    ] = field(default_factory=list)
    commitment: Annotated[
        Literal["processed", "confirmed"],
        Meta(description="How sure a provider is of what it tells; processed may be taken back."),
    ] = "confirmed"
    reference_quote: Annotated[
        float,
        Meta(gt=0, le=1e9, description="Size that best bid and ask are for, and net at in watch."),
    ] = 1_000.0
    ladder_quote: Annotated[
        list[Annotated[float, Meta(gt=0, le=1e9)]],
        Meta(min_length=1, max_length=20, description="Sizes of the ladder, ascending."),
    ] = field(default_factory=lambda: [100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 1e5])
    arrays: Annotated[
        int,
        Meta(ge=1, le=16, description="Arrays of ticks or bins to either side of the price."),
    ] = 2
    stable: StableRate = field(default_factory=StableRate)
    fees: FeeSettings = field(default_factory=FeeSettings)
    providers: Annotated[
        dict[str, ProviderSettings], Meta(description="By a name of one's own.")
    ] = field(default_factory=dict)
    mints: Annotated[dict[str, MintSettings], Meta(description="By the mint's key.")] = field(
        default_factory=dict
    )
    pools: Annotated[dict[str, PoolEntry], Meta(description="By the pool's key.")] = field(
        default_factory=dict
    )

    def wanted(self) -> Iterator[tuple[str, PoolEntry]]:
        """The pools that are not left out, by their keys."""
        return ((key, pool) for key, pool in self.pools.items() if pool.enabled)

    def asked(self) -> Iterator[tuple[str, ProviderSettings]]:
        """The providers that are not left out, by their names."""
        return ((name, one) for name, one in self.providers.items() if one.enabled)

    def of_source(self, source: Source) -> Iterator[tuple[str, PoolEntry]]:
        """Those that are the source's market, by their keys."""
        return (row for row in self.wanted() if PROGRAM_SOURCES[row[1].program] == source)

    def symbols(self, source: Source) -> set[str]:
        """What the source quotes: what its pools trade, and in USDT whatever they have in USDC."""
        traded = {
            symbol_of([self.mints[mint].coin for mint in entry.mints])
            for _, entry in self.of_source(source)
        }
        known = {symbol for symbol in traded if symbol is not None}
        bases = {symbol.removesuffix("-USDC") for symbol in known if symbol.endswith("-USDC")}
        return known | {f"{base}-USDT" for base in bases}

    @property
    def runs(self) -> bool:
        """Whether whoever reads pools has anything to do."""
        return self.enabled and any(self.wanted()) and any(self.asked())


def in_usdc(symbol: str) -> str | None:
    """What the same coin is called against USDC, of one against USDT."""
    base, usdt, _ = symbol.rpartition("-USDT")
    return f"{base}-USDC" if usdt else None


def symbol_of(coins: Collection[str]) -> str | None:
    """What two coins are traded as; None where neither is one that prices are in."""
    quote = next((coin for coin in POOL_QUOTES if coin in coins), None)
    if quote is None:
        return None
    base = next(coin for coin in coins if coin != quote)
    return f"{base}-{quote}"
