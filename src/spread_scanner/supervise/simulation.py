"""The simulator as seen by `spread-ctl up --sim`: a subprocess that says where it listens.

It writes a config folder that leads every process to it; what the system needs besides (its own
namespace, short validation) is added there, so that any spread-ctl command given this folder
speaks to the simulated system. What leaving its pairs usually earns nobody has had the time to
learn: the simulator tells it, and `seed_history` has it lie there before the engine starts.
"""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from spread_scanner import clock
from spread_scanner.config import Settings
from spread_scanner.config.settings import Gateway
from spread_scanner.schema.enums import DIRECTION_BY_LABEL, SOURCES
from spread_scanner.schema.names import EXCHANGE_SIM, GATEWAY, LOGS_FOLDER
from spread_scanner.supervise.children import Child, end_all
from spread_scanner.supervise.learned import pairs_of
from spread_scanner.supervise.supervisor import CannotStart
from spread_scanner.symbology import tables, usual
from spread_scanner.symbology.tables import InstrumentRow

READY_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 3.0
ASK_TIMEOUT_S = 30.0
VALIDATE_S = 1.0
PORTS_TRIED = 100
PLACES = tuple(f"SPREAD_SYSTEM__{name}" for name in ("NAMESPACE", "DATA_DIR", "GENERATED_DIR"))


class SimulatedMarket(NamedTuple):
    """What the simulator is asked to be."""

    seed: int
    symbols: int
    rate: float
    plant_every_s: float
    characters: float = 0.0  # share of coins whose pairs are not like the others
    pools: int = 0  # of Solana
    pool_faults_s: float = 0.0  # so often, from when the run begins; 0: none


class Simulation:
    """One life of the simulator, in a folder of its own."""

    def __init__(
        self, folder: Path, namespace: str, market: SimulatedMarket, *, gateway: bool = False
    ) -> None:
        """`gateway`: people look on with a browser, at its port or the next that is free."""
        self._gateway, self._market = gateway, market
        self.config_dir = folder / "config"
        self.truth_path = folder / "truth.jsonl"
        self.namespace = namespace
        self.control_url = self._solana_url = ""
        self.seeded_ns = 0  # monotonic, when the history was written down
        self.seeded: frozenset[tuple[str, str]] = frozenset()  # symbols and directions, of whom
        arguments = [
            f"--seed={market.seed}",
            f"--symbols={market.symbols}",
            f"--rate={market.rate}",
            f"--plant-every-s={market.plant_every_s}",
            f"--characters={market.characters}",
            f"--pools={market.pools}",
            f"--truth={self.truth_path}",
            f"--config-out={self.config_dir}",
        ]
        log_path = folder / "data" / LOGS_FOLDER / f"{EXCHANGE_SIM}.log"
        self._child = Child(EXCHANGE_SIM, environment(os.environ), log_path, arguments)

    def start(self, stopping: Callable[[], bool]) -> None:
        """Wait until it listens; then its config folder is complete. KeyboardInterrupt when we are
        asked to stop meanwhile.
        """
        self._child.start(keep_stdout=True)
        line = self._child.read_line(READY_TIMEOUT_S, stopping)
        if stopping():
            raise KeyboardInterrupt
        try:
            ready = orjson.loads(line)
            self.control_url, self._solana_url = ready["control"], ready.get("solana") or ""
        except (orjson.JSONDecodeError, KeyError):
            raise CannotStart(
                "the simulator did not say that it is ready",
                log=self._child.log_path,
                exit_code=self._child.ended(),
            ) from None
        path = self.config_dir / "config.toml"
        text = path.read_text(encoding="utf-8")
        rows = f"num_sources = {len(SOURCES)}\n" if self._market.pools else ""
        text = f'[system]\nnamespace = "{self.namespace}"\n{rows}\n{text}'
        if self._gateway:
            shown = Gateway()
            port = free_port(shown.host, shown.port)
            text += f"\n[{GATEWAY}]\nenabled = true\nport = {port}\n"
        path.write_text(_with_validation(text), encoding="utf-8")

    def environ(self) -> dict[str, str]:
        """What the processes of the simulated system start with."""
        return {**environment(os.environ), "SPREAD_CONFIG_DIR": str(self.config_dir)}

    def seed_history(self, settings: Settings) -> str:
        """Once the tables are there and before the engine is; what was done, for people."""
        pairs = seed_history(settings, self.control_url)
        self.seeded_ns = clock.mono_ns()
        self.seeded = frozenset(pairs_of(tables.load(settings.generated_dir)).values())
        return f"has told what leaving {pairs:,} pairs usually earns: nothing is to be learned"

    def begin(self) -> None:
        """The run begins: whoever learns what is usual misses no second from now on, and pools'
        providers begin to fail."""
        _tell(self.control_url, {"do": "begin"})
        if self._market.pools:
            faults = {"do": "faults", "every_s": self._market.pool_faults_s}
            _tell(f"{self._solana_url}/control", faults)

    @property
    def child(self) -> Child:
        """The simulator's process."""
        return self._child

    @property
    def log_path(self) -> Path:
        return self._child.log_path

    @property
    def died(self) -> bool:
        return self._child.starts > 0 and self._child.ended() is not None

    def stop(self) -> None:
        """End it; the truth is complete afterwards."""
        if self._child.starts and not self.died:
            self._child.signal(signal.SIGTERM)
            end_all([self._child], clock.awake_s() + STOP_TIMEOUT_S)


def free_port(host: str, first: int) -> int:
    """The first port from that one on that nobody listens at. Raises CannotStart."""
    for port in range(first, first + PORTS_TRIED):
        with contextlib.suppress(OSError), socket.create_server((host, port)):
            return port
    raise CannotStart(f"no port from {first} to {first + PORTS_TRIED - 1} is free", host=host)


def seed_history(settings: Settings, control_url: str) -> int:
    """Write down what leaving each pair of the tables usually earns, as the simulator tells it, and
    tell it how that is learned from now on; of how many pairs. Call it between discovery and the
    engine's start. Raises CannotStart.
    """
    import httpx  # not for those who run on real exchanges: it takes a while to load

    try:
        answer = httpx.get(f"{control_url}/usual", timeout=ASK_TIMEOUT_S, trust_env=False)
        told = orjson.loads(answer.raise_for_status().content)
    except (httpx.HTTPError, orjson.JSONDecodeError) as error:
        raise CannotStart(f"the simulator does not tell what is usual: {error}") from None
    engine = settings.config.spread_engine
    learn = {"half_life_s": engine.basis_half_life_s, "trust_s": engine.basis_trust_s}
    _tell(control_url, {"do": "learn", **learn})
    known = {}
    for row in told:
        direction = DIRECTION_BY_LABEL[row["direction"]]
        legs = (direction.spot.label, row["spot"], direction.futures.label, row["futures"])
        known[legs] = (float(row["exit_bps"]), float(row["parity_bps"]))

    def usually(spot: InstrumentRow, futures: InstrumentRow) -> tuple[float, float] | None:
        return known.get((*_listed(spot), *_listed(futures)))

    found = tables.load(settings.generated_dir)
    path, half_life_s = usual.path_of(settings), engine.basis_half_life_s
    return usual.seed(path, found, clock.wall_ns(), half_life_s, usually)


def _tell(control_url: str, action: Mapping[str, Any]) -> None:
    """Have the simulator do something. Raises CannotStart."""
    import httpx

    try:
        answer = httpx.post(control_url, json=action, timeout=ASK_TIMEOUT_S, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise CannotStart(f"the simulator does not do as it is told: {error}") from None


def _listed(row: InstrumentRow) -> tuple[str, str]:
    return SOURCES[row.source_id].label, row.exchange_symbol


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the settings that lead to real exchanges, to another namespace or to
    folders where another system has its tables and data."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(("SPREAD_EXCHANGES__", "SPREAD_DIRECTIONS__")) and name not in PLACES
    }


def _with_validation(text: str) -> str:
    """A pretend exchange needs no half minute to show that its listings quote."""
    lines = [
        f"validate_s = {VALIDATE_S}" if line.startswith("validate_s") else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"
