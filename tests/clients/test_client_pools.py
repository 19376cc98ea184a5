"""solana-py reads the simulator's Solana, and sees what feed-solana has in the pools' cells.

Unmodified, from a venv of its own (`make clients`), its accounts decoded by construct: what it asks
for over HTTP and what its subscriptions tell are the same prices in the end.
"""

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from solana_bed import feeding, solana

from spread_scanner.sim.chain_pools import BASES, USDC, USDT

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-clients" / "bin" / "python"
COUNT, SLOT_S = 10, 0.1

pytestmark = [pytest.mark.clients, pytest.mark.timeout(300)]


class PoolReader:
    """The client's process."""

    def __init__(self, urls: dict[str, str], pools: dict[str, str], errors: Path) -> None:
        self._errors = errors
        decimals = {coin.mint: coin.decimals for coin in (*BASES, USDC, USDT)}
        told = (json.dumps(word) for word in (urls, pools, decimals))
        with errors.open("w") as file:
            self.process = subprocess.Popen(
                [str(PYTHON), str(HERE / "read_solana.py"), *told],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True,
            )  # fmt: skip

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self._errors.read_text()[-2_000:]
        return dict(json.loads(line))

    def look(self) -> dict[str, Any]:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # then `read` says why it has ended
            self.process.stdin.write("look\n")
            self.process.stdin.flush()
        return self.read()

    def end(self) -> None:
        self.process.kill()
        with contextlib.suppress(BrokenPipeError), self.process:
            pass


@pytest.mark.parametrize("provider", ["a", "b"])  # b tells before it acknowledges
def test_solana_py_sees_what_the_cells_have(tmp_path: Path, namespace: str, provider: str) -> None:
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: make clients-venv")
    with (
        solana(11, COUNT, slot_s=SLOT_S) as chain,
        feeding(tmp_path, namespace, chain.side.pools_toml()) as bed,
        contextlib.ExitStack() as stack,
    ):
        bed.start()
        kinds = {key: pool.kind for key, pool in chain.side.chain.pools.items()}
        reader = PoolReader(chain.side.urls()[provider], kinds, tmp_path / "errors")
        stack.callback(reader.end)
        assert reader.read()["subscribed"] > COUNT
        bed.wait("all pools are fresh", bed.all_fresh)
        bed.wait("it is told of swaps", lambda: reader.look()["notified"] >= 20)
        chain.act(do="swaps", per_slot=0)
        truth = chain.truth()["pools"]

        def cells() -> dict[str, float | None]:
            return {key: one.price for key, one in bed.pools().items() if one.fresh}

        bed.wait("cells are right", lambda: cells() == {key: truth[key]["price"] for key in truth})
        # A product of rounded powers is no exact price: 10^-9 is far below a tick or bin.
        expected = pytest.approx(cells(), rel=1e-9)
        bed.wait("it was told the last swap", lambda: reader.look()["told"] == expected)
        assert reader.look()["asked"] == expected
