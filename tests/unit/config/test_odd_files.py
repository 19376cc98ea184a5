"""Files and folders that are not what they should be, and what a refusal says of them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from spread_scanner import config
from spread_scanner.config import files
from spread_scanner.errors import ConfigError

SHIPPED = Path(__file__).parents[3] / "config"
BOM = b"\xef\xbb\xbf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SHIPPED, tmp_path / "config")
    return tmp_path / "config"


def refusal(folder: Path, environ: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config.load(folder, environ or {})
    return caught.value


def test_a_byte_order_mark_changes_nothing(folder: Path) -> None:
    plain = config.load(folder, {}).digest
    for name in ("config.toml", "exchanges.toml", "directions.toml"):
        path = folder / name
        path.write_bytes(BOM + path.read_bytes())
    assert config.load(folder, {}).digest == plain


@pytest.mark.parametrize("name", ["config.toml", "exchanges.toml", "directions.toml"])
def test_a_folder_in_place_of_a_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()
    error = refusal(folder)
    assert "cannot be read: Is a directory" in str(error)
    assert error.evidence["file"] == folder / name


@pytest.mark.parametrize("name", ["config.toml", "exchanges.toml", "directions.toml"])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "a pipe, socket or device, not a file"),  # it was waited for, for ever
        (lambda path: path.symlink_to("/dev/zero"), "a pipe, socket or device, not a file"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),  # defaults were taken
        (lambda path: path.write_text("#" * (1 << 20) + "\n"), "larger than 1,048,576 bytes"),
    ],
    ids=["pipe", "device", "dangling link", "huge"],
)
def test_what_is_no_file_to_read_is_named(
    folder: Path, name: str, make: Callable[[Path], object], said: str
) -> None:
    (folder / name).unlink()
    make(folder / name)
    error = refusal(folder)
    assert f"cannot be read: {said}" in str(error)
    assert error.evidence["file"] == folder / name


@pytest.mark.parametrize("key", ["ca_file", "telegram_token_file"])
def test_a_pipe_in_place_of_a_file_that_settings_name_is_not_waited_for(
    folder: Path, key: str
) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    environ = {
        "ca_file": {"SPREAD_EXCHANGES__OKX_SPOT__CA_FILE": str(pipe)},
        "telegram_token_file": {
            "SPREAD_SPREAD_ALERTS__TELEGRAM_TOKEN_FILE": str(pipe),
            "SPREAD_SPREAD_ALERTS__TELEGRAM_CHAT_ID": "1",
        },
    }
    settings = config.load(folder, environ[key])
    (error,) = files.wrong_files(settings)
    assert str(pipe) in str(error)
    assert "a pipe" in str(error)


@pytest.mark.parametrize(("text", "said"), [('""', "it is empty"), (r'"a\u0000"', "a zero byte")])
def test_a_path_that_is_none_is_said_plainly(folder: Path, text: str, said: str) -> None:
    (folder / "config.toml").write_text(f"[system]\ndata_dir = {text}\n")
    assert said in str(refusal(folder))


def test_a_variable_that_names_no_section_is_named(folder: Path) -> None:
    error = refusal(folder, {"SPREAD_NOTHING__X": "1"})
    assert error.evidence["variable"] == "SPREAD_NOTHING__X"
    assert "unknown section" in str(error)


def test_a_variable_with_one_underscore_too_few_is_named(folder: Path) -> None:
    error = refusal(folder, {"SPREAD_SPREAD_ENGINE_IDLE": "spin"})
    assert error.evidence["variable"] == "SPREAD_SPREAD_ENGINE_IDLE"
    assert error.evidence["meant"] == "SPREAD_SPREAD_ENGINE__IDLE"
    config.load(folder, {"SPREAD_DATA": "1", "SPREAD_SYSTEM_OF_MINE": "1"})  # not ours to judge


def test_a_file_in_place_of_the_folder_is_named() -> None:
    assert "/etc/passwd/config.toml" in str(refusal(Path("/etc/passwd")))


def test_a_file_that_may_not_be_read_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, **_: object) -> str:
        raise PermissionError(13, os.strerror(13), str(path))

    monkeypatch.setattr(Path, "read_text", refuse)  # root may read everything
    assert "cannot be read: Permission denied" in str(refusal(folder))


def test_a_loop_of_links_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert str(tmp_path / "a") in str(refusal(tmp_path / "a"))


@pytest.mark.parametrize("name", ["feed-binance-spot", "system", "pair-discovery", "feed"])
@pytest.mark.parametrize("value", ["5", '"x"', "[1]", "true", "1979-05-27"])
def test_a_section_that_is_no_table_is_named(folder: Path, name: str, value: str) -> None:
    (folder / "config.toml").write_text(f"{name} = {value}\n")
    error = refusal(folder)
    assert "a section is wanted" in str(error)
    assert error.evidence["key"] == name


@pytest.mark.parametrize("section", ["binance-spot", "okx-spot", "mexc-futures"])
def test_an_error_says_in_which_of_the_eight_sections_it_is(folder: Path, section: str) -> None:
    text = (folder / "exchanges.toml").read_text()
    wrong = text.replace(f"[{section}]\n", f'[{section}]\nfee_tier = "ten"\n')
    (folder / "exchanges.toml").write_text(wrong)
    assert refusal(folder).evidence["key"] == f"{section}.fee_tier"
    wrong = text.replace(f"[{section}]\n", f"[{section}]\nfunding_bulk = 1\n")
    (folder / "exchanges.toml").write_text(wrong)
    error = refusal(folder)
    assert error.evidence["key"] == f"{section}.funding_bulk"
    assert "Expected `bool`, got `int`" in str(error)
    assert "funding is asked for listing by listing" in str(error)


def test_what_is_allowed_is_what_can_be_written(folder: Path) -> None:
    (folder / "config.toml").write_text("[sytem]\n")
    allowed = str(refusal(folder).evidence["allowed"]).split(", ")
    assert "system" in allowed
    for name in (row.replace("<source>", "okx-spot") for row in allowed):
        (folder / "config.toml").write_text(f"[{name}]\n")
        config.load(folder, {})


def test_a_number_where_text_is_wanted_asks_for_quotes(folder: Path) -> None:
    (folder / "config.toml").write_text("[spread-alerts]\ntelegram_chat_id = -1001234567890\n")
    error = refusal(folder)
    assert error.evidence["key"] == "spread-alerts.telegram_chat_id"
    assert "text stands in quotes" in str(error)


def test_a_bad_variable_is_named_and_not_only_a_file_that_does_not_hold_it(folder: Path) -> None:
    error = refusal(folder, {"SPREAD_SYSTEM__MAX_SYMBOLS": "many"})
    assert error.evidence["variable"] == "SPREAD_SYSTEM__MAX_SYMBOLS"
    assert error.evidence["key"] == "system.max_symbols"
    error = refusal(folder, {"SPREAD_EXCHANGES__OKX_SPOT__CHANNEL": "nope"})
    assert error.evidence["variable"] == "SPREAD_EXCHANGES__OKX_SPOT__CHANNEL"


def test_two_sections_that_only_together_contradict_are_found(folder: Path) -> None:
    (folder / "directions.toml").write_text(
        "[defaults]\nenter_bps = 10.0\nexit_bps = 1.0\n[direction.okx-mexc]\nenter_bps = 3.0\n"
        '[symbol."BTC-USDT"]\nexit_bps = 8.0\n'
    )
    error = refusal(folder)
    assert error.evidence["key"] == "symbol.BTC-USDT.exit_bps"
    assert "okx-mexc" in str(error)
