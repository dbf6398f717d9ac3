"""The map: deterministic, shared, stratified; placement against a naive version."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness

from alrun import maps
from alrun.errors import UserError
from alrun.maps import Map, cached_map, fit_map, place, run_map, subsample


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, labels and train rows: every second row of 400."""
    data = load_digits()
    return (data.data[:400] / 16).astype(np.float32), data.target[:400].astype(np.int64), np.arange(0, 400, 2)


@pytest.fixture(scope="module")
def plan(digits: tuple) -> Map:
    return fit_map(*digits)


def test_map_shows_neighbourhoods(digits: tuple, plan: Map) -> None:
    features, _, rows = digits
    assert (plan.rows == rows).all() and plan.xy.shape == (200, 2) and plan.xy.dtype == np.float32
    assert trustworthiness(features[rows], plan.xy, n_neighbors=5) > 0.9


def test_map_is_the_same_each_time_and_for_any_order_of_rows(digits: tuple, plan: Map) -> None:
    features, labels, rows = digits
    again = fit_map(features, labels, rows[::-1])
    assert (again.rows == plan.rows).all() and again.xy.tobytes() == plan.xy.tobytes()


@pytest.mark.slow
def test_map_does_not_depend_on_the_number_of_threads() -> None:
    code = (
        "import numpy as np; from alrun.maps import fit_map; from hashlib import sha256\n"
        "x = np.random.default_rng(0).normal(size=(300, 600)).astype('f4')\n"
        "print(sha256(fit_map(x, np.arange(300) % 3, np.arange(300)).xy.tobytes()).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={"OMP_NUM_THREADS": n, "PATH": ""}, check=True, capture_output=True
        ).stdout
        for n in ("1", "2", "5")
    }
    assert len(found) == 1


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
def test_map_of_a_handful(n: int) -> None:
    x = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
    found = fit_map(x, np.zeros(n, dtype=np.int64), np.arange(n))
    assert found.xy.shape == (n, 2) and np.isfinite(found.xy).all()
    assert len(np.unique(found.xy, axis=0)) == n


@pytest.mark.parametrize("columns", [1, 2])
def test_map_of_few_columns_and_of_equal_items(columns: int) -> None:
    x = np.random.default_rng(0).normal(size=(40, columns)).astype(np.float32)
    assert np.isfinite(fit_map(x, np.zeros(40, dtype=np.int64), np.arange(40)).xy).all()
    assert np.isfinite(fit_map(np.ones_like(x), np.zeros(40, dtype=np.int64), np.arange(40)).xy).all()


def test_subsample_keeps_class_shares() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2, 3], [6000, 3000, 997, 3]))
    chosen = subsample(labels, 1000, np.random.default_rng(0))
    assert (np.diff(chosen) > 0).all()
    assert np.abs(np.bincount(labels[chosen]) - [600, 300, 99.7, 0.3]).max() <= 1
    assert np.bincount(labels[chosen])[3] == 1  # the smallest class is there


@pytest.mark.parametrize("classes", [3, 900, 1500])
def test_subsample_has_the_size_asked_for(classes: int) -> None:
    labels = np.random.default_rng(1).integers(0, classes, 5000) ** 2 // classes
    assert len(np.unique(subsample(labels, 1000, np.random.default_rng(0)))) == 1000
    assert (subsample(labels[:1000], 1000, np.random.default_rng(0)) == np.arange(1000)).all()


def test_place_is_the_weighted_mean_of_five_neighbours(digits: tuple, plan: Map) -> None:
    features, _, rows = digits
    others = np.setdiff1d(np.arange(400), rows)
    placed = place(plan, features, others)
    for row, xy in zip(others, placed, strict=True):
        distance = np.linalg.norm(features[plan.rows].astype(float) - features[row], axis=1)
        near = np.argsort(distance, kind="stable")[:5]
        assert np.allclose(xy, np.average(plan.xy[near], axis=0, weights=1 / distance[near]), atol=1e-4)
    assert (place(plan, features, others[7:9]) == placed[7:9]).all()  # each by itself


def test_place_puts_equal_items_on_each_other(digits: tuple, plan: Map) -> None:
    features, _, rows = digits
    assert np.allclose(place(plan, features, rows), plan.xy, atol=1e-5)


def test_run_map_covers_pool_and_bought(digits: tuple, plan: Map) -> None:
    features, labels, rows = digits
    pool = np.random.default_rng(0).permutation(400)[:150]
    found = run_map(plan, features, labels, pool, pool[:20])
    assert (found["index"] == np.sort(pool)).all()  # a pool smaller than the map is shown whole
    assert (found["placed"] == ~np.isin(found["index"], rows)).all() and (
        found["label"] == labels[found["index"]]
    ).all()
    where = np.searchsorted(plan.rows, found["index"][~found["placed"]])
    assert (found["xy"][~found["placed"]] == plan.xy[where]).all()
    assert np.allclose(found["xy"][found["placed"]], place(plan, features, found["index"][found["placed"]]), atol=1e-5)


def test_run_map_of_a_large_pool_shows_a_sample(digits: tuple, plan: Map, monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, rows = digits
    monkeypatch.setattr(maps, "ITEMS", 210)
    pool, bought = np.random.default_rng(0).permutation(400), np.array([1, 3, 8])
    found = run_map(plan, features, labels, pool, bought)
    assert 210 <= len(found["index"]) <= 212 and np.isin(rows, found["index"]).all()
    assert np.isin(bought, found["index"]).all() and len(np.unique(found["index"])) == len(found["index"])


def test_cache_fits_once_for_all(digits: tuple, plan: Map, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(maps, "fit_map", lambda *_: (calls.append(1), time.sleep(0.1), plan)[-1])
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: cached_map(tmp_path / "maps", "key", *digits), range(8)))
    assert len(calls) == 1 and all((one.xy == plan.xy).all() and (one.rows == plan.rows).all() for one in found)
    cached_map(tmp_path / "maps", "other key", *digits)
    cached_map(tmp_path / "maps", "key", digits[0], digits[1], digits[2][:-1])  # other train rows
    assert len(calls) == 3
    assert {path.suffix for path in (tmp_path / "maps").iterdir()} == {".npz", ".lock"}


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_cache_is_named(digits: tuple, plan: Map, tmp_path, monkeypatch, content: bytes | None) -> None:
    monkeypatch.setattr(maps, "fit_map", lambda *_: plan)
    cached_map(tmp_path, "key", *digits)
    (path,) = tmp_path.glob("*.npz")
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(UserError, match=f"{path.name} is damaged") as caught:
        cached_map(tmp_path, "key", *digits)
    assert "delete it" in caught.value.hints[0]


@pytest.mark.slow
def test_larger_datasets_are_subsampled_in_seconds() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 3000)
    features = rng.normal(size=(3000, 384)).astype(np.float32) + 3 * np.eye(10, 384, dtype=np.float32)[labels]
    began = time.process_time()
    found = fit_map(features, labels, np.arange(3000))
    # 6 s on an idle core. The bound is for a busy one: it catches a change of method, not of mood.
    assert len(found.rows) == 2000 and time.process_time() - began < 30


def test_needs_no_torch() -> None:
    code = "import sys, alrun.maps; sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
