"""The native matchers under the address and undefined-behaviour sanitizers, and by strict C11."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from spread_scanner.config import SourceSettings
from spread_scanner.exchanges.registry import adapter_of
from spread_scanner.schema.enums import SOURCES, Source

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / "src" / "spread_scanner" / "exchanges" / "native"
SCHEMA = ROOT / "src" / "spread_scanner" / "schema" / "native"
HARNESS = ROOT / "tests" / "stress" / "native" / "match_fuzz.c"
PAYLOADS = ROOT / "tests" / "payloads"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror"]
SANITIZED = [*STRICT, "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
ROUNDS = 20_000_000 if os.environ.get("SPREAD_STRESS") == "long" else 300_000
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
SYMBOLS = ["BTCUSDT", "ETHUSDT", "ETH-USDT", "BTC-USDT-SWAP", "RIF_USDT", "币安人生USDT"]


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("clang")
    if found is None:
        pytest.skip("no C compiler")
    return found


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("match_fuzz") / "match_fuzz"
    built = subprocess.run(
        [compiler(), *SANITIZED, f"-I{HEADERS}", str(HARNESS), "-o", str(made), "-lm"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find" in built.stderr and "san" in built.stderr:
        pytest.skip("no sanitizer libraries")
    assert built.returncode == 0, built.stderr
    return made


def script(source: Source) -> str:
    adapter = adapter_of(source, SourceSettings(rest_url="http://a.test", ws_url="ws://a.test"))
    lines = ["P"] if adapter.binary else [f"T {text}" for text in adapter.templates()]
    lines += [f"S {symbol}" for symbol in SYMBOLS]
    for name in USUAL[source.label]:
        text = (PAYLOADS / name).read_bytes().strip()
        lines.append(f"M {text.decode() if name.endswith('.hex') else text.hex()}")
    return "\n".join(lines) + "\n"


@pytest.mark.stress
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.label)
def test_mutated_messages_read_nothing_outside_themselves(harness: Path, source: Source) -> None:
    print(f"seed {SEED}, {ROUNDS} messages")
    ran = subprocess.run(
        [str(harness), str(SEED), str(ROUNDS)],
        input=script(source),
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    messages, matches = map(int, ran.stdout.split())
    assert messages == ROUNDS
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
