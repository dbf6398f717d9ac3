"""What a dry run tells, and what it does for that."""

from dataclasses import replace
from pathlib import Path

import pytest

from alrun.encoders.encoder import Encoder, Work
from alrun.launch import cells
from alrun.plan import plans
from alrun.prepare import prepare

SWEEP = ["dataset=digits", "dataset.pool=200", "budget=low", "strategy=random,badge", "seed=range(2)"]


def test_an_encoder_that_is_fitted_to_know_its_width_is_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALRUN_CACHE", str(tmp_path / "cache"))
    asked = []

    def start(device: str) -> Work:
        asked.append(device)
        return Work(7, [], lambda rows: rows)

    prepared = [prepare(point.run) for point in cells(SWEEP, multirun=True)]
    told = list(plans([replace(cell, encoder=Encoder({"method": "fitted"}, start)) for cell in prepared]))
    assert [lines["features"] for lines in told] == ["1,797 x 7 float32, to be computed"] * 4
    assert len(asked) == 1
