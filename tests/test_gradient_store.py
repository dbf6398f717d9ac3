"""Gradients on disk: equal when read back, and never computed twice."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import one_by_one, seer

from alrun.errors import UserError
from alrun.gradients import NetworkGradients
from alrun.gradients.store import stored
from alrun.numerics import projections
from alrun.numerics.reduction import Reduction
from alrun.types import Scope

IDX, LABELS = torch.tensor([7, 0, 3, 5, 8, 1, 2]), torch.tensor([0, 3, 1, 1, 2, 0, 3])


class Failing:
    """Gradients that end after some batches; counts the items it gave."""

    def __init__(self, batches: int = 100) -> None:
        self.inner, self.left, self.given = NetworkGradients(seer(), Scope.all), batches, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def vectors(self, part, idx, labels, reduction):
        for at, rows in self.inner.vectors(part, idx, labels, reduction):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.given += len(at)
            yield at, rows


def test_what_was_written_is_not_computed_again(tmp_path):
    expected = one_by_one(seer(), Scope.all, "pool", IDX, LABELS)
    with pytest.raises(KeyboardInterrupt):
        stored(tmp_path / "a/b", Failing(1), "pool", IDX, LABELS, about={"label": "true"}, dtype=np.float64)
    again = Failing()
    found = stored(tmp_path / "a/b", again, "pool", IDX, LABELS, about={"label": "true"}, dtype=np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)
    assert again.given == len(IDX) - 4
    third = Failing(0)
    np.testing.assert_array_equal(
        found, stored(tmp_path / "a/b", third, "pool", IDX, LABELS, about={"label": "true"}, dtype=np.float64)
    )
    assert third.given == 0 and not found.flags.writeable
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


KILLED = """
import os, signal, sys
sys.path[:0] = {paths!r}
from pathlib import Path
from test_gradient_store import Failing, IDX, LABELS, stored
gradients = Failing(2)
class Killed(Failing):
    def vectors(self, part, idx, labels, reduction):
        for k, found in enumerate(self.inner.vectors(part, idx, labels, reduction)):
            if k == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            yield found
stored(Path({folder!r}), Killed(), "pool", IDX, LABELS, about={{}})
"""


def test_a_kill_in_between_continues(tmp_path):
    here = Path(__file__).parent
    code = KILLED.format(paths=[str(here), str(here.parent)], folder=str(tmp_path / "store"))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert np.load(tmp_path / "store/done.npy", allow_pickle=False).sum() == 4
    again = Failing()
    found = stored(tmp_path / "store", again, "pool", IDX, LABELS, about={})
    expected = one_by_one(seer(), Scope.all, "pool", IDX, LABELS)
    np.testing.assert_allclose(found, expected.numpy().astype(np.float32), rtol=1e-6, atol=1e-9)
    assert again.given == 3 and found.dtype == np.float32


def test_other_gradients_are_refused(tmp_path):
    gradients = NetworkGradients(seer(), Scope.all)
    stored(tmp_path / "store", gradients, "pool", IDX, LABELS, about={})
    for other, key in (
        (lambda: stored(tmp_path / "store", gradients, "pool", IDX, LABELS.flip(0), about={}), "labels"),
        (lambda: stored(tmp_path / "store", gradients, "pool", IDX.flip(0), LABELS, about={}), "items"),
        (lambda: stored(tmp_path / "store", gradients, "pool", IDX, LABELS, about={"update": "adam"}), "about"),
        (
            lambda: stored(
                tmp_path / "store", NetworkGradients(seer(seed=1), Scope.all), "pool", IDX, LABELS, about={}
            ),
            "parameters",
        ),
    ):
        with pytest.raises(UserError, match=f"holds other gradients: {key}"):
            other()
    (tmp_path / "store/about.json").write_text("{")
    with pytest.raises(UserError, match="no store"):
        stored(tmp_path / "store", gradients, "pool", IDX, LABELS, about={})


def test_changed_and_projected_on_the_way(tmp_path):
    gradients = NetworkGradients(seer(), Scope.all)
    project = projections.draw_signs(16, np.random.default_rng(0))
    found = stored(
        tmp_path / "store",
        gradients,
        "pool",
        IDX,
        LABELS,
        about={},
        reduction=Reduction(unit=True, times=0.5, sketch=project),
        dtype=np.float64,
    )
    rows = one_by_one(seer(), Scope.all, "pool", IDX, LABELS)
    np.testing.assert_allclose(found, project(rows / rows.norm(dim=1, keepdim=True)) / 2, rtol=1e-7, atol=1e-12)


def test_another_reduction_is_another_store(tmp_path):
    gradients = NetworkGradients(seer(), Scope.all)
    size = len(gradients.parameters())
    one, other = (Reduction(sketch=projections.draw_count(size, 16, np.random.default_rng(seed))) for seed in (0, 1))
    stored(tmp_path / "store", gradients, "pool", IDX, LABELS, about={}, reduction=one)
    for changed in (other, one._replace(times=2.0), one._replace(unit=True)):
        with pytest.raises(UserError, match="holds other gradients: reduction"):
            stored(tmp_path / "store", gradients, "pool", IDX, LABELS, about={}, reduction=changed)


@pytest.mark.parametrize("kind", ["count", "signs", "two_sided"])
def test_projections_keep_inner_products_on_average(kind):
    shapes = [(6, 5), (7,), (4, 3, 2)]
    rows = torch.randn(4, 61, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = {
        "count": lambda rng: projections.draw_count(61, 20, rng),
        "signs": lambda rng: projections.draw_signs(20, rng),
        "two_sided": lambda rng: projections.draw_two_sided(shapes, 4, rng),
    }[kind]
    total, tries = torch.zeros(4, 4, dtype=torch.float64), 200
    for seed in range(tries):
        project = drawn(np.random.default_rng(seed))
        small = project(rows)
        torch.testing.assert_close(small, torch.cat([project(row[None]) for row in rows]))
        total += small @ small.T / tries
    assert (total - rows @ rows.T).abs().max() < 0.2 * float(rows.square().sum(1).max())


def test_a_dense_matrix_is_the_same_in_blocks(monkeypatch):
    rows = torch.randn(3, 50, dtype=torch.float64)
    whole = projections.draw_signs(8, np.random.default_rng(3))(torch.eye(50, dtype=torch.float64))
    assert set((whole * 8**0.5).round(decimals=9).unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(projections.draw_signs(8, np.random.default_rng(3))(rows), rows @ whole)


def test_a_side_that_is_short_stays_as_it_is():
    rows = torch.randn(3, 6 + 4, dtype=torch.float64)
    project = projections.draw_two_sided([(2, 3), (4,)], 8, np.random.default_rng(0))
    assert torch.equal(project(rows), rows)
