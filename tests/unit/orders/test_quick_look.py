"""What the supervisor's child does every few minutes, `discover --quick`, from the exchanges' lists
to the processes: what is new is published, everybody reloads, and alerts tell it once."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from alerts_bed import conditions_of
from living import living
from saved_world import ROWS, World
from typer.testing import CliRunner

from spread_scanner.cli import steer
from spread_scanner.discovery import main
from spread_scanner.schema.names import DISCOVERY, ENGINE
from spread_scanner.supervise.children import command_of


def test_a_new_listing_is_published_taken_and_told(
    bed: Any, spread_ctl: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, saved = World(), bed.folder / "saved"
    offline = ["--offline", str(world.write(saved))]
    monkeypatch.setattr(steer, "command_of", lambda _: [*command_of(DISCOVERY), *offline])
    assert CliRunner().invoke(main.app, offline).exit_code == 0
    bed.make_segments()
    with living(bed, ENGINE), conditions_of(bed.settings) as watch:
        assert not [one for one in watch.now() if one.key.startswith("added:")]
        for label, kinds in ROWS.items():
            for kind, make in kinds.items():
                world.rows[label, kind].append(make("NEW", 2.0))
        world.write(saved)
        code, out, err = spread_ctl("discover", "--quick", "--json")
        assert code == 0, err
        said = orjson.loads(out)
        assert said["published"]
        assert said["reload"]["answered_us"].keys() == {ENGINE}
        told = [one.text for one in watch.now() if one.key.startswith("added:")]
        assert len(told) == 1
        assert "NEW-USDT" in told[0]
        assert not [one for one in watch.now() if one.key.startswith("added:")], "told once"


def test_a_look_that_fails_says_why_in_its_document(
    bed: Any, spread_ctl: Callable[..., tuple[int, str, str]]
) -> None:
    bed.settings.generated_dir.mkdir(parents=True, exist_ok=True)
    code, out, _ = spread_ctl("discover", "--quick", "--json")
    said = orjson.loads(out)
    assert (code, said["ok"], said["exit_code"]) == (1, False, 1)
    assert "run spread-ctl discover" in said["error"]
