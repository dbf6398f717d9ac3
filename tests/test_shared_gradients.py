"""Passes of gradients that several processes share: every answer is, to the byte, what one process alone gives."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_lm
import tiny_nets
import torch
from numpy.random import default_rng

from alrun.errors import RunFailed
from alrun.following import _answer
from alrun.gradients import NetworkGradients, network, passes
from alrun.numerics.projections import draw_count
from alrun.numerics.reduction import WHOLE, Moments, Reduction
from alrun.processes import CREW, Crew
from alrun.types import Scope
from alrun.wire import packed, unpacked


class Loopback:
    """A line whose other ends are helpers in this process; what is said goes by bytes, as it does to others."""

    def __init__(self, size: int, networks: dict[int, "Crew"]) -> None:
        self.size, self.networks, self.works, self.first, self.told = size, networks, {}, 0, []

    def tell(self, message, tensors) -> None:
        frames = iter(packed({**message, "names": list(tensors)}, list(tensors.values())))
        message, values = unpacked(lambda frame: frame.copy_(next(frames)))
        self.told.append(message["do"])
        if message["do"] == "round":
            self.first = message["first"]
            return
        given = dict(zip(message["names"], values, strict=True))
        for rank, crew in self.networks.items():
            mine = {name: value.clone() for name, value in given.items()}
            try:
                net = crew.offers["network"](
                    message["about"]["network"], {k: mine.pop(k) for k in list(mine) if "." in k}
                )
                self.works[rank] = passes.asked(net, message["about"], mine)
            except Exception as error:  # as following.py does
                self.works[rank] = error

    def heard(self, rank: int):
        frames = iter(packed(*_answer(Crew(rank, self.size), self.works[rank], self.first)))
        return unpacked(lambda frame: frame.copy_(next(frames)))


def classifier(folder: Path, size: int) -> tuple[NetworkGradients, dict[int, Crew], torch.Tensor]:
    """A tuned text network's gradients in its adapters, and the crews of other processes that have its base."""
    material, labels = tiny_nets.texts()
    learn = tiny_nets.learner(material, folder, batch=2)
    crews = {rank: Crew(rank, size) for rank in range(1, size)}
    for crew in crews.values():
        token = CREW.set(crew)
        tiny_nets.learner(material, folder, batch=2)
        CREW.reset(token)
    model = learn(torch.arange(8), labels[:8], default_rng(0))
    return NetworkGradients(model.network(), Scope.lora), crews, labels


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_nets.bert(tmp_path_factory.mktemp("bert"))


def reductions(gradients: NetworkGradients) -> dict[str, Reduction]:
    """Every kind that a strategy asks for."""
    adam = gradients.adam()
    size = len(adam.first)
    moments = Moments(adam.first, adam.second, adam.betas, adam.eps, adam.step, "less")
    goals = torch.randn(3, size, generator=torch.Generator().manual_seed(3))
    sketch = draw_count(size, 64, default_rng(0))
    return {
        "whole": WHOLE,
        "sketch": Reduction(sketch=sketch),
        "adam, unit, sketch": Reduction(moments, unit=True, times=0.3, sketch=sketch),
        "adam, unit, products": Reduction(moments, unit=True, onto=goals),
        "products": Reduction(onto=goals),
    }


def answers(gradients: NetworkGradients, labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Whatever can be asked, over 41 items in an order of their own."""
    idx = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:41]
    size = len(gradients.parameters())
    t = torch.randn(3, size, generator=torch.Generator().manual_seed(2))
    shares = torch.rand(41, 3, generator=torch.Generator().manual_seed(4)).softmax(1)
    found = {
        "scores": gradients.scores("pool", idx, labels[idx], t),
        "scores of shares": gradients.scores("pool", idx, shares, t),
        "forward": gradients.forward_scores("pool", idx, labels[idx], t),
        "cosines": gradients.cosines("pool", idx, labels[idx], t),
        "labels": gradients.label_scores(idx, 3, t[0]),
        "norms": gradients.norms("pool", idx, labels[idx]),
        "mean": gradients.mean("pool", idx, labels[idx]),
    }
    for name, reduction in reductions(gradients).items():
        rows = torch.full((41, reduction.width(size)), torch.nan)
        for at, some in gradients.vectors("pool", idx, labels[idx], reduction):
            rows[at] = some
        found[name] = rows
    return found


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("hooked", [True, False])
def test_every_answer_is_that_of_one_process(size: int, hooked: bool, bert: Path) -> None:
    gradients, crews, labels = classifier(bert, size)
    gradients._hooked = hooked
    alone = answers(gradients, labels)
    line = Loopback(size, crews)
    token = CREW.set(Crew(0, size, line))
    try:
        together = answers(gradients, labels)
    finally:
        CREW.reset(token)
    assert alone.keys() == together.keys()
    for name, values in alone.items():
        assert torch.equal(values, together[name]), name
        assert torch.isfinite(values).all()
    asked = [word for word in line.told if word != "round"]
    assert asked == ["gradients"] * (len(alone) - 1), "all but the mean"


def test_long_gradients_stay_where_they_are(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gradients, crews, labels = classifier(bert, 2)
    monkeypatch.setattr(network, "SENT", len(gradients.parameters()) - 1)
    alone = answers(gradients, labels)
    line = Loopback(2, crews)
    token = CREW.set(Crew(0, 2, line))
    try:
        together = answers(gradients, labels)
    finally:
        CREW.reset(token)
    assert all(torch.equal(values, together[name]) for name, values in alone.items())
    asked = [word for word in line.told if word != "round"]
    assert asked == ["gradients"] * (len(alone) - 2), "neither the mean nor whole gradients"


def test_how_far_a_pass_has_come_is_told(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    material, labels = tiny_nets.texts()
    seen: list[tuple[str, int, int]] = []
    told = replace(material, report=lambda *args: seen.append(args))
    model = tiny_nets.learner(told, bert, batch=2)(torch.arange(8), labels[:8], default_rng(0))
    gradients = NetworkGradients(model.network(), Scope.lora)
    idx = torch.arange(20)
    for sent in (1 << 14, 1):
        monkeypatch.setattr(network, "SENT", sent)
        seen.clear()
        list(gradients.vectors("pool", idx, labels[:20]))
        assert seen == [("gradients", done, 20) for done in (8, 16, 20)]


def test_checkpoints_are_asked_with_their_own_parameters(bert: Path) -> None:
    gradients, crews, labels = classifier(bert, 2)
    (_, first), (_, last) = gradients.checkpoints()
    alone = [answers(each, labels)["scores"] for each in (first, last)]
    assert not torch.equal(*alone)
    token = CREW.set(Crew(0, 2, Loopback(2, crews)))
    try:
        together = [answers(each, labels)["scores"] for each in (first, last)]
    finally:
        CREW.reset(token)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_other_weights_of_the_base_are_said(bert: Path, tmp_path: Path) -> None:
    gradients, crews, _ = classifier(bert, 2)
    about, given = gradients._network.told()
    with pytest.raises(RunFailed, match=r"its weights of .* differ from those of the main process"):
        crews[1].offers["network"]({**about, "files": ["of others"]}, dict(given))


def test_a_language_model_too(tmp_path: Path) -> None:
    folder = tiny_lm.tiny_lm(tmp_path / "lm")
    learn = tiny_lm.learner(folder, tiny_lm.material(pool=tiny_lm.POOL * 3), batch=2)
    crew = Crew(1, 2)
    token = CREW.set(crew)
    tiny_lm.learner(folder, tiny_lm.material(pool=tiny_lm.POOL * 3), batch=2)
    CREW.reset(token)
    every = torch.arange(3 * len(tiny_lm.POOL))
    zeros = torch.zeros_like(every)
    gradients = NetworkGradients(learn(every[:4], zeros[:4], default_rng(0)).network(), Scope.lora)
    t = gradients.mean("pool", every[:2], zeros[:2])[None]
    alone = gradients.cosines("pool", every, zeros, t)
    token = CREW.set(Crew(0, 2, Loopback(2, {1: crew})))
    try:
        together = gradients.cosines("pool", every, zeros, t)
    finally:
        CREW.reset(token)
    assert torch.equal(alone, together) and alone.abs().max() > 0
    about, given = gradients._network.told()
    with pytest.raises(RunFailed, match="its weights of the language model differ"):
        crew.offers["network"]({**about, "files": ["of others"]}, dict(given))
