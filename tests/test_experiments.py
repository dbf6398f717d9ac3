"""Every experiment file composes, and all that it asks for passes the checks that need no data."""

import pytest

from alrun.config import config_dir
from alrun.errors import UserError
from alrun.launch import cells

NAMES = sorted(path.stem for path in (config_dir() / "experiment").glob("*.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_its_cells_compose(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALRUN_DATA", "/nowhere")
    found = cells([f"experiment={name}", "seed=0", "budget=low"], multirun=True)
    assert found and all(cell.run.seed == 0 for cell in found)


def test_a_quoted_pattern_is_one_message() -> None:
    with pytest.raises(UserError, match="list of the sweep"):
        cells(["dataset=digits", "strategy=glob(*,exclude=['b*'])"], multirun=True)
