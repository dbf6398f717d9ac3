"""Greedy medoids in place of clustering: against the sums that define them, and where they must agree with herding."""

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.config import option
from alrun.errors import UserError
from alrun.numerics.distances import unit_rows
from alrun.numerics.kernels import Kernel
from alrun.numerics.mixing import class_anchors, critical_steps, farthest_anchors
from alrun.numerics.twofold import TwofoldRows
from alrun.types import Head

N, D, C = 70, 5, 4
RNG = np.random.default_rng(0)
X, W, B = RNG.standard_normal((N, D)), 2 * RNG.standard_normal((C, D)), RNG.standard_normal(C)
LABELLED = list(range(0, 24, 2))
NAMES = ("weighted_kmeans_herding", "alfamix_herding", "badge_herding")


def ask(name, n, labelled=LABELLED, dtype=np.float64, head: Head | None = None, x=X, **options):
    logits, tensors = x @ W.T + B, (torch.from_numpy(a.astype(dtype)) for a in (W, B))
    given = {"features": x.astype(dtype), "embeddings": x.astype(dtype), "logits": logits.astype(dtype)}
    signals = ArraySignals(**given, head=head or Head(*tensors), refit=lambda idx: ArraySignals(logits=logits))
    choose = registry.build("strategy", option("strategy", name) | options)
    return choose(view(signals, N, labelled, [item % C for item in labelled], C), n)


def brute(near, weights, covered, n):
    picks, gains = [], []
    for _ in range(n):
        rises = weights @ (near - covered[:, None]).clip(min=0)
        rises[picks] = -1
        picks.append(int(rises.argmax()))
        gains.append(rises.max())
        covered = np.maximum(covered, near[:, picks[-1]])
    return picks, gains


def kernel(x, y, sigma):
    return np.exp(-(((x[:, None] - y) ** 2).sum(2)) / sigma**2)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def residual(temperature):
    logits = (X @ W.T + B) / temperature
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    return np.eye(C)[p.argmax(1)] - p


@pytest.mark.parametrize("name", NAMES)
def test_nothing_labelled_is_maxherding(name):
    ours, plain = ask(name, 9, labelled=[]), ask("maxherding", 9, labelled=[])
    assert ours.indices.tolist() == plain.indices.tolist()
    np.testing.assert_allclose(ours.scores, plain.scores)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_those_of_uherding(name):
    ours, theirs = ask(name, 5), ask("uherding", 5)
    assert {key: ours.notes[key] for key in theirs.notes} == theirs.notes
    fixed = ask(name, 5, adaptive_sigma=False, calibration="none", sigma=0.4).notes
    assert (fixed["sigma"], fixed["temperature"]) == (0.4, 1.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_candidates_of_weighted_kmeans_are_uherding(dtype):
    ours, theirs = (ask(name, 8, dtype=dtype) for name in ("weighted_kmeans_herding", "uherding"))
    assert ours.indices.tolist() == theirs.indices.tolist()
    few = ask("weighted_kmeans_herding", 8, beta=1, dtype=dtype, calibration="none")
    logits = torch.from_numpy((X @ W.T + B).astype(dtype))
    seen = view(ArraySignals(logits=logits), N, LABELLED, n_classes=C)
    margin = registry.build("strategy", {"name": "margin"})(seen, 8)
    assert sorted(few.indices.tolist()) == sorted(margin.indices.tolist())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_badge_herding_is_greedy_by_definition(dtype):
    ours = ask("badge_herding", 10, dtype=dtype)
    rest = np.setdiff1d(np.arange(N), LABELLED)
    q, h = residual(ours.notes["temperature"]), unit(X)
    cosine = (unit(q[rest]) @ unit(q[rest]).T).clip(0, 1)
    near = kernel(h[rest], h[rest], ours.notes["sigma"]) * cosine
    covered = kernel(h[rest], h[LABELLED], ours.notes["sigma"]).max(1)
    picks, gains = brute(near, np.linalg.norm(q[rest], axis=1), covered, 10)
    assert ours.indices.tolist() == rest[picks].tolist()
    np.testing.assert_allclose(ours.scores, np.array(gains) / N, rtol=1e-4, atol=2e-9)


def test_alfamix_herding_is_greedy_among_those_that_mixing_turns():
    ours = ask("alfamix_herding", 6, calibration="none")
    rest = np.setdiff1d(np.arange(N), LABELLED)
    x = torch.from_numpy(X)
    anchors = class_anchors(x[LABELLED], torch.tensor([item % C for item in LABELLED]), C)
    steps = critical_steps(x[rest], torch.from_numpy(W), torch.from_numpy(B))
    turned = ours.notes["cap"] / np.sqrt(D) * farthest_anchors(x[rest], anchors) > steps
    candidates = rest[turned.numpy()]
    assert len(candidates) == ours.notes["candidates"] > 6
    h, sigma = unit(X), ours.notes["sigma"]
    near, covered = kernel(h[candidates], h[candidates], sigma), kernel(h[candidates], h[LABELLED], sigma).max(1)
    picks, _ = brute(near, np.ones(len(candidates)), covered, 6)
    assert ours.indices.tolist() == candidates[picks].tolist()


def test_items_that_no_mixing_turns_are_drawn():
    flat = Head(torch.zeros(C, D, dtype=torch.float64), torch.from_numpy(B))
    ours = ask("alfamix_herding", 6, head=flat)
    assert ours.notes["candidates"] == 0 and len(set(ours.indices.tolist()) - set(LABELLED)) == 6
    assert bool(ours.scores.isnan().all())


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), kind=st.sampled_from(list(Kernel)), sigma=st.sampled_from([0.05, 0.5, 5.0]))
def test_bounds_are_never_below_the_product_of_both(seed, kind, sigma):
    rng = np.random.default_rng(seed)
    x, q = (torch.from_numpy(rng.standard_normal((40, width))).float() for width in (6, 4))
    x[3], q[3], q[7] = x[4], q[4], 0
    rows, every = TwofoldRows(x, q, kind, sigma, block=16), slice(0, 40)
    exact = rows.exact(every, rows.unit(every, torch.float64))
    cosine = (unit_rows(q) @ unit_rows(q).T).clamp(0, 1)
    np.testing.assert_allclose(exact, rows.plain.exact(every, unit_rows(x)) * cosine, rtol=1e-9, atol=1e-12)
    assert (exact[7] == 0).all()
    assert (rows.upper(every, every).double() >= exact * rows.low - 1e-37).all()


def test_options_that_make_no_sense():
    with pytest.raises(UserError, match="beta=0"):
        ask("weighted_kmeans_herding", 3, beta=0)
    with pytest.raises(UserError, match="cap_step=0"):
        ask("alfamix_herding", 3, cap_step=0)
    signals = ArraySignals(features=X, embeddings=X, logits=X @ W.T, head=None)
    with pytest.raises(UserError, match="linear last layer"):
        registry.build("strategy", option("strategy", "alfamix_herding"))(view(signals, N, [0]), 3)
