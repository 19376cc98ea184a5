"""Who looks on for long has the settings that the engine has: not those it started with, nor files
that nobody has taken."""

from typing import Any

from spread_scanner import config
from spread_scanner.schema.enums import ReloadOutcome
from spread_scanner.shm import Control
from spread_scanner.view.in_force import SettingsInForce

ENGINE = "spread-engine"


def write(bed: Any, enter_bps: float) -> config.Settings:
    text = f"[defaults]\nenter_bps = {enter_bps}\nexit_bps = 1.0\n"
    (bed.settings.folder / "directions.toml").write_text(text, encoding="utf-8")
    return config.load(bed.settings.folder)


def enter_bps(settings: config.Settings) -> float:
    return settings.directions.defaults.enter_bps


def test_what_the_engine_has_is_taken_and_nothing_else(up_bed: Any) -> None:
    looks = SettingsInForce(up_bed.settings)
    before = enter_bps(looks.now)
    with Control.attach(up_bed.namespace) as control:
        assert not looks.look(), "there is no engine"
        with control.claim(ENGINE) as slot:
            slot.answer(1, ReloadOutcome.STARTED, up_bed.settings.digest)
            assert not looks.look()
            new = write(up_bed, before + 7)
            assert not looks.look(), "nobody has taken it"
            slot.answer(2, ReloadOutcome.REFUSED, up_bed.settings.digest, "no")
            assert not looks.look()
            slot.answer(3, ReloadOutcome.APPLIED, new.digest)
            assert looks.look()
            assert enter_bps(looks.now) == before + 7
            assert not looks.look(), "once"
            newer = write(up_bed, before + 9)
            slot.answer(4, ReloadOutcome.APPLIED, newer.digest)
            (up_bed.settings.folder / "directions.toml").write_text("edited [", encoding="utf-8")
            assert not looks.look()
            assert enter_bps(looks.now) == before + 7
            write(up_bed, before + 9)
            assert looks.look()
            assert looks.now.digest == newer.digest
    looks.close()


def test_a_system_that_is_not_up_changes_nothing(bed: Any) -> None:
    looks = SettingsInForce(bed.settings)
    assert not looks.look()
    assert looks.now is bed.settings
    looks.close()
