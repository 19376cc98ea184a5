"""Whatever stands in the four files and the variables: Settings or a ConfigError, nothing else."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from spread_scanner import config
from spread_scanner.config import pools, restart
from spread_scanner.config import settings as sections
from spread_scanner.errors import ConfigError
from spread_scanner.schema.enums import EXCHANGE_DIRECTIONS, EXCHANGE_SOURCES

SHIPPED = Path(__file__).parents[3] / "config"
FILES = {
    "config.toml": config.Config,
    "exchanges.toml": dict[str, config.SourceSettings],
    "directions.toml": config.Directions,
    "pools.toml": config.PoolSettings,
}
NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 1, 10, 64, 1_000, 2**63, 2**64, 10**400]),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e308, 5e-324, -1e9, 0.5]),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "BTC-USDT", "okx-spot:X", "binance-bybit:BTC-USDT", "http://[x", "\0", "#"]
    ),
)
DATES = st.sampled_from(["1979-05-27", "1979-05-27T07:32:00Z", "07:32:00"])


def written(value: Any) -> str:
    """A value as TOML; a `Mapping` becomes an inline table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return (
            value if value in ("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00") else quoted(value)
        )
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{quoted(key)} = {written(one)}" for key, one in value.items()) + "}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


def quoted(text: str) -> str:
    plain = text.encode(errors="replace").decode()
    return json.dumps(plain, ensure_ascii=False).replace("\x7f", "\\u007f")


def values() -> st.SearchStrategy[Any]:
    plain = st.one_of(NUMBERS, TEXTS, DATES, st.booleans())
    return st.one_of(plain, st.lists(plain, max_size=3), st.dictionaries(TEXTS, plain, max_size=3))


def fitting(hint: Any) -> st.SearchStrategy[Any]:
    """Mostly what a key wants, so that a file is often right in all but one place."""
    bare = hint
    while get_origin(bare) is Annotated:
        bare = get_args(bare)[0]
    if isinstance(bare, type) and issubclass(bare, Struct):
        return table(bare)
    if get_origin(bare) is Literal:
        return st.sampled_from(get_args(bare))
    if get_origin(bare) is dict:
        keys = st.sampled_from(
            ["BTC-USDT", "okx-spot:X", "binance-bybit", "binance-bybit:BTC-USDT", "vip1"]
        )
        return st.dictionaries(keys, fitting(get_args(bare)[1]), max_size=2)
    if get_origin(bare) is list:
        return st.lists(fitting(get_args(bare)[0]), max_size=2)
    fits = {int: st.integers(0, 5_000), float: st.floats(0, 5_000), str: TEXTS, bool: st.booleans()}
    return fits.get(bare, NUMBERS)


def table(struct: type[Struct]) -> st.SearchStrategy[dict[str, Any]]:
    hints = get_type_hints(struct, include_extras=True)
    keys = {
        field.encode_name: st.one_of(fitting(hints[field.name]), values())
        for field in msgspec.structs.fields(struct)
    }
    return st.fixed_dictionaries({}, optional=keys)


def files() -> st.SearchStrategy[dict[str, str]]:
    url = {"rest_url": "https://h", "ws_url": "wss://h"}
    right = {row.label: url for row in EXCHANGE_SOURCES}
    labels = st.sampled_from([*right, "okx"])
    exchanges = st.builds(
        lambda label, keys: {**right, label: {**url, **keys}}, labels, table(config.SourceSettings)
    )
    feeds = st.dictionaries(
        st.sampled_from([row.process for row in EXCHANGE_SOURCES]), table(config.Feed)
    )
    general = st.builds(lambda a, b: {**a, **b}, table(config.Config), feeds)
    return st.fixed_dictionaries(
        {
            "config.toml": st.one_of(general, st.dictionaries(TEXTS, values())).map(document),
            "exchanges.toml": st.one_of(st.just(""), exchanges.map(document)),
            "directions.toml": table(config.Directions).map(document),
            "pools.toml": st.one_of(st.just(""), table(config.PoolSettings).map(document)),
        }
    )


def document(tables: Mapping[str, Any]) -> str:
    return "\n".join(f"{quoted(key)} = {written(value)}" for key, value in tables.items())


def variables() -> st.SearchStrategy[dict[str, str]]:
    words = ["SYSTEM", "FEED_OKX_SPOT", "EXCHANGES", "DIRECTIONS", "OKX_SPOT", "DEFAULTS", "SYMBOL"]
    words += ["BTC_USDT", "ENTER_BPS", "NAMESPACE", "MAX_SYMBOLS", "SYMBOLS", "ALIAS", "X", "", "_"]
    names = st.lists(st.sampled_from(words), min_size=1, max_size=4).map("__".join)
    odd = st.sampled_from(["\udcff", "1\nsystem = 2", "[" * 2_000, "9" * 5_000, "''", '"'])
    return st.dictionaries(
        names.map("SPREAD_{}".format), st.one_of(odd, TEXTS, values().map(written)), max_size=2
    )


def refusal(folder: Path, environ: Mapping[str, str]) -> ConfigError | None:
    """Why the folder is not taken; what is taken can be used."""
    try:
        loaded = config.load(folder, environ)
    except ConfigError as error:
        return error
    assert loaded.digest
    assert restart.kept(loaded, "spread-engine")
    for direction in EXCHANGE_DIRECTIONS:
        merged = loaded.directions.thresholds(direction.label, "BTC-USDT")
        assert merged.exit_bps <= merged.enter_bps
    return None


def check(error: ConfigError | None) -> None:
    """A refusal says where it is."""
    assert error is None or {"file", "variable"} & error.evidence.keys(), str(error)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@settings(max_examples=60, deadline=None, print_blob=True)
@given(texts=files(), environ=variables())
def test_any_files_and_variables(folder: Path, texts: dict[str, str], environ: Any) -> None:
    for name, text in texts.items():
        (folder / name).write_text(text or (SHIPPED / name).read_text(), encoding="utf-8")
    check(refusal(folder, environ))


@settings(max_examples=60, deadline=None, print_blob=True)
@given(data=st.data(), name=st.sampled_from(sorted(FILES)))
def test_any_single_key_of_the_shipped_files(folder: Path, data: Any, name: str) -> None:
    """One odd value among right ones: the refusal names the file and the key."""
    for shipped in FILES:
        (folder / shipped).write_text((SHIPPED / shipped).read_text(), encoding="utf-8")
    places: dict[str, tuple[str, type[Struct]]] = {
        "config.toml": ("system", config.System),
        "exchanges.toml": ("okx-spot", config.SourceSettings),
        "directions.toml": ("defaults", config.Thresholds),
        "pools.toml": ("fees", pools.FeeSettings),
    }
    section, struct = places[name]
    keys = [field.encode_name for field in msgspec.structs.fields(struct)]
    key, value = data.draw(st.sampled_from(keys)), data.draw(values())
    tables = msgspec.toml.decode((folder / name).read_bytes())
    tables.setdefault(section, {})[key] = value
    (folder / name).write_text(document(tables), encoding="utf-8")
    error = refusal(folder, {})
    if error is not None:
        assert error.evidence["file"] == folder / name
        assert str(error.evidence["key"]).startswith(section), str(error)


@settings(max_examples=100, deadline=None, print_blob=True)
@given(content=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)))
def test_any_bytes(folder: Path, content: bytes) -> None:
    for shipped in FILES:
        (folder / shipped).write_bytes((SHIPPED / shipped).read_bytes())
    (folder / "config.toml").write_bytes(content)
    check(refusal(folder, {}))


def test_every_number_has_a_range() -> None:
    """A number without a lower and an upper bound is one that nobody has thought about."""
    structs = [
        one
        for module in (sections, pools)
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, Struct) and one.__module__ == module.__name__
    ]
    assert {config.Alerts, config.Thresholds, pools.FeeSettings} < set(structs)
    for struct in structs:
        for name, hint in get_type_hints(struct, include_extras=True).items():
            for number, metas in numbers_in(hint, ()):
                low = any(meta.ge is not None or meta.gt is not None for meta in metas)
                high = any(meta.le is not None or meta.lt is not None for meta in metas)
                assert (low, high) == (True, True), f"{struct.__name__}.{name}: {number.__name__}"


def numbers_in(hint: Any, metas: tuple[Meta, ...]) -> list[tuple[type, tuple[Meta, ...]]]:
    """Every int and float in a type, with the annotations around it."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        return numbers_in(inner, (*metas, *(one for one in more if isinstance(one, Meta))))
    if hint in (int, float):
        return [(hint, metas)]
    return [found for inner in get_args(hint) for found in numbers_in(inner, ())]
