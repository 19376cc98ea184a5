"""What `up` shows of the system that it runs."""

from typing import Any

import pytest

from spread_scanner import config
from spread_scanner.supervise.observer import Observer


def test_thresholds_are_those_that_were_reloaded(up_bed: Any) -> None:
    observer = Observer(up_bed.settings)
    try:
        observer.look()
        assert observer.board is not None
        board, looks = observer.board, observer.status
        observer.use(up_bed.settings)
        assert observer.board is board, "they are the same"
        assert observer.status is looks
        text = "[defaults]\nenter_bps = 77.0\nexit_bps = 1.0\n"
        (up_bed.settings.folder / "directions.toml").write_text(text, encoding="utf-8")
        observer.use(config.load(up_bed.settings.folder))
        assert observer.board.rows()["enter_bps"].tolist() == pytest.approx([77.0] * board.pairs)
    finally:
        observer.close()
