"""The native matchers under the address and undefined-behaviour sanitizers, and by strict C11."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from random import Random

import pytest
from mexc_frames import aggregated_depth

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.registry import adapter_of, depth_adapter_of
from spread_scanner.schema.enums import EXCHANGE_SOURCES, SOURCE_BY_LABEL, Source

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / "src" / "spread_scanner" / "exchanges" / "native"
SCHEMA = ROOT / "src" / "spread_scanner" / "schema" / "native"
BOOKS = ROOT / "src" / "spread_scanner" / "books" / "native"
HARNESSES = ROOT / "tests" / "stress" / "native"
PAYLOADS = ROOT / "tests" / "payloads"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
SANITIZED = [*STRICT, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ROUNDS = 20_000_000 if os.environ.get("SPREAD_STRESS") == "long" else 300_000
DEPTH_ROUNDS = ROUNDS // 10  # what matches is put into a book as well
SEED = 20261121

# The usual messages of each source: what its templates are made for.
USUAL = {
    "binance-spot": ["binance/spot_book_ticker.json", "binance/spot_book_ticker_combined.json"],
    "binance-futures": [
        "binance/futures_book_ticker.json",
        "binance/futures_book_ticker_combined.json",
        "binance/futures_book_ticker_old.json",
    ],
    "bybit-spot": ["bybit/order_book.json", "bybit/order_book_type_first.json"],
    "bybit-futures": ["bybit/order_book.json"],
    "okx-spot": ["okx/bbo_tbt.json"],
    "okx-futures": ["okx/bbo_tbt.json", "okx/bbo_tbt_no_seq.json"],
    "mexc-spot": ["mexc/book_ticker.hex", "mexc/book_ticker_full.hex"],
    "mexc-futures": ["mexc/depth_full.json", "mexc/depth_full_cts_last.json"],
}
# The same of its books, by channel.
USUAL_DEPTH = {
    ("binance-spot", "depth@100ms"): ["binance/spot_depth.json"],
    ("binance-futures", "depth@100ms"): ["binance/futures_depth.json"],
    ("binance-spot", "depth20@100ms"): ["binance/spot_depth20.json"],
    ("binance-futures", "depth20@100ms"): ["binance/futures_depth20.json"],
    ("bybit-spot", ""): ["bybit/depth_delta.json"],
    ("bybit-futures", ""): ["bybit/depth_delta.json"],
    ("okx-spot", ""): ["okx/books_update.json"],
    ("okx-futures", ""): ["okx/books_update.json"],
    ("mexc-futures", "depth"): ["mexc/depth.json"],
    ("mexc-futures", ""): ["mexc/depth_full.json", "mexc/depth_full_cts_last.json"],
    ("mexc-spot", ""): ["mexc/limit_depth.hex"],
    ("mexc-spot", "aggre.depth@100ms"): [],  # none was recorded: made
}
SYMBOLS = ["BTCUSDT", "ETHUSDT", "ETH-USDT", "BTC-USDT-SWAP", "RIF_USDT", "币安人生USDT"]
DEPTH_SYMBOLS = [*SYMBOLS, "NKNUSDT", "SUSHIUSDT", "XRPUSDT", "UNI-USD-SWAP", "SKHYNIXSTOCK_USDT"]


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler")
    return found


def sanitized(folder: Path, name: str) -> Path:
    """A harness, built."""
    made = folder / name
    includes = [f"-I{place}" for place in (HEADERS, SCHEMA, BOOKS)]
    source = str(HARNESSES / f"{name}.c")
    built = subprocess.run(
        [compiler(), *SANITIZED, *includes, source, "-o", str(made), "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("no sanitizer libraries")
    assert built.returncode == 0, built.stderr
    return made


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sanitized(tmp_path_factory.mktemp("match_fuzz"), "match_fuzz")


@pytest.fixture(scope="module")
def depth_harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sanitized(tmp_path_factory.mktemp("depth_fuzz"), "depth_fuzz")


def script(lines: list[str], symbols: Iterable[str], names: list[str]) -> str:
    lines += [f"S {symbol}" for symbol in symbols]
    for name in names:
        text = (PAYLOADS / name).read_bytes().strip()
        lines.append(f"M {text.decode() if name.endswith('.hex') else text.hex()}")
    return "\n".join(lines) + "\n"


@pytest.mark.stress
@pytest.mark.parametrize("source", EXCHANGE_SOURCES, ids=lambda source: source.label)
def test_mutated_messages_read_nothing_outside_themselves(harness: Path, source: Source) -> None:
    adapter = adapter_of(source, SourceSettings(rest_url="http://a.test", ws_url="ws://a.test"))
    lines = ["P"] if adapter.binary else [f"T {text}" for text in adapter.templates()]
    survives(harness, script(lines, SYMBOLS, USUAL[source.label]), ROUNDS)


@pytest.mark.stress
@pytest.mark.parametrize(("label", "channel"), USUAL_DEPTH)
def test_mutated_messages_of_books_read_nothing_outside_themselves(
    depth_harness: Path, label: str, channel: str
) -> None:
    settings = SourceSettings(rest_url="http://a.test", ws_url="ws://a.test", depth_channel=channel)
    adapter = depth_adapter_of(SOURCE_BY_LABEL[label], settings)
    lines = [f"T {text}" for text in adapter.templates()]
    if adapter.wrapped is not None:
        lines += [f"W {adapter.wrapped[0]}", f"C {adapter.wrapped[1]}"]
    names = USUAL_DEPTH[label, channel]
    if not names:
        chance = Random(SEED)
        lines += [f"M {aggregated_depth(chance).hex()}" for _ in range(8)]
    spelled = [adapter.spelled(symbol) for symbol in DEPTH_SYMBOLS]
    survives(depth_harness, script(lines, spelled, names), DEPTH_ROUNDS)


def survives(harness: Path, items: str, rounds: int) -> None:
    print(f"seed {SEED}, {rounds} messages")
    ran = subprocess.run(
        [str(harness), str(SEED), str(rounds)],
        input=items,
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    messages, matches = map(int, ran.stdout.split())
    assert messages == rounds
    assert 0 < matches < messages


@pytest.mark.parametrize("header", sorted(path.name for path in HEADERS.glob("*.h")))
@pytest.mark.parametrize("name", ["gcc", "clang"])
def test_each_header_compiles_alone_as_c11(tmp_path: Path, header: str, name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"no {name}")
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header}"\nint main(void) {{ return 0; }}\n')
    command = [
        name,
        *STRICT,
        "-pedantic",
        f"-I{HEADERS}",
        f"-I{SCHEMA}",
        "-fsyntax-only",
        str(source),
    ]

    built = subprocess.run(command, capture_output=True, text=True, check=False)

    assert built.returncode == 0, built.stderr
