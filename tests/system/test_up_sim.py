"""`spread-ctl up --sim`: the whole system as processes, scored, disturbed, gone without trace."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import orjson
import pytest
import seeds
import simulated
from simulated import (
    END_S,
    FEED,
    START_S,
    Ask,
    Starter,
    alive,
    environment,
    is_up,
    rows_of,
    wait_for,
)

from spread_scanner.cli.schema import BY_COMMAND
from spread_scanner.shm import PriceStore, segment
from spread_scanner.symbology import usual

pytestmark = pytest.mark.timeout(240)
start_up, ask = simulated.start_up, simulated.ask


@pytest.mark.slow  # README's own command is a scored run, which test_docs runs
@pytest.mark.parametrize("turn", range(3))
def test_a_scored_run_of_a_fresh_seed_has_nothing_wrong(
    start_up: Starter, namespace: str, turn: int
) -> None:
    seed = seeds.fresh()
    print(f"seed {seed}")
    child = start_up("--seconds", "10", "--seed", str(seed))
    out, err = child.communicate(timeout=START_S + 60)

    document = orjson.loads(out)
    print(seeds.told(document))
    assert child.returncode == 0, (document, err)
    assert out.count(b"\n") == 1
    assert msgspec.convert(document, BY_COMMAND["up"]) == document
    assert document["planted"] == document["found"] > 0
    assert document["sizes_judged"] > document["carried_judged"] > 0
    assert not any(document[name] for name in (*seeds.WRONG, "drops", "restarts"))
    assert b"usually earns" in err  # the history that it starts with
    assert document["messages"] >= document["quotes"] > 0
    assert document["signals"] >= document["opportunities"] > 0
    assert len(document["processes"]) >= 12
    assert document["latency_us"]["recv_to_signal"]["count"] > 0
    assert segment.names(namespace) == []


@pytest.mark.slow
def test_pools_against_perpetuals_are_scored_while_providers_fail(start_up: Starter) -> None:
    seed = seeds.fresh()
    print(f"seed {seed}")
    child = start_up("--seconds", "25", "--seed", str(seed), "--pools", "15")
    out, err = child.communicate(timeout=START_S + 75)
    document = orjson.loads(out)
    print(seeds.told(document))
    assert child.returncode == 0, (document, err)
    assert document["planted"] == document["found"] > document["planted_by_pools"] > 0
    assert not any(document[name] for name in (*seeds.WRONG, "drops", "restarts"))
    assert document["processes"]["feed-solana"]["state"] in ("running", "degraded")


@pytest.mark.slow
def test_what_is_learned_within_a_run_is_what_was_sent(
    start_up: Starter, namespace: str, tmp_path: Path
) -> None:
    """With a half-life of 20 s and trust after 10: as shipped it would take hours. What stands over
    the thresholds that follow from it is judged like any other run."""
    seed = seeds.fresh()
    print(f"seed {seed}")
    settings = {"basis_half_life_s": "20", "basis_trust_s": "10"}
    child = start_up("--seconds", "30", "--seed", str(seed), **settings)
    out, err = child.communicate(timeout=START_S + 90)
    document = orjson.loads(out)
    print(seeds.told(document))
    kept = usual.read(tmp_path / "data" / f"usual.{namespace}")
    assert kept is not None
    assert kept.half_life_s == 20
    assert document["usual_judged"] > 100, (document, err)
    assert child.returncode == 0, (document, err)
    assert document["planted"] == document["found"] > 0
    assert not any(document[name] for name in (*seeds.WRONG, "drops", "restarts"))


def a_killed_feed_is_restarted(child: "subprocess.Popen[bytes]", ask: Ask) -> None:
    before = rows_of(ask)
    os.kill(before[FEED]["pid"], signal.SIGKILL)
    wait_for(
        lambda: (row := rows_of(ask)[FEED])["starts"] == 2 and row["healthy"], child, "restarted"
    )
    after = rows_of(ask)
    others = [name for name, row in before.items() if row["alive"] and name != FEED]
    assert [after[name]["pid"] for name in others] == [before[name]["pid"] for name in others]


def orders_are_answered(ask: Ask) -> None:
    code, answer = ask("kill")
    assert code == 0
    assert set(answer["answered_us"]) >= {"spread-engine", "spread-tracker", FEED}
    assert ask("status")[1]["switches"]["killed"]
    assert ask("kill", "--off")[0] == 0
    assert ask("pause", "binance-bybit")[0] == 0
    assert ask("status")[1]["switches"]["paused_directions"] == ["binance-bybit"]
    assert ask("resume", "binance-bybit")[0] == 0


@pytest.mark.slow
def test_a_feed_is_restarted_orders_are_answered_a_second_is_refused_and_down_ends_all(
    start_up: Starter, ask: Ask, namespace: str, tmp_path: Path
) -> None:
    child = start_up("--symbols", "12", "--rate", "300")
    wait_for(lambda: segment.names(namespace) and is_up(ask), child, "all run")
    a_killed_feed_is_restarted(child, ask)
    orders_are_answered(ask)

    second = start_up("--symbols", "12", "--keep", str(tmp_path / "second"))
    out, _ = second.communicate(timeout=START_S)
    assert second.returncode == 1
    assert "up already" in orjson.loads(out)["error"]
    wait_for(lambda: is_up(ask), child, "the first goes on")

    pids = [row["pid"] for row in rows_of(ask).values() if row["pid"]]
    code, document = ask("down")
    assert (code, document["ended"]) == (0, True)
    child.communicate(timeout=END_S)
    assert alive(pids) == []
    assert segment.names(namespace) == []


def new_segments_are_taken_by_all(
    child: "subprocess.Popen[bytes]", ask: Ask, namespace: str, config: Path
) -> None:
    settings = {**environment(), "SPREAD_CONFIG_DIR": str(config)}
    code = "import sys; from spread_scanner.shminit.main import main; sys.exit(main(['--force']))"
    with PriceStore.attach(namespace) as old:
        subprocess.run([sys.executable, "-c", code], env=settings, check=True, capture_output=True)
        assert old.retired
    wait_for(lambda: is_up(ask), child, "all run on the new segments")
    with PriceStore.attach(namespace) as new:
        wait_for(lambda: new.sequences.any(), child, "quotes arrive in the new store")


@pytest.mark.slow
def test_new_segments_are_taken_and_children_do_not_outlive_a_killed_supervisor(
    start_up: Starter, ask: Ask, namespace: str, tmp_path: Path
) -> None:
    child = start_up("--symbols", "12", "--rate", "300")
    wait_for(lambda: segment.names(namespace) and is_up(ask), child, "all run")
    new_segments_are_taken_by_all(child, ask, namespace, tmp_path / "config")
    pids = [row["pid"] for row in rows_of(ask).values() if row["pid"]]
    assert len(pids) == 11

    child.kill()
    child.communicate(timeout=END_S)
    deadline = time.monotonic() + END_S
    while alive(pids):
        assert time.monotonic() < deadline, alive(pids)
        time.sleep(0.01)

    code, document = ask("status", "--interval", "0.05")
    assert code == 1
    assert FEED in document["unwell"]
    assert ask("clean") == (0, {"removed": [*segment_names(namespace)], "kept": []})
    assert segment.names(namespace) == []


def segment_names(namespace: str) -> list[str]:
    parts = ["analysis", "books", "connections", "control", "dials", "dirty", "funding", "health"]
    parts += ["pools", "ring.signals", "store", "tapes", "wants", "why"]
    return [f"/{namespace}.{part}" for part in parts]
