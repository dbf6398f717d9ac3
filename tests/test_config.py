"""What a run is called, and what its schema says."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import tiny

from alrun.config import IDENTITY, check, config_dir, plain, run_path
from alrun.errors import UserError
from alrun.launch import cells
from alrun.prepare import load_run

GROUPS = sorted(path.name for path in config_dir().iterdir() if path.is_dir() and path.name != "experiment")
OPTIONS = [(group, path.stem) for group in GROUPS for path in sorted((config_dir() / group).glob("*.yaml"))]


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_option_composes(group: str, name: str) -> None:
    needed = ["encoder.path=x.npy"] if (group, name) == ("encoder", "file") else []
    (cell,) = cells([f"{group}={name}", *needed], multirun=False)
    part = getattr(cell.run, group)
    assert (part["name"] if isinstance(part, dict) else part.name) == name
    first = (config_dir() / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ") and len(first) > 10, "the first line says what it is"


def test_what_changes_a_number_changes_the_name() -> None:
    base = run_path(tiny())
    for other in ("seed=1", "dataset.target=3", "strategy=margin", "model.penalty=0.5", "budget.clip=true"):
        assert run_path(tiny(other)) != base, other
    for other in ("runs_dir=elsewhere", "device=cpu", "threads=1"):
        assert run_path(tiny(other)) == base, other


def test_the_order_of_overrides_does_not_matter() -> None:
    one, two = ("seed=3", "dataset.label_noise=0.1"), ("dataset.label_noise=0.1", "seed=3")
    assert run_path(tiny(*one)) == run_path(tiny(*two))


def test_the_identity_is_all_but_where_and_on_what() -> None:
    others = {"oracle", "plugins", "runs_dir", "save_models", "device", "threads", "tracker"}
    assert set(plain(tiny())) == {*IDENTITY} | others


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\nb", "a\0b", "-x", " ", "x" * 101])
def test_a_name_must_be_a_part_of_a_path(name: str) -> None:
    run = tiny()
    with pytest.raises(UserError, match="cannot be part of a path"):
        run_path(replace(run, dataset=replace(run.dataset, name=name)))


@given(st.text(max_size=120))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    run = replace(RUN, dataset=replace(RUN.dataset, name=name))
    try:
        path = run_path(run)
    except UserError:
        return
    assert len(Path(path).parts) == 4
    assert Path(path).parts[0] == name
    assert not {"..", "."} & set(path.split("/"))


RUN = tiny()


def test_a_written_config_is_read_back_the_same(here: Path) -> None:
    from omegaconf import OmegaConf

    run = tiny("strategy=uherding", "dataset.label_noise=0.1", "budget.initial=random", "budget.initial_labels=2")
    folder = here / Path(run_path(run)).name
    folder.mkdir()
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(plain(run))))
    assert load_run(folder) == run


def test_check_names_the_value_and_the_way_out() -> None:
    with pytest.raises(UserError, match="seed=-3 is negative") as caught:
        check(replace(tiny(), seed=-3))
    assert caught.value.hints == ("seed=0 or more",)
