"""Gradients of the models that people run: fine-tuned networks, in every scope and in both losses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_nets
import torch
from tiny_nets import learner
from torch import Tensor

from alrun.gradients import NetworkGradients
from alrun.registry import build, option
from alrun.signals import ModelSignals
from alrun.types import Scope, View

IDX, LABELS = torch.tensor([7, 0, 33, 5, 18, 41]), torch.tensor([0, 2, 1, 1, 2, 0])


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nets.bert(tmp_path_factory.mktemp("bert"))


POOLED = {"vit": "first", "resnet": "pooler"}


def trained(path: Path, train: str, picture: bool = False, **more):
    material, labels = pictures() if picture else tiny_nets.texts()
    if more.get("loss") == "squared":
        material = replace(material, levels=torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    return learner(material, path, train=train, **more)(torch.arange(8), labels[:8], np.random.default_rng(0)).network()


def pictures():
    drawn = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), dtype=np.uint8)
    parts = {part: list(drawn[:n]) for part, n in {"pool": 60, "target": 8, "test": 4}.items()}
    return tiny_nets.material(parts, "image", 3), torch.arange(60) % 3


def one_by_one(network, scope: Scope, labels: Tensor = LABELS, part: str = "pool", idx: Tensor = IDX) -> Tensor:
    """(n, P), each item asked for on its own: no padding."""
    rows = []
    for item, label in zip(idx, labels, strict=True):
        (batch,) = network.batches(part, item[None], label[None])
        leaves = {name: value.detach().clone().requires_grad_() for name, value in network.parameters(scope).items()}
        grads = torch.autograd.grad(network.losses(leaves, batch).sum(), list(leaves.values()), materialize_grads=True)
        rows.append(torch.cat([g.flatten() for g in grads]))
    return torch.stack(rows)


def agree(ours: Tensor, theirs: Tensor) -> None:
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


CASES = [("lora", "lora"), ("lora", "head"), ("lora", "last_block"), ("lora", "all"), ("full", "all"), ("head", "head")]


@pytest.mark.parametrize(("train", "scope"), CASES)
def test_texts(train: str, scope: str, bert: Path) -> None:
    network = trained(bert, train)
    ours, rows = NetworkGradients(network, Scope(scope)), one_by_one(network, Scope(scope))
    t = torch.randn(2, rows.shape[1], generator=torch.Generator().manual_seed(0))
    assert ours.hooked("pool", IDX, LABELS)
    agree(ours.scores("pool", IDX, LABELS, t), rows @ t.T)
    agree(ours.forward_scores("pool", IDX, LABELS, t), rows @ t.T)
    agree(ours.label_scores(IDX, 3, t[0]).gather(1, LABELS[:, None]), rows @ t[:1].T)
    agree(ours.norms("pool", IDX, LABELS), rows.norm(dim=1))
    agree(ours.cosines("pool", IDX, LABELS, t), rows @ t.T / rows.norm(dim=1)[:, None])
    agree(ours.mean("pool", IDX, LABELS), rows.mean(0))
    state = ours.adam()
    assert state.first.shape == rows[0].shape and state.step == 4


@pytest.mark.parametrize(("kind", "train"), [("vit", "lora"), ("vit", "full"), ("resnet", "lora"), ("resnet", "full")])
def test_pictures(kind: str, train: str, tmp_path: Path) -> None:
    network = trained(getattr(tiny_nets, kind)(tmp_path), train, picture=True, pooling=POOLED[kind])
    ours, rows = NetworkGradients(network, Scope.all), one_by_one(network, Scope.all)
    t = torch.randn(2, rows.shape[1], generator=torch.Generator().manual_seed(0))
    assert ours.hooked("pool", IDX, LABELS) == ((kind, train) != ("vit", "full")), "its positions belong to no layer"
    agree(ours.scores("pool", IDX, LABELS, t), rows @ t.T)
    agree(ours.cosines("pool", IDX, LABELS, t), rows @ t.T / rows.norm(dim=1)[:, None])
    agree(ours.mean("pool", IDX, LABELS), rows.mean(0))


def test_checkpoints_have_weights_and_moments_of_their_own(bert: Path) -> None:
    network = trained(bert, "lora", checkpoints=2)
    path = NetworkGradients(network, Scope.lora).checkpoints()
    assert len(path) == 2 and all(rate > 0 for rate, _ in path)
    first, last = (gradients for _, gradients in path)
    assert not torch.equal(first.parameters(), last.parameters())
    assert torch.equal(last.parameters(), NetworkGradients(network, Scope.lora).parameters())
    assert first.adam().step < last.adam().step


def test_shares_of_the_levels_of_a_squared_loss(bert: Path) -> None:
    network = trained(bert, "lora", loss="squared")
    ours, rows = NetworkGradients(network, Scope.all), one_by_one(network, Scope.all)
    other = one_by_one(network, Scope.all, (LABELS + 1) % 3)
    shares = torch.nn.functional.one_hot(LABELS, 3) * 0.75 + torch.nn.functional.one_hot((LABELS + 1) % 3, 3) * 0.25
    t = torch.randn(1, rows.shape[1], generator=torch.Generator().manual_seed(0))
    agree(ours.scores("pool", IDX, shares, t), (0.75 * rows + 0.25 * other) @ t.T)
    agree(ours.label_scores(IDX, 3, t[0]).gather(1, LABELS[:, None]), rows @ t.T)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_less_scores_the_loss_that_is_trained(loss: str, bert: Path) -> None:
    """On the head with its shipped options; of squared error that is one row, not the row per class of its Gaussian."""
    material, labels = tiny_nets.texts()
    material = replace(material, levels=torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    known, rest = torch.arange(8), torch.arange(8, 60)
    learn = learner(material, bert, loss=loss)
    predictor, truth = learn(known, labels[:8], np.random.default_rng(0)), torch.arange(8) % 3
    given = {"labelled": known, "labels": labels[:8], "target_labels": truth, "sizes": [8], "seed": 0}
    network = predictor.network()
    answers = predictor.outputs("pool", rest).logits.argmax(1)
    goal = one_by_one(network, Scope.head, truth, "target", torch.arange(8)).mean(0)
    rows = one_by_one(network, Scope.head, answers, "pool", rest)
    for normalise, wanted in (("none", rows @ goal), ("cosine", rows @ goal / rows.norm(dim=1) / goal.norm())):
        view = View(
            rest, known, labels[:8], 3, 0, ModelSignals(material, learn, predictor, **given), np.random.default_rng(1)
        )
        found = build("strategy", option("strategy", "less") | {"normalise": normalise})(view, len(rest))
        agree(torch.zeros(60).scatter(0, found.indices, found.scores)[rest], wanted)
