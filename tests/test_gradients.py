"""Per-example gradients of networks, against autograd one item at a time."""

import pytest
import torch
from networks import CLASSES, one_by_one, reader, seer

from alrun.gradients import NetworkGradients
from alrun.types import Scope

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
