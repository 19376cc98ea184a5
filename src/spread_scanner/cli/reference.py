"""The reference pages, generated: settings from config, counters from the registry, records.

    python -m spread_scanner.cli.reference [FOLDER]      default: the checkout that this is in

Writes configuration.md, counters.md and schema.json in docs/, and the types of clients/typescript.
A test fails when they differ from what this writes, so that no setting, counter or field of a
record is added without its line there.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from spread_scanner import config
from spread_scanner.cli import as_toml, schema, typescript
from spread_scanner.config import restart
from spread_scanner.gateway.api import openapi
from spread_scanner.schema.counters import (
    FEED_COUNTERS,
    Counter,
    Histogram,
    counters_of,
    histograms_of,
)
from spread_scanner.schema.enums import (
    DIRECTIONS,
    EXCHANGE_SOURCES,
)
from spread_scanner.schema.names import GATEWAY, PROCESSES
from spread_scanner.view.signals import FollowUpView, SignalView

GENERATED = "<!-- Written by `python -m spread_scanner.cli.reference`; edit the source instead. -->"

EVERYBODY_KEPT = ", ".join(f"`{key}`" for key in restart.EVERYBODY)
GATEWAY_KEPT = ", ".join(f"`{key}`" for key in restart.MORE[GATEWAY] if key not in restart.WHETHER)

CONFIGURATION = f"""{GENERATED}

# Configuration

Four TOML files in one folder: the one that `SPREAD_CONFIG_DIR` names, else `./config`, else
`/etc/spread-scanner`. `spread-ctl --namespace X` takes that of the system that runs in X.
Every process reads them at start and at `spread-ctl reload`. Units stand at
the end of a name: `_ms`, `_s`, `_bps`. A key that does not exist, or a value out of its range, is
refused with the file, the key and what is allowed; `spread-ctl doctor` checks all of it.

An environment variable overrides a key. `SPREAD_<SECTION>__<KEY>` is for config.toml, for example
`SPREAD_SYSTEM__NAMESPACE=test`; `SPREAD_EXCHANGES__<SOURCE>__<KEY>` and
`SPREAD_DIRECTIONS__<SECTION>__<KEY>` are for the next two; pools.toml takes none. Dashes become
underscores; a value is written as in TOML, and where text is wanted it needs no quotes.

What takes effect when: `spread-ctl reload` takes everything but what it refuses by name, as it
needs a restart: {EVERYBODY_KEPT} (of the whole system), a process's `cpus`, and of [{GATEWAY}]
{GATEWAY_KEPT} and whether there is a `tls_certificate` (of that process). Discovery reads
[pair-discovery] and [symbols] at its next run, with a reload or without; `discover_every_s`,
`look_every_s` and `funding_every_s` are read by `spread-ctl up`, which takes them with a reload.
"""

STREAMED = (SignalView, FollowUpView)  # of the gateway's records, by its stream alone
COUNTERS = f"""{GENERATED}

# Counters and latencies

Every process counts what it does, and above all what it does not do, in its row of shared memory.
`spread-ctl status --counters` shows those that are not zero, `spread-ctl status --json` all of
them, under the labels below. Counters go on counting over restarts of a process and begin anew when
shm-init makes new segments. Latencies are histograms with a relative error below 4 %.

A counter that begins with `skip_` is something that arrived and was not used; with `no_`, an
evaluation over the threshold that made no signal; `ring_full`, `rows_dropped` and `refused_full`
are losses.
"""


def main() -> None:
    """Write all of them."""
    here = Path(__file__).parents[3]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
        print(f"wrote {folder / name}")


def pages() -> dict[str, str]:
    """Path in the checkout -> text."""
    return {
        "docs/configuration.md": CONFIGURATION + "\n" + "\n".join(_settings()),
        "docs/counters.md": COUNTERS + "\n" + "\n".join(_counters()),
        "docs/schema.json": schema.document().decode(),
        "clients/typescript/src/records.ts": typescript.records(openapi(), STREAMED),
    }


def _settings() -> Iterator[str]:
    yield "## config.toml\n"
    fields = msgspec.structs.fields(config.Config)
    for field in fields:
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from _section(f"[{field.encode_name}]", field.type)
    sources = ", ".join(f"`{source.label}`" for source in EXCHANGE_SOURCES)
    yield (
        "A section named after one feed, for example "
        f"`[{EXCHANGE_SOURCES[0].process}]`, holds keys of `[feed]` for that feed alone.\n"
    )
    yield "## exchanges.toml\n"
    yield f"One section per source: {sources}.\n"
    yield from _section("[SOURCE]", config.SourceSettings)
    yield "## directions.toml\n"
    labels = ", ".join(f"`{direction.label}`" for direction in DIRECTIONS)
    yield (
        "A direction is named by the exchange of the spot leg, then that of the perpetual: "
        f"{labels}. Those from pools of Solana are disabled unless `enabled` is set for them.\n"
    )
    yield from _section("[defaults]", config.Thresholds)
    yield (
        f'`[direction.{DIRECTIONS[0].label}]`, `[symbol."BTC-USDT"]` and '
        f'`[pair."{DIRECTIONS[0].label}:BTC-USDT"]` hold any of the same keys for one direction, '
        "one symbol, or one symbol in one direction. The most special one wins, key by key.\n"
    )
    yield from _section("[symbols]", config.Symbols)


def _section(title: str, struct: type[Struct]) -> Iterator[str]:
    yield f"### {title}\n"
    yield (struct.__doc__ or "").strip().splitlines()[0] + "\n"
    hints = get_type_hints(struct, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(struct):
        hint = hints[field.name]
        rows.append((f"`{field.encode_name}`", _default(field), _allowed(hint), _description(hint)))
    yield from _table(("key", "default", "allowed", "meaning"), rows)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not NODEFAULT:
        value: Any = field.default_factory()
    elif field.default is NODEFAULT:
        return "required"
    else:
        value = field.default
    return "absent" if value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    """A default as it would be written in the file, large counts in groups of digits."""
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:_}"
    return as_toml.written(value)


def _given(hint: Any) -> Any:
    """Of a setting that may be absent, what it is when it is not."""
    kinds = [kind for kind in get_args(hint) if kind is not NoneType]
    return kinds[0] if get_origin(hint) in (Union, UnionType) else hint


def _metas(hint: Any) -> list[Meta]:
    """All of a hint's annotations, those of a named inner type first."""
    hint = _given(hint)
    if get_origin(hint) is not Annotated:
        return []
    inner, *metas = get_args(hint)
    return [*_metas(inner), *metas]


def _description(hint: Any) -> str:
    said = [meta.description for meta in _metas(hint) if meta.description]
    return said[-1] if said else ""


def _allowed(hint: Any) -> str:
    """The type and its range, for people."""
    bare = _given(hint)
    while get_origin(bare) is Annotated:
        bare = _given(get_args(bare)[0])
    if get_origin(bare) is Literal:
        return " or ".join(f'`"{choice}"`' for choice in get_args(bare))
    if get_origin(bare) is list:
        return f"list of {_kind(get_args(bare)[0])}"
    if get_origin(bare) is dict:
        return f"table of {_kind(get_args(bare)[1])}"
    bounds = _bounds(_metas(hint))
    return _kind(bare) + (f", {bounds}" if bounds else "")


def _kind(hint: Any) -> str:
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    names = {int: "whole number", float: "number", str: "text", bool: "`true` or `false`"}
    return names[hint]


def _bounds(metas: Iterable[Meta]) -> str:
    said = []
    for meta in metas:
        if meta.gt is not None:
            said.append(f"over {_whole(meta.gt)}")
        if meta.ge is not None and meta.le is not None:
            said.append(f"{_whole(meta.ge)} to {_whole(meta.le)}")
        elif meta.le is not None:
            said.append(f"at most {_whole(meta.le)}")
        if meta.pattern is not None:
            shown = meta.pattern.replace("|", "\\|")
            said.append(f"matching `{shown}`")
    return ", ".join(said)


def _whole(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else f"{bound:,}"


def _counters() -> Iterator[str]:
    seen: set[tuple[Counter, ...]] = set()
    for process in PROCESSES:
        counters, histograms = counters_of(process), histograms_of(process)
        if not counters or counters in seen:
            continue
        seen.add(counters)
        yield f"## {'feed-*' if counters is FEED_COUNTERS else process}\n"
        yield from _table(("counter", "meaning"), _rows(counters))
        if histograms:
            yield from _table(("latency", "meaning"), _rows(histograms))


def _rows(entries: Iterable[Counter | Histogram]) -> list[tuple[str, str]]:
    return [(f"`{entry.label}`", entry.sentence) for entry in entries]


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


if __name__ == "__main__":
    main()
