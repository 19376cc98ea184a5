"""`spread-ctl tx`: from a file and by the configured providers of a pretend chain."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from solana_bed import SolanaThread, solana
from solana_transactions import told

from spread_scanner.schema.names import EXIT_FAILED
from spread_scanner.sim.solana_keys import text

Run = Callable[..., tuple[int, str, str]]
SIGNATURE = text(bytes(range(1, 65)))


class ChainBed(NamedTuple):
    """A chain with two providers, and the settings that name them."""

    thread: SolanaThread
    folder: Path

    def count(self, provider: str) -> int:
        found: int = self.thread.truth()["told"][provider]["requests"]
        return found


@pytest.fixture
def chain(tmp_path: Path, bed: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChainBed]:
    monkeypatch.setenv("SPREAD_CONFIG_DIR", str(bed.settings.folder))
    with solana(3, 3) as thread:
        (bed.settings.folder / "pools.toml").write_text(thread.side.pools_toml())
        yield ChainBed(thread, bed.settings.folder)


def put(chain: ChainBed) -> None:
    chain.thread.ask(lambda: chain.thread.side.chain.transactions.update({SIGNATURE: told([])}))


def test_a_transaction_of_the_providers(chain: ChainBed, spread_ctl: Run) -> None:
    put(chain)
    code, out, err = spread_ctl("tx", SIGNATURE, "--json")
    assert code == 0, err
    assert orjson.loads(out)["signature"] == SIGNATURE
    assert (chain.count("a"), chain.count("b")) == (1, 0)


@pytest.mark.parametrize("fault", ["limit", "away"])
def test_another_provider_stands_in(chain: ChainBed, spread_ctl: Run, fault: str) -> None:
    put(chain)
    chain.thread.act(do=fault, provider="a", count=1)
    code, out, err = spread_ctl("tx", SIGNATURE)
    assert code == 0, err
    assert "Fee 0.000005000 SOL" in out
    assert chain.count("b") == 1


def test_what_no_provider_answers(chain: ChainBed, spread_ctl: Run) -> None:
    code, _, err = spread_ctl("tx", SIGNATURE)
    assert code == EXIT_FAILED
    assert "a: knows none; b: knows none" in err
    for name in "ab":
        chain.thread.act(do="away", provider=name)
    code, _, err = spread_ctl("tx", SIGNATURE)
    assert code == EXIT_FAILED
    assert "a: HTTP 503; b: HTTP 503" in err


def test_a_file_that_is_named_like_a_signature(
    chain: ChainBed, spread_ctl: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / SIGNATURE).write_bytes(orjson.dumps({"result": told([])}))
    code, _, err = spread_ctl("tx", SIGNATURE)
    assert code == 0, err
    assert chain.count("a") == 0


def test_a_failed_transaction_with_a_cut_log(spread_ctl: Run, bed: Any, tmp_path: Path) -> None:
    file = tmp_path / "failed.json"
    file.write_bytes(orjson.dumps(told([], err={"InstructionError": [0, "Custom"]}, log_lines=0)))
    code, out, err = spread_ctl("tx", str(file))
    assert code == 0, err
    assert 'failed: {"InstructionError":[0,"Custom"]}' in out
    assert "Its log is truncated" in out
