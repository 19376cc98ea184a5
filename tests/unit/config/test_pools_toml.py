"""pools.toml: what is shipped, and every kind of wrong input with the file, the key and what is
allowed; a provider's key, or a URL that may hold one, is in no error.
"""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from msgspec import Struct
from solana_data import needs_data, read

from spread_scanner import config
from spread_scanner.config import files
from spread_scanner.config.pools import (
    MintSettings,
    PoolEntry,
    PoolSettings,
    Program,
    ProviderSettings,
)
from spread_scanner.errors import ConfigError
from spread_scanner.solana.keys import POOL_PROGRAMS, pda, raw

SHIPPED = Path(__file__).parents[3] / "config"
POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"
SOL, USDC = (
    "So11111111111111111111111111111111111111112",
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
)
SECRET = "hunter2-s3cret"
PROVIDER = f'[providers.a]\nhttp_url = "https://a.example/"\nws_url = "wss://a.example/{SECRET}"\n'
MINTS = f'[mints.{SOL}]\ncoin = "SOL"\n[mints.{USDC}]\ncoin = "USDC"\n'
ANOTHER = "DQyrAcCrDXQ7NeoqGgDCZwBvWDcYmFCjSb9JtteuvPpz"
ENTRY = f'[pools.{POOL}]\nprogram = "raydium-v4"\nmints = ["{SOL}", "{USDC}"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path / "config"


def read_toml(folder: Path, text: str) -> PoolSettings:
    (folder / "pools.toml").write_text(text)
    return config.load_pools(folder)


def test_what_is_shipped_can_be_read(folder: Path) -> None:
    shutil.copy(SHIPPED / "pools.toml", folder)
    shipped = config.load_pools(folder)
    assert (len(list(shipped.wanted())), len(shipped.pools)) == (16, 60)
    assert shipped.reference_quote == 1_000
    assert (shipped.ladder_quote[0], shipped.ladder_quote[-1]) == (100, 100_000)
    defaults = PoolSettings()
    for name in ("commitment", "reference_quote", "ladder_quote", "arrays", "stable"):
        assert getattr(shipped, name) == getattr(defaults, name), "the file says the defaults"


@needs_data
def test_the_pools_that_are_recorded_as_known_are_shipped_as_they_are() -> None:
    programs = {
        "raydium_amm_v4": "raydium-v4",
        "raydium_clmm": "raydium-clmm",
        "orca_whirlpool": "orca-whirlpool",
        "meteora_dlmm": "meteora-dlmm",
    }
    shipped = config.load_pools(SHIPPED)
    for row in read("pools/known_pools.json"):
        if "not_recomputed" in row and row["pool"] not in shipped.pools:
            continue
        pool = shipped.pools[row["pool"]]
        assert programs[row["dex"]] == pool.program
        assert {row["mint0"], row["mint1"]} == set(pool.mints)
        coins = [shipped.mints[row[f"mint{n}"]].coin for n in (0, 1)]
        assert coins == [row["token0"].upper(), row["token1"].upper()]


# Of V4 pools the market that an address is of, of a CPMM's its config.
V4_MARKETS = (
    "2xiv8A5xrJ7RnGdxXB42uFEkYHJjszEhaJyKKt4WaLep",
    "5cLrMai1DsLRYc1Nio9qMTicsWtvzjzZfJPXyAoF4t1Z",
    "77quYg4MGneUdjgXCunt9GgM1usmrxKY31twEy3WHwcS",
    "C6tp2RVZnxBPFbnAsfTjis8BN9tycESAT4SgDQgbbrsA",
)
CPMM_CONFIG = "2fGXL8uhqxJ4tpgtosHZXT4zcQap6j62z3bMDxdkMvy5"
WHIRLPOOLS = raw("2LecshUwdy9xi7meFgHtFJQNSKk4KdTrcpvaB56dP2NQ")
NOT_DERIVED = {POOL, "7XawhbbxtsRcQA8KTkHT9f9nc6d69UwqCDh6U5EEbEmX"}  # of no market


def u16(number: int) -> bytes:
    return number.to_bytes(2, "little")


def derived(entry: PoolEntry) -> Iterator[str]:
    """Every address that the pool's program derives from these mints, by all usual tiers."""
    program = POOL_PROGRAMS[entry.program]
    first, second = sorted(map(raw, entry.mints))
    if entry.program == "raydium-v4":
        for market in V4_MARKETS:
            yield pda([raw(program), raw(market), b"amm_associated_seed"], program)
    elif entry.program == "raydium-cpmm":
        yield pda([b"pool", raw(CPMM_CONFIG), first, second], program)
    elif entry.program == "raydium-clmm":
        for index in range(16):
            of = pda([b"amm_config", index.to_bytes(2, "big")], program)
            yield pda([b"pool", raw(of), first, second], program)
    elif entry.program == "orca-whirlpool":
        for tier in (1, 2, 4, 8, 16, 64, 128, 1027):
            yield pda([b"whirlpool", WHIRLPOOLS, first, second, u16(tier)], program)
    else:
        for step in (1, 4, 8, 10, 20, 50, 80, 250):
            yield pda([first, second, u16(step)], program)
            for factor in (6_250, 10_000):
                yield pda([first, second, u16(step), u16(factor)], program)


def test_the_addresses_that_are_shipped_are_those_that_programs_derive_from_their_mints() -> None:
    shipped = config.load_pools(SHIPPED).pools
    wrong = {key for key, entry in shipped.items() if key not in derived(entry)}
    assert wrong == NOT_DERIVED


def test_without_a_file_no_pool_is_wanted(folder: Path) -> None:
    assert config.load_pools(folder) == PoolSettings()


def test_pools_that_are_left_out_are_not_wanted(folder: Path) -> None:
    found = read_toml(folder, MINTS + ENTRY + "enabled = false\n")
    assert (len(found.pools), list(found.wanted())) == (1, [])


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("pool = 1", "pool", "unknown key"),
        ("[pool.x]\na = 1", "pool", "unknown section"),
        ('commitment = "finalized"', "commitment", "processed"),
        ("reference_quote = 0.0", "reference_quote", "> 0"),
        ("reference_quote = nan", "reference_quote", "finite"),
        ('reference_quote = "1000"', "reference_quote", "got `str`"),
        ("[fees]\npercentile = 0.0", "fees.percentile", "> 0"),
        ("[fees]\nmicro_lamports_min = 6000000", "fees.micro_lamports_min", "at most fees."),
        ("[fees]\nask_every_s = 901.0", "fees.ask_every_s", "over the 1 pool"),
        ("[fees]\nask_every_s = 0.0", "fees.ask_every_s", ">= 0.1"),
        ("[fees]\nheard_s_max = 1.9", "fees.ask_every_s", "at most fees.heard_s_max"),
        (
            "[fees]\nask_every_s = 500.0\n" + MINTS + ENTRY + ENTRY.replace(POOL, ANOTHER),
            "fees.ask_every_s",
            "at most fees.heard_s_max, 900, over the 2 pools",
        ),
        ("[fees]\ntip_lamports = -1", "fees.tip_lamports", ">= 0"),
        ("[fees]\nurgency = 1", "fees.urgency", "unknown"),
        ("ladder_quote = []", "ladder_quote", "length >= 1"),
        ("ladder_quote = [100.0, 100.0]", "ladder_quote", "each one larger"),
        ("ladder_quote = [100.0, -1.0]", "ladder_quote", "> 0"),
        ("arrays = 0", "arrays", ">= 1"),
        ('[stable]\nsource = "binance-futures"', "stable.source", "binance-spot, bybit-spot"),
        ('[stable]\nsymbol = "USDT-USDC"', "stable.symbol", "USDC-USDT"),
        ("[providers]\na = 1", "providers.a", "a section is wanted, not a number"),
        ("[providers.a]", "providers.a.http_url", "missing"),
        (PROVIDER.replace("https", "ftp"), "providers.a.http_url", "regex"),
        (PROVIDER.replace("wss", "https"), "providers.a.ws_url", "regex"),
        (PROVIDER.replace("wss://", "wss:///"), "providers.a.ws_url", "a URL with a host"),
        (PROVIDER.replace("a.example/h", "a:99999/h"), "providers.a.ws_url", "a URL with a host"),
        (PROVIDER.replace("a.example/h", "a:x/h"), "providers.a.ws_url", "a URL with a host"),
        (PROVIDER.replace("-s3", " s3"), "providers.a.ws_url", "without blanks"),
        (PROVIDER.replace("-s3", "{api}"), "providers.a.ws_url", "{key} stands where"),
        (PROVIDER.replace("-s3", "é"), "providers.a.ws_url", "a URL with a host"),
        (PROVIDER.replace("-s3", "{key}"), "providers.a.key_file", "the file with the key"),
        (PROVIDER + 'key_file = "k"', "providers.a.http_url", "a URL with {key} in it"),
        (PROVIDER + "requests_per_s = 0", "providers.a.requests_per_s", "> 0"),
        (PROVIDER + "subscriptions_max = 0", "providers.a.subscriptions_max", ">= 1"),
        (PROVIDER + 'proxies = ["ftp://p"]', "providers.a.proxies", "regex"),
        (PROVIDER + f'proxies = ["socks5://{SECRET}@"]', "providers.a.proxies", "a URL with a"),
        (PROVIDER.replace("s.a]", "s.A]"), "providers.A", "small letters"),
        ('[mints.abc]\ncoin = "X"', "mints.abc", "32 bytes"),
        (f'[mints.{SOL}2]\ncoin = "X"', f"mints.{SOL}2", "32 bytes"),
        (f'[mints.{SOL[:-1]}0]\ncoin = "X"', f"mints.{SOL[:-1]}0", "base58"),
        (f'[mints.{SOL}]\ncoin = "sol"', f"mints.{SOL}.coin", "regex"),
        (f'[mints.{SOL}]\ncoin = "S"\nmultiplier = 0.0', f"mints.{SOL}.multiplier", "1e-18"),
        (MINTS + "multiplier = 2.0", f"mints.{USDC}.multiplier", "1, as prices are in it"),
        (MINTS.replace("USDC", "SOL") + ENTRY, f"pools.{POOL}.mints", "two different coins"),
        (ENTRY, f"pools.{POOL}.mints", f"[mints.{SOL}]"),
        (MINTS + ENTRY.replace(USDC, SOL), f"pools.{POOL}.mints", "two different mints"),
        (MINTS + ENTRY.replace(f', "{USDC}"', ""), f"pools.{POOL}.mints", "length >= 2"),
        (MINTS + ENTRY.replace("-v4", "-v5"), f"pools.{POOL}.program", "raydium-v5"),
        (MINTS + ENTRY.replace(POOL, "pool"), "pools.pool", "32 bytes"),
        ("a = ", None, "not TOML"),
    ],
)
def test_what_is_wrong_is_named(folder: Path, text: str, key: str | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_toml(folder, text)
    assert said in str(caught.value)
    assert caught.value.evidence["file"] == folder / "pools.toml"
    assert caught.value.evidence.get("key") == key
    assert "hunter2" not in str(caught.value)


def provider(key_file: str = "secret") -> ProviderSettings:
    return ProviderSettings("https://a/{key}", "wss://a/{key}", key_file=key_file)


def test_a_key_is_read_beside_the_settings(folder: Path) -> None:
    (folder.parent / "secret").write_text(f"{SECRET}\n")
    (folder.parent / "secret").chmod(0o600)
    assert files.provider_key("a", provider(), folder / "pools.toml") == SECRET
    assert files.provider_key("a", provider(""), folder / "pools.toml") == ""


@pytest.mark.parametrize(
    ("held", "mode", "said"),
    [
        (SECRET, 0o644, "mode 0600"),
        (f"{SECRET} {SECRET}", 0o600, "one line of letters"),
        ("", 0o600, "one line of letters"),
        (None, 0, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_key_is_said_and_not_what_it_is(
    folder: Path, held: str | None, mode: int, said: str
) -> None:
    if held is not None:
        (folder.parent / "secret").write_text(held)
        (folder.parent / "secret").chmod(mode)
    with pytest.raises(ConfigError) as caught:
        files.provider_key("a", provider(), folder / "pools.toml")
    assert said in str(caught.value)
    assert caught.value.evidence["key"] == "providers.a.key_file"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", [PoolSettings, ProviderSettings, MintSettings, PoolEntry])
def test_the_documentation_names_each_setting(kind: type[Struct]) -> None:
    said = (SHIPPED.parent / "docs" / "pools.md").read_text()
    table = said[said.index("## Which pools") : said.index("## From what providers")]
    for name in kind.__struct_fields__:
        plain = name.removesuffix("s") if kind is PoolSettings else name
        assert f"`{plain}" in table, name
    for program in POOL_PROGRAMS:
        assert f"`{program}`" in table
    assert set(POOL_PROGRAMS) == set(get_args(Program))


@pytest.mark.parametrize(("enabled", "wrong"), [("true", 1), ("false", 0)])
def test_a_key_that_cannot_be_read_is_known_before_anybody_is_told_to_reload(
    folder: Path, enabled: str, wrong: int
) -> None:
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    keyed = PROVIDER.replace(SECRET, "{key}") + 'key_file = "gone"\n'
    (folder / "pools.toml").write_text(f"enabled = {enabled}\n" + keyed + MINTS + ENTRY)
    found = list(files.wrong_files(config.load(folder, {})))
    assert [error.evidence["key"] for error in found] == ["providers.a.key_file"] * wrong


def test_that_pools_are_enabled_without_what_reads_them_is_known_to_doctor(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    (folder / "pools.toml").write_text("enabled = true\n" + PROVIDER + MINTS + ENTRY)
    settings = config.load(folder, {})
    assert not list(files.wrong_files(settings))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    (error,) = files.wrong_files(settings)
    assert "spread-scanner[solana]" in str(error)


def test_who_reads_pools_does_without_what_finds_cycles(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """feed-solana goes on where rustworkx alone is missing; who is told that is told the setting
    that wants it."""
    shutil.copytree(SHIPPED, folder, dirs_exist_ok=True)
    (folder / "pools.toml").write_text("enabled = true\n" + PROVIDER + MINTS + ENTRY)
    settings = config.load(folder, {"SPREAD_SPREAD_PATHS__ENABLED": "true"})
    found_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "rustworkx" else found_spec(name)
    )
    files.check_extra(settings)
    with pytest.raises(ConfigError, match="spread-paths needs rustworkx") as raised:
        files.check_paths_extra(settings)
    assert raised.value.evidence["key"] == "spread-paths.enabled"
    assert [str(error) for error in files.wrong_files(settings)] == [str(raised.value)]
