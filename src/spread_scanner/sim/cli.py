"""exchange-sim's command line: options in, one ready line out, SIGTERM ends it cleanly."""

import asyncio
import gc
import signal
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import uvloop

from spread_scanner.schema.enums import DIRECTION_BY_LABEL, DIRECTIONS, SOURCE_BY_LABEL
from spread_scanner.schema.pools import POOLS_MAX
from spread_scanner.sim.actions import check
from spread_scanner.sim.configout import write_config
from spread_scanner.sim.exchange import Exchange8
from spread_scanner.sim.flood import Flood, FloodOptions, flood
from spread_scanner.sim.options import Options, sources_of
from spread_scanner.sim.planting import Planting
from spread_scanner.sim.pool_truth import network_fee_bps

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def thresholds_of(text: str) -> tuple[float, dict[str, float]]:
    """A number for all, or a JSON object by direction label (key "default" for the others)."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise typer.BadParameter(f"not a number and not JSON: {text}") from None
    if isinstance(value, int | float):
        return float(value), {}
    unknown = set(value) - {"default"} - set(DIRECTION_BY_LABEL)
    if unknown:
        raise typer.BadParameter(f"unknown directions: {', '.join(sorted(unknown))}")
    return float(value.pop("default", 40.0)), {key: float(bps) for key, bps in value.items()}


def script_of(path: Path | None) -> tuple[dict[str, Any], ...]:
    """Actions from JSON lines, or from a TOML file with [[action]] tables."""
    if path is None:
        return ()
    try:
        if path.suffix == ".toml":
            actions = tomllib.loads(path.read_text(encoding="utf-8")).get("action", [])
        else:
            lines = path.read_text(encoding="utf-8").splitlines()
            actions = [orjson.loads(line) for line in lines if line.strip()]
        for action in actions:
            check(action)
            float(action["at_s"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise typer.BadParameter(f"{path}: {error!r}") from None
    return tuple(actions)


def span_of(text: str) -> tuple[float, float]:
    """ "0.5,3" as two numbers."""
    low, _, high = text.partition(",")
    try:
        return float(low), float(high or low)
    except ValueError:
        raise typer.BadParameter(f"expected LOW,HIGH: {text}") from None


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    seed: Annotated[int, typer.Option(help="Same seed and script, same market.", min=0)] = 1,
    symbols: Annotated[int, typer.Option(help="Symbols listed per source.")] = 300,
    port: Annotated[int, typer.Option(help="TCP port on loopback; 0: any free one.")] = 0,
    rate: Annotated[float, typer.Option(help="Quotes per second, all sources together.")] = 5_000.0,
    seconds: Annotated[
        float | None, typer.Option(help="End after so long; default: never.")
    ] = None,
    tick_ms: Annotated[float, typer.Option(help="Length of a logical tick.")] = 2.0,
    epoch_ns: Annotated[
        int | None, typer.Option(help="Fixed time base: time stamps come from the ticks.")
    ] = None,
    script: Annotated[Path | None, typer.Option(help="Actions, JSON lines or TOML.")] = None,
    truth: Annotated[Path | None, typer.Option(help="Where the intervals are written.")] = None,
    sent: Annotated[Path | None, typer.Option(help="Where the last quotes are written.")] = None,
    threshold_bps: Annotated[
        str, typer.Option(help="Gross threshold: a number, or JSON by direction.")
    ] = "40",
    plant_every_s: Annotated[float, typer.Option(help="Plant at random so often; 0: never.")] = 0.0,
    plant_over_bps: Annotated[str, typer.Option(help="LOW,HIGH over the threshold.")] = "15,80",
    plant_hold_s: Annotated[str, typer.Option(help="LOW,HIGH seconds.")] = "0.5,3",
    characters: Annotated[
        float, typer.Option(help="Share of coins that revert, stand apart, are wide or jump.")
    ] = 0.0,
    recording: Annotated[
        list[str] | None, typer.Option(help="source=FILE[:SYMBOL], may be repeated.")
    ] = None,
    speed: Annotated[float, typer.Option(help="Speed of the recording.")] = 1.0,
    play: Annotated[str, typer.Option(help="auto: when all are subscribed; request.")] = "auto",
    life_s: Annotated[float | None, typer.Option(help="The 24 h cut, shortened.")] = None,
    time_scale: Annotated[float, typer.Option(help="Scales ping and idle times.")] = 1.0,
    pools: Annotated[
        int, typer.Option(help="Pools of Solana, with three RPC providers.", min=0, max=POOLS_MAX)
    ] = 0,
    pool_faults_s: Annotated[
        float, typer.Option(help="A fault of a provider or the chain so often; 0: none.", min=0)
    ] = 0.0,
    config_out: Annotated[Path | None, typer.Option(help="Write a config folder here.")] = None,
) -> None:
    """Eight pretend sources on loopback until SIGTERM."""
    if context.invoked_subcommand is not None:
        return
    default_bps, by_direction = thresholds_of(threshold_bps)
    over, hold = span_of(plant_over_bps), span_of(plant_hold_s)
    config_out = config_out.resolve() if config_out is not None else None
    options = Options(
        seed=seed, symbols=symbols, rate=rate, tick_ms=tick_ms, port=port, epoch_ns=epoch_ns,
        thresholds=by_direction, threshold_bps=default_bps, life_s=life_s, time_scale=time_scale,
        planting=Planting(plant_every_s, *over, *hold), script=script_of(script),
        truth_path=truth, sent_path=sent, recordings=tuple(recording or ()), speed=speed, play=play,
        characters=characters, pools=pools, pool_faults_s=pool_faults_s,
    )  # fmt: skip
    uvloop.run(_serve(options, seconds, config_out))


async def _serve(options: Options, seconds: float | None, config_out: Path | None) -> None:
    exchange = Exchange8(options)
    await exchange.start()
    solana = exchange.solana
    # What stands now stands for ever; short-lived tuples must not make the collector walk it.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, exchange.stopping.set)
    loop.add_signal_handler(signal.SIGUSR1, exchange.write_sent)
    sources = sources_of(exchange.port)
    if config_out is not None:
        thresholds = {way.label: options.threshold(way.label) for way in DIRECTIONS}
        pools = solana.pools_toml() if solana is not None else ""
        sol_px = next(coin.price for coin in exchange.universe.coins if coin.name == "SOL")
        write_config(config_out, sources, thresholds, pools, network_fee_bps(sol_px))
    ready = {
        "ready": True,
        "port": exchange.port,
        "control": f"http://127.0.0.1:{exchange.port}/control",
        "config": str(config_out) if config_out is not None else None,
        "sources": sources,
        "solana": f"http://127.0.0.1:{solana.port}" if solana is not None else None,
    }
    _say(ready)
    try:
        await exchange.run(seconds)
    finally:
        await exchange.stop()


@app.command("flood")
def flood_command(
    source: Annotated[str, typer.Option(help="Which source's frames.")],
    rate: Annotated[float, typer.Option(help="Messages per second; 0: flat out.")] = 0.0,
    seconds: Annotated[float, typer.Option(help="How long.")] = 5.0,
    batch: Annotated[int, typer.Option(help="Frames per write.")] = 1_024,
    port: Annotated[int, typer.Option(help="TCP port on loopback; 0: any free one.")] = 0,
    seed: Annotated[int, typer.Option(help="As of the simulator beside it.", min=0)] = 1,
    symbols: Annotated[int, typer.Option(help="As of the simulator beside it.")] = 300,
    connections: Annotated[int, typer.Option(help="Subscribers to wait for.")] = 1,
    messages: Annotated[int, typer.Option(help="End after so many; 0: by time.")] = 0,
    linger_s: Annotated[float, typer.Option(help="Stay connected afterwards.")] = 10.0,
    tls: Annotated[Path | None, typer.Option(help="PEM with certificate and key.")] = None,
) -> None:
    """Burst prebuilt frames of one source at whoever subscribes; report what was sent."""
    if source not in SOURCE_BY_LABEL:
        raise typer.BadParameter(f"unknown source: {source}")
    options = FloodOptions(
        source=source, rate=rate, seconds=seconds, batch=batch, port=port, seed=seed,
        symbols=symbols, connections=connections, messages=messages, linger_s=linger_s, tls_pem=tls,
    )  # fmt: skip

    def started(sender: Flood) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(sender, "stopping", True))

    flood(options, _say, started)


def _say(payload: dict[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(payload).decode() + "\n")
    sys.stdout.flush()


def main() -> None:
    """The bin's entry."""
    app()
