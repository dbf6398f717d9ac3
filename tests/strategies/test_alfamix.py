"""ALFA-Mix against mixing every item with every anchor and asking the head."""

import math

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from hypothesis import given, settings
from hypothesis import strategies as st

from alrun import registry
from alrun.errors import UserError
from alrun.numerics.mixing import (
    anchor_distances,
    class_anchors,
    critical_steps,
    farthest_anchors,
    growing_caps,
    loss_directions,
)
from alrun.types import Head


def world(seed: int, n: int = 60, classes: int = 4, dim: int = 6):
    rng = np.random.default_rng(seed)
    head = Head(torch.from_numpy(rng.normal(size=(classes, dim))), torch.from_numpy(rng.normal(size=classes)))
    return torch.from_numpy(rng.normal(size=(n, dim))), head, torch.from_numpy(rng.integers(classes, size=n))


def mixed_by_hand(z, head, anchors, cap):
    """(n,) whether some mixture is predicted otherwise, by Eq. 5-7 with gradients from autograd."""
    z = z.clone().requires_grad_()
    logits = z @ head.weight.T + head.bias
    predicted = logits.argmax(1)
    gradient = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, predicted, reduction="sum"), z)[0]
    z = z.detach()
    eps = cap / math.sqrt(z.shape[1])
    flips = torch.zeros(len(z), dtype=torch.bool)
    for anchor in anchors:
        apart = anchor - z
        alpha = eps * apart.norm(dim=1, keepdim=True) * gradient / (gradient.norm(dim=1, keepdim=True) * apart)
        mixed = alpha * anchor + (1 - alpha) * z
        flips |= (mixed @ head.weight.T + head.bias).argmax(1) != predicted
    return flips


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.2, 0.7]))
@settings(max_examples=60, deadline=None)
def test_thresholds_are_the_flips_of_mixtures(seed, step):
    z, head, labels = world(seed)
    anchors, z = class_anchors(z[:9], labels[:9], 4), z[9:]
    tried = growing_caps(farthest_anchors(z, anchors), critical_steps(z, *head), z.shape[1], 20, step)
    for cap, mask in tried:
        assert torch.equal(mask, mixed_by_hand(z, head, anchors, cap))
    sizes = [int(mask.sum()) for _, mask in tried]
    assert all(size <= 20 for size in sizes[:-1]) and sizes == sorted(sizes)
    assert sizes[-1] > 20 or tried[-1][0] >= 1


@pytest.mark.parametrize("block", [1, 13, 4096])
def test_blocks_change_nothing(block):
    z, head, labels = world(3)
    anchors = class_anchors(z[:9], labels[:9], 4)
    torch.testing.assert_close(critical_steps(z, *head, block=block), critical_steps(z, *head))
    torch.testing.assert_close(farthest_anchors(z, anchors, block=block), torch.cdist(z, anchors).amax(1))


def test_a_class_without_labels_has_the_mean_of_all():
    z = torch.tensor([[1.0, 0], [3, 0], [5, 6]])
    anchors = class_anchors(z, torch.tensor([0, 0, 2]), 4)
    assert anchors.tolist() == [[2, 0], [3, 2], [5, 6], [3, 2]]
    assert anchor_distances(z, anchors)[2, 2] == 0


def test_an_item_without_a_gradient_never_changes():
    z, head, _ = world(1)
    certain = Head(head.weight * 0, torch.tensor([5000.0, 0, 0, 0]))
    assert not loss_directions(z, *certain)[2].any()
    assert critical_steps(z, *certain).isinf().all()
    single = torch.nn.functional.one_hot(torch.arange(4)).double() * 1e5
    assert critical_steps(single, torch.eye(4, dtype=torch.float64), torch.zeros(4)).isinf().all()


def test_items_that_only_single_precision_calls_certain_have_a_step():
    z, head, _ = world(2)
    z = 60 * z.float()  # logits hundreds apart
    steps = critical_steps(z, head.weight.float(), head.bias.float())
    exact = critical_steps(z.double(), head.weight.float().double(), head.bias.float().double())
    assert loss_directions(z, *head)[2].eq(0).all(1).any()
    torch.testing.assert_close(steps, exact)
    assert steps.isfinite().all()


def choose(z, head, labelled, labels, n, seed=0, cap_step=0.2):
    signals = ArraySignals(embeddings=z, head=head)
    seen = view(signals, len(z), labelled, labels, 4, seed=seed)
    return registry.build("strategy", {"name": "alfamix", "cap_step": cap_step})(seen, n)


def test_picks_are_candidates_while_there_are_enough():
    z, head, labels = world(5, n=200)
    ours = choose(z, head, range(12), labels[:12], 15)
    anchors = class_anchors(z[:12], labels[:12], 4)
    assert ours.notes["candidates"] > 15
    assert mixed_by_hand(z, head, anchors, ours.notes["cap"])[ours.indices].all()
    assert (-ours.scores < ours.notes["cap"]).all()
    single = choose(z.float(), Head(head.weight.float(), head.bias.float()), range(12), labels[:12], 15)
    assert single.notes == ours.notes


def test_too_few_candidates_come_first_and_the_rest_is_uniform():
    z, head, labels = world(6)
    firm = Head(head.weight, head.bias + torch.tensor([30.0, 0, 0, 0]))  # few change their class
    z[20:23] = 40 * head.weight[1]  # at the other end, not certain
    runs = [choose(z, firm, range(8), labels[:8], 30, seed) for seed in range(40)]
    few = int(runs[0].notes["candidates"])
    assert few < 30
    assert len({tuple(run.indices[:few].tolist()) for run in runs}) == 1
    drawn = torch.cat([run.indices[few:] for run in runs]).bincount(minlength=60)
    assert (drawn[8:] > 0).sum() == 52 - few and all(len(set(run.indices.tolist())) == 30 for run in runs)


def test_nothing_labelled_is_a_uniform_draw():
    z, head, _ = world(7)
    seen = torch.cat([choose(z, head, [], None, 10, seed).indices for seed in range(60)])
    assert (seen.bincount(minlength=60) > 0).all()
    assert choose(z, head, [], None, 10).scores.isnan().all()


@pytest.mark.parametrize("cap_step", [0, -0.1, 1.5])
def test_steps_that_make_no_sense_are_refused(cap_step):
    z, head, labels = world(8)
    with pytest.raises(UserError, match="cap_step"):
        choose(z, head, [0], labels[:1], 2, cap_step=cap_step)


def test_a_model_without_a_linear_last_layer_is_refused():
    z, _, labels = world(9)
    with pytest.raises(UserError, match="linear last layer"):
        choose(z, None, [0], labels[:1], 2)
