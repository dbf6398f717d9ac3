"""Per-example gradients of networks, against autograd one item at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import CLASSES, Toy, one_by_one, reader, seer
from torch import nn

from alrun.errors import UserError
from alrun.gradients import NetworkGradients
from alrun.types import Batches, Scope

IDX = torch.tensor([7, 0, 3, 5, 8, 1, 2])
LABELS = torch.tensor([0, 3, 1, 1, 2, 0, 3])
CASES = {
    "head": (lambda: reader(), Scope.head),
    "last_block": (lambda: reader(), Scope.last_block),
    "lora": (lambda: reader(), Scope.lora),
    "adapters and head": (lambda: reader(), Scope.all),
    "everything": (lambda: reader(adapters=False), Scope.all),
    "last block, full": (lambda: reader(adapters=False), Scope.last_block),
    "convolutions": (lambda: seer(), Scope.all),
    "not covered": (lambda: seer(free=True), Scope.all),
}


@pytest.fixture(params=CASES, ids=list(CASES))
def case(request):
    make, scope = CASES[request.param]
    network = make()
    return network, NetworkGradients(network, scope), one_by_one(network, scope, "pool", IDX, LABELS)


def close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10 * float(theirs.abs().max()))


def directions(size: int, s: int = 3) -> torch.Tensor:
    return torch.randn(s, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_scores_norms_vectors_and_means(case):
    _network, ours, rows = case
    t = directions(rows.shape[1])
    close(ours.scores("pool", IDX, LABELS, t), rows @ t.T)
    close(ours.forward_scores("pool", IDX, LABELS, t), rows @ t.T)
    close(ours.norms("pool", IDX, LABELS), rows.norm(dim=1))
    close(ours.mean("pool", IDX, LABELS), rows.mean(0))
    weights = torch.rand(len(IDX), dtype=torch.float64)
    close(ours.mean("pool", IDX, LABELS, weights), (weights[:, None] * rows).mean(0))
    found = torch.full_like(rows, torch.nan)
    for at, some in ours.vectors("pool", IDX, LABELS):
        found[at] = some
    close(found, rows)


def test_all_labels_from_one_pass(case):
    _network, ours, rows = case
    (t,) = directions(rows.shape[1], 1)
    found = ours.label_scores(IDX, CLASSES, t)
    for label in range(CLASSES):
        close(found[:, label], ours.forward_scores("pool", IDX, torch.full_like(IDX, label), t[None])[:, 0])


def test_shares_of_labels_mean_the_mean_loss(case):
    network, ours, rows = case
    other = one_by_one(network, ours._scope, "pool", IDX, (LABELS + 1) % CLASSES)
    shares = torch.zeros(len(IDX), CLASSES, dtype=torch.float64)
    shares.scatter_(1, LABELS[:, None], 0.25).scatter_(1, ((LABELS + 1) % CLASSES)[:, None], 0.75)
    mixed = 0.25 * rows + 0.75 * other
    t = directions(rows.shape[1])
    close(ours.scores("pool", IDX, shares, t), mixed @ t.T)
    close(ours.norms("pool", IDX, shares), mixed.norm(dim=1))
    close(ours.mean("pool", IDX, shares), mixed.mean(0))


class Completing(Toy):
    """Labels are tokens."""

    def batches(self, part, idx, labels):
        found = super().batches(part, idx, labels)

        def make(at):
            batch = found.make(at)
            return batch._replace(labels=batch.labels[:, None].expand(-1, 3))

        return Batches(found.places, make)


def test_averages_over_labels_that_are_texts_are_refused():
    toy = seer()
    gradients = NetworkGradients(Completing(toy.module, toy.inputs), Scope.all)
    with pytest.raises(UserError, match="labels that are classes"):
        gradients.label_scores(IDX, CLASSES, gradients.parameters())


class Rough(nn.Module):
    """Its first layer's output is changed in place; `swapped`: items and positions change places in between."""

    def __init__(self, swapped: bool) -> None:
        super().__init__()
        self.swapped, self.first, self.head = swapped, nn.Linear(3, 3), nn.Linear(3, CLASSES)

    def forward(self, x):
        if self.swapped:
            return self.head(self.first(x.transpose(0, 1)).tanh().mean(0))
        return self.head(self.first(x).relu_().mean(1))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_layer_that_hooks_misread_is_found_out(swapped, caplog):
    torch.manual_seed(0)
    inputs = {"pool": {"x": torch.randn(9, 4, 3).double()}}
    network = Toy(Rough(swapped).double(), inputs)
    ours, rows = NetworkGradients(network, Scope.all), one_by_one(network, Scope.all, "pool", IDX, LABELS)
    t = directions(rows.shape[1])
    with caplog.at_level("WARNING", "alrun"):
        close(ours.scores("pool", IDX, LABELS, t), rows @ t.T)
        close(ours.cosines("pool", IDX, LABELS, t), rows @ t.T / rows.norm(dim=1)[:, None])
    if not ours.hooked("pool", IDX, LABELS):
        assert "first" in caplog.text
    assert ours.hooked("pool", IDX, LABELS) is False or not swapped


class Words(nn.Module):
    """A table, a norm and a layer that is used twice."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(5, width, padding_idx=0)
        self.norm = nn.LayerNorm(width)
        self.twice = nn.Linear(width, width, bias=bias)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, tokens):
        x = self.norm(self.table(tokens))
        return self.head(self.twice(self.twice(x).tanh()).sum(1))


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 5), st.integers(2, 6), st.integers(1, 7), st.booleans(), st.integers(0, 99))
def test_any_shape(positions, width, items, bias, seed):
    torch.manual_seed(seed)
    network = Toy(Words(width, bias).double(), {"pool": {"tokens": torch.randint(0, 5, (items, positions))}})
    idx, labels = torch.arange(items), torch.randint(0, CLASSES, (items,))
    ours, rows = NetworkGradients(network, Scope.all), one_by_one(network, Scope.all, "pool", idx, labels)
    t = directions(rows.shape[1])
    assert ours.hooked("pool", idx, labels)
    close(ours.hook_scores("pool", idx, labels, t), rows @ t.T)
    close(ours.norms("pool", idx, labels), rows.norm(dim=1))
    found = torch.full_like(rows, torch.nan)
    for at, some in ours.vectors("pool", idx, labels):
        found[at] = some
    close(found, rows)
