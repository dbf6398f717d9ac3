"""TypiClust against the definition, one pick at a time."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.errors import UserError
from alrun.numerics.typicality import typical_points, typicality
from alrun.strategies.clustering import clusters, fill, spread_out

OPTIONS = {"name": "typiclust", "metric": "squared", "neighbours": 20, "min_cluster_size": 5, "max_clusters": 500}


def brute(rows, names, labelled, n, k_most, min_size, squared):
    """Every distance, every pick."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    size = {c: int((names == c).sum()) for c in set(names)}
    known = {c: int((labelled & (names == c)).sum()) for c in size}
    ranked = sorted(size, key=lambda c: (known[c], -size[c], c))
    large, small = ([c for c in ranked if (size[c] > min_size) == wanted] for wanted in (True, False))
    picks = []
    for turn in range(n):
        start = turn % len(large) if large else 0
        for c in large[start:] + large[:start] + small:
            free = [i for i in np.flatnonzero((names == c) & ~labelled) if i not in picks]
            if not free:
                continue
            k = min(k_most, len(free) // 2)
            scores = []
            for i in free:
                d = sorted(np.linalg.norm(unit[i] - unit[j]) ** (2 if squared else 1) for j in free if j != i)
                scores.append(1 / (np.mean(d[:k]) + 1e-5) if k else 0)
            picks.append(int(free[int(np.argmax(scores))]))
            break
    return picks


@given(st.integers(0, 10_000), st.integers(5, 60), st.integers(1, 7), st.booleans(), st.data())
@settings(max_examples=80, deadline=None)
def test_picks_are_those_of_the_definition(seed, size, k, squared, data):
    rng = np.random.default_rng(seed)
    rows, names = rng.normal(size=(size, 3)), rng.integers(k, size=size) * 2  # odd names have no member
    labelled = rng.random(size) < data.draw(st.sampled_from([0, 0.3, 0.8]))
    if labelled.all():
        return
    n = data.draw(st.integers(1, int((~labelled).sum())))
    options = {"k": data.draw(st.sampled_from([1, 3, 20])), "min_size": data.draw(st.sampled_from([0, 5]))}
    ours, _ = typical_points(*map(torch.from_numpy, (rows, names, labelled)), n, squared=squared, **options)
    assert ours == brute(rows, names, labelled, n, options["k"], options["min_size"], squared)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_typicality_does_not_depend_on_the_block(block):
    points = torch.nn.functional.normalize(torch.randn(50, 4, dtype=torch.float64, generator=torch.manual_seed(0)))
    for squared in (True, False):
        whole = typicality(points, 6, squared=squared)
        torch.testing.assert_close(typicality(points, 6, squared=squared, block=block), whole)


def test_twins_are_the_most_typical_and_a_point_alone_has_none():
    points = torch.nn.functional.normalize(torch.randn(9, 4, dtype=torch.float64, generator=torch.manual_seed(0)))
    points[[4, 7]] = points[2].clone()
    assert typicality(points[[2, 4, 7]], 1, squared=True).tolist() == pytest.approx([1e5] * 3)
    assert typicality(points[:1], 20, squared=True).isnan().all()


def choose(rows, labelled=(), n=5, seed=0, **changed):
    strategy = registry.build("strategy", {**OPTIONS, **changed})
    return strategy(view(ArraySignals(features=rows), len(rows), np.array(labelled, dtype=np.int64), seed=seed), n)


def test_one_item_of_each_group_and_none_where_there_is_a_label():
    rng = np.random.default_rng(0)
    group = np.arange(120) % 6
    rows = np.eye(6)[group] * 10 + rng.normal(size=(120, 6))
    assert sorted(group[choose(rows, n=6).indices]) == [0, 1, 2, 3, 4, 5]
    assert sorted(group[choose(rows, labelled=[0, 1], n=4).indices]) == [2, 3, 4, 5]


def test_a_seed_is_a_clustering():
    rows = np.random.default_rng(1).normal(size=(200, 5))
    picks = [choose(rows, n=10, seed=seed).indices.tolist() for seed in (0, 0, 1)]
    assert picks[0] == picks[1] != picks[2]


def test_pools_without_a_large_cluster_are_served():
    rows = np.random.default_rng(2).normal(size=(12, 3))
    for n in (1, 5, 11):
        ours = choose(rows, labelled=[4], n=n)
        assert len(set(ours.indices.tolist())) == n and 4 not in ours.indices


def test_equal_features_leave_clusters_empty_and_are_served():
    ours = choose(np.ones((30, 3)), labelled=[0, 1], n=20)
    assert ours.indices.tolist() == list(range(2, 22)) and ours.notes["clusters"] == 1


@pytest.mark.parametrize("name", ["neighbours", "max_clusters"])
def test_values_below_one_are_refused(name):
    with pytest.raises(UserError, match=name):
        choose(np.ones((30, 3)), **{name: 0})


def test_many_clusters_are_found_by_mini_batches():
    rows = torch.randn(300, 4, generator=torch.manual_seed(0))
    names, centres = clusters(rows, 60, np.random.default_rng(0))
    assert names.shape == (300,) and centres.shape == (60, 4)
    nearest = torch.cdist(rows, centres).argmin(1)
    assert (nearest == names).double().mean() > 0.95


def test_spreading_out_takes_one_item_near_each_centre():
    rng = np.random.default_rng(0)
    rows = torch.from_numpy(np.eye(4)[np.arange(40) % 4] * 9 + rng.normal(size=(40, 4)))
    assert sorted((spread_out(rows, 4, rng) % 4).tolist()) == [0, 1, 2, 3]
    equal = spread_out(torch.ones(10, 2), 6, rng)
    assert len(set(equal.tolist())) == 6


def test_filling_draws_from_the_others():
    drawn = {tuple(fill(torch.tensor([2]), 4, 3, np.random.default_rng(seed)).tolist()) for seed in range(60)}
    assert drawn == {(2, a, b) for a in (0, 1, 3) for b in (0, 1, 3) if a != b}
    assert fill(torch.tensor([2, 0]), 4, 2, np.random.default_rng(0)).tolist() == [2, 0]
