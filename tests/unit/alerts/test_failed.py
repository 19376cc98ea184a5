"""spread-failed tells once that a unit has failed, where spread-alerts is not there to tell it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alerts_bed import Target

from spread_scanner import clock
from spread_scanner.alerts import failed
from spread_scanner.schema.names import ALERTS

ROOT = Path(__file__).parents[3]
SAID = {
    "MONITOR_SERVICE_RESULT": "exit-code",
    "MONITOR_EXIT_CODE": "exited",
    "MONITOR_EXIT_STATUS": "2",
}

Write = Callable[[str], Path]


@pytest.fixture
def write(bed: Any) -> Write:
    """Puts a section [spread-alerts] into the settings."""
    path: Path = bed.folder / "config" / "config.toml"
    before = path.read_text()
    bed.settings.data_dir.mkdir(parents=True, exist_ok=True)

    def written(section: str) -> Path:
        path.write_text(f"{before}\n[{ALERTS}]\n{section}")
        return path

    return written


def keys(target: Target) -> list[object]:
    return [body["key"] for _, body in target.received]


def test_a_failed_unit_is_told_once_in_five_minutes(write: Write, target: Target) -> None:
    write(f'webhook_url = "{target.url}/first"\n')
    assert failed.main(["feed-okx-spot"], SAID) == 0
    assert failed.main(["feed-okx-spot.service"], SAID) == 0
    assert failed.main(["shm-init"], SAID) == 0
    assert keys(target) == ["unit:feed-okx-spot", "unit:shm-init"]
    (_, said), *_ = target.received
    assert "exit-code, exited, 2" in str(said["text"])


def test_what_ended_long_ago_is_told_again(bed: Any, write: Write, target: Target) -> None:
    write(f'webhook_url = "{target.url}/first"\n')
    failed.main([ALERTS], SAID)
    old_s = clock.wall_ns() / 1e9 - failed.AGAIN_S - 1
    os.utime(bed.settings.data_dir / f"failed.{ALERTS}", (old_s, old_s))
    failed.main([ALERTS], SAID)
    assert keys(target) == [f"unit:{ALERTS}"] * 2


def test_what_spread_alerts_tells_is_not_told_twice(
    up_bed: Any, write: Write, target: Target
) -> None:
    write(f'webhook_url = "{target.url}/first"\n')
    with up_bed.health() as health, health.claim(ALERTS) as row:
        row.beat()
        assert failed.main(["feed-okx-spot"], SAID) == 0
        assert keys(target) == []
        assert failed.main([ALERTS], SAID) == 0  # its own unit's end is
    assert failed.main(["feed-okx-spot"], SAID) == 0
    assert keys(target) == [f"unit:{ALERTS}", "unit:feed-okx-spot"]


def test_what_a_timer_starts_is_told_though_spread_alerts_runs_and_once_a_day(
    up_bed: Any, write: Write, target: Target
) -> None:
    """It has no row that anybody could watch, and fails with each turn of its timer."""
    write(f'webhook_url = "{target.url}/first"\n')
    mark = up_bed.settings.data_dir / "failed.spread-report"
    with up_bed.health() as health, health.claim(ALERTS) as row:
        for age_h in (0, 23, 25):
            row.beat()
            if age_h:
                old_s = clock.wall_ns() / 1e9 - age_h * 3_600
                os.utime(mark, (old_s, old_s))
            assert failed.main(["spread-report"], SAID) == 0
    assert keys(target) == ["unit:spread-report"] * 2


def test_bad_settings_are_told_of_as_long_as_its_own_section_is_good(
    write: Write, target: Target
) -> None:
    path = write(f'webhook_url = "{target.url}/first"\n')
    path.with_name("exchanges.toml").write_text("not TOML")
    assert failed.main(["spread-engine"], SAID) == 0
    assert keys(target) == ["unit:spread-engine"]
    write("webhook_url = 5\n")
    assert failed.main(["spread-engine"], SAID) == 2


def test_a_token_that_is_none_keeps_no_other_target_from_telling_it(
    bed: Any, write: Write, target: Target
) -> None:
    """It ends spread-alerts for good, and nobody else would tell that."""
    token = bed.folder / "token"
    token.write_text("no token of a bot")
    telegram = f'telegram_token_file = "{token}"\ntelegram_chat_id = "5"\n'
    write(f'webhook_url = "{target.url}/first"\n{telegram}')
    assert failed.main([ALERTS], SAID) == 0
    assert keys(target) == [f"unit:{ALERTS}"]
    write(telegram)
    assert failed.main([ALERTS], SAID) == 2


def test_a_target_that_fails_is_tried_a_few_times(
    bed: Any, write: Write, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed, "STOP_BOUND_S", 1.0)  # more would be tried for seconds
    write(f'webhook_url = "{target.url}/first"\n')
    target.status = 503
    assert failed.main(["shm-init"], SAID) == 1
    target.status = 200
    assert failed.main(["shm-init"], SAID) == 0  # what was not told is no reason to be silent
    assert keys(target) == ["unit:shm-init"]


def test_a_target_that_hangs_is_not_waited_for(
    write: Write, monkeypatch: pytest.MonkeyPatch, target: Target
) -> None:
    write(f'webhook_url = "{target.url}/first"\n')
    monkeypatch.setattr(failed, "STOP_BOUND_S", 0.05)  # 8 s as shipped
    hangs = threading.Event()
    monkeypatch.setattr(failed, "_tried", lambda *_: str(hangs.wait(60)))
    assert failed.main(["shm-init"], SAID) == 1
    hangs.set()


def test_nobody_is_to_be_told(write: Write) -> None:
    write("")
    assert failed.main(["shm-init"], SAID) == 0


def test_the_token_is_read_where_this_unit_was_given_it(tmp_path: Path) -> None:
    from spread_scanner.config import Alerts

    file = f"/run/credentials/{ALERTS}.service/telegram-token"
    given = failed._with_credentials(
        Alerts(telegram_token_file=file), {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    assert given.telegram_token_file == str(tmp_path / "telegram-token")
    mine = Alerts(telegram_token_file="/etc/mine")
    assert failed._with_credentials(mine, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == mine


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"SERVICE_RESULT": "success"}, False),  # an ExecStopPost after `systemctl stop`
        ({"SERVICE_RESULT": "signal", "EXIT_CODE": "killed", "EXIT_STATUS": "KILL"}, True),
        (SAID, True),
    ],
)
def test_the_script_of_the_units_tells_what_is_no_success(
    bed: Any, write: Write, target: Target, said: dict[str, str], told: bool
) -> None:
    write(f'webhook_url = "{target.url}/first"\n')
    environ = {
        "PATH": os.environ["PATH"],
        "SPREAD_BIN": str(Path(sys.executable).parent),
        "SPREAD_CONFIG_DIR": str(bed.folder / "config"),
        **said,
    }
    script = [str(ROOT / "deploy" / "tell-failed"), "spread-alerts"]
    assert subprocess.run(script, env=environ, timeout=60, check=False).returncode == 0
    assert keys(target) == ([f"unit:{ALERTS}"] if told else [])
