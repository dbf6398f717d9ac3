"""LESS beyond the closed form: against explicit gradients, directions and sums over checkpoints."""

from itertools import product

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from networks import Toy, adapted, one_by_one, toy
from torch import Tensor
from torch.nn.functional import one_hot

from alrun.errors import UserError
from alrun.gradients import HeadGradients, NetworkGradients
from alrun.numerics import influence
from alrun.numerics.adam import adam_direction
from alrun.registry import build, option
from alrun.types import Head, Outputs, Scope, Selection, Target

N, D, C, V = 24, 4, 3, 8
LABELLED = [3, 11, 20]
REST = torch.from_numpy(np.setdiff1d(np.arange(N), LABELLED))
LONG = {"trajectory": "checkpoints"}


def world(seed: int = 0) -> ArraySignals:
    rng = np.random.default_rng(seed)
    weight, bias, pool, val = (torch.as_tensor(rng.normal(size=s)) for s in ((C, D), (C,), (N, D), (V, D)))
    given = {
        "head": Head(weight, bias),
        "embeddings": pool,
        "logits": pool @ weight.T + bias,
        "target": Target(val, (val @ weight.T + bias).softmax(1), torch.as_tensor(rng.integers(C, size=V))),
        "oracle_labels": torch.as_tensor(rng.integers(C, size=N)),
        "gradients": adapted,
    }
    before = ArraySignals(**{**given, "embeddings": pool + 1, "previous": None})
    before.networks = {scope: NetworkGradients(toy(before, seed=5), scope) for scope in Scope if scope != "last_block"}
    return ArraySignals(**given, previous=before)


def choose(given: ArraySignals, n: int = 6, seed: int = 1, labelled=LABELLED, **changed) -> Selection:
    seen = view(given, N, labelled, [y % C for y in labelled], C, seed=seed)
    return build("strategy", option("strategy", "less") | {"scope": "lora"} | changed)(seen, n)


def everything(given: ArraySignals, **changed) -> Tensor:
    """(u,) scores in the order of the pool."""
    found = choose(given, len(REST), **changed)
    return torch.zeros(N, dtype=torch.float64).scatter(0, found.indices, found.scores)[REST]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-9 * float(theirs.abs().max()))


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


FORMED: dict = {}


def at_label(network: Toy, scope: Scope, label: int) -> Tensor:
    """(u, P) gradients of the pool at one label; each network is asked once."""
    weights = network.parameters(Scope.all)
    key = (scope, label, *(float(value.double().sum()) for value in weights.values()))
    if key not in FORMED:
        FORMED[key] = one_by_one(network, scope, "pool", REST, torch.full_like(REST, label))
    return FORMED[key]


def naive(given: ArraySignals, *, label: str, target: str, update: str, cosine: bool, scope: str, long: bool) -> Tensor:
    """The definitions, gradient by gradient."""
    last = toy(given)
    path = last.checkpoints() if long else [(1.0, last)]
    total = sum(rate for rate, _ in path)
    probs, truth = given.probs(REST), given.given["target"].labels
    cosine = cosine or label == "expected_cos"
    tables = 0
    for rate, network in path:
        val = one_by_one(network, Scope(scope), "target", torch.arange(V), truth)
        goals = {
            "val_mean": [val.mean(0)],
            "val_unit_mean": [unit(val).mean(0)],
            "subtask_max": [val[truth == c].mean(0) for c in truth.unique()],
        }.get(target)
        if target == "labelled_mean":
            known = torch.tensor([y % C for y in LABELLED])
            goals = [one_by_one(network, Scope(scope), "pool", torch.tensor(LABELLED), known).mean(0)]
        if target == "last_update":
            old, now = (x.gradients(Scope(scope)).parameters() for x in (given.previous(), given))
            goals = [old - now]
        t = torch.stack([unit(goal) if cosine else goal for goal in goals])
        state, columns = NetworkGradients(network, Scope(scope)).adam(), []
        for c in range(C):
            rows = at_label(network, Scope(scope), c)
            if update == "adam":
                rows = adam_direction(
                    rows, state.first, state.second, betas=state.betas, eps=state.eps, step=5, form="less"
                )
            columns.append((unit(rows) if cosine else rows) @ t.T)
        tables = tables + rate / total * torch.stack(columns, dim=1)  # (u, C, s)
    one = {"argmax": probs.argmax(1), "oracle": given.oracle_labels(REST)}.get(label)
    if one is not None:
        return tables.gather(1, one[:, None, None].expand(-1, 1, tables.shape[2]))[:, 0].amax(1)
    p = probs[:, :, None]
    found = {
        "expected_abs": (p * tables.abs()).sum(1),
        "fisher": (p * tables**2).sum(1),
        "expected_cos": (p * tables).sum(1),
        "max_label": tables.amax(1),
    }
    return found[label].amax(1)


@pytest.mark.parametrize("label", ["argmax", "oracle", "expected_abs", "fisher", "expected_cos", "max_label"])
@pytest.mark.parametrize("target", ["val_mean", "val_unit_mean", "subtask_max", "labelled_mean", "last_update"])
def test_scores_are_those_of_explicit_gradients(label, target):
    given = world()
    for update, cosine, long in product(["sgd", "adam"], [False, True], [False, True]):
        wanted = naive(given, label=label, target=target, update=update, cosine=cosine, scope="lora", long=long)
        options = {"normalise": "cosine" if cosine else "none", "trajectory": "checkpoints" if long else "last"}
        close(everything(given, label=label, target=target, update=update, **options), wanted)


@pytest.mark.parametrize("scope", ["head", "lora", "all"])
@pytest.mark.parametrize("sign", ["aligned", "opposed", "magnitude"])
def test_every_scope_and_sign(scope, sign):
    given = world(1)
    wanted = naive(given, label="argmax", target="val_mean", update="adam", cosine=True, scope=scope, long=True)
    wanted = {"aligned": wanted, "opposed": -wanted, "magnitude": wanted.abs()}[sign]
    options = {"scope": scope, "sign": sign, "update": "adam", "normalise": "cosine"} | LONG
    close(everything(given, **options), wanted)
    assert choose(given, **options).indices.tolist() == REST[wanted.argsort(descending=True, stable=True)[:6]].tolist()


def test_less_paper_is_the_sum_of_cosines_of_adam_directions():
    given = world(2)
    seen = view(given, N, LABELLED, [y % C for y in LABELLED], C)
    picks = build("strategy", option("strategy", "less_paper"))(seen, 6)
    wanted = naive(given, label="argmax", target="val_mean", update="adam", cosine=True, scope="lora", long=True)
    best = wanted.argsort(descending=True, stable=True)[:6]
    assert picks.indices.tolist() == REST[best].tolist()
    close(picks.scores, wanted[best])


def test_the_linear_form_leaves_out_what_is_quadratic_in_the_gradient():
    given = world()
    network = given.gradients(Scope.lora)
    adam = network.adam()
    goal = network.mean("target", torch.arange(V), given.given["target"].labels)
    scale = (0.999 * adam.second + adam.eps).sqrt()
    best = given.probs(REST).argmax(1)
    rows = one_by_one(toy(given), Scope.lora, "pool", REST, best)
    close(everything(given, update="adam_linear"), ((0.9 * adam.first + 0.1 * rows) / scale) @ goal)


@pytest.mark.parametrize("average", ["gradients", "scores"])
def test_drawn_labels(average):
    given = world()
    draws = influence.sample_labels(given.probs(REST), np.random.default_rng(1).random((len(REST), 3)))
    each = torch.stack([one_by_one(toy(given), Scope.lora, "pool", REST, y) for y in draws.T])  # (3, u, P)
    val = one_by_one(toy(given), Scope.lora, "target", torch.arange(V), given.given["target"].labels).mean(0)
    wanted = unit(each.mean(0)) @ unit(val) if average == "gradients" else (unit(each) @ unit(val)).mean(0)
    close(everything(given, label="sampled", draws=3, average=average, normalise="cosine"), wanted)


def test_hallucinated_targets_are_drawn_once_for_all_checkpoints():
    given = world()
    target = given.given["target"]
    draws = influence.sample_labels(target.probs, np.random.default_rng(1).random((V, 2)))
    best, wanted = given.probs(REST).argmax(1), 0
    for rate, network in toy(given).checkpoints():
        goal = torch.stack(
            [unit(one_by_one(network, Scope.lora, "target", torch.arange(V), y).mean(0)) for y in draws.T]
        ).mean(0)
        wanted = wanted + rate / 0.3 * unit(one_by_one(network, Scope.lora, "pool", REST, best)) @ goal
    close(everything(given, target="hallucinated_val", draws=2, normalise="cosine", **LONG), wanted)


def rows_of(given: ArraySignals, cosine: bool) -> tuple[Tensor, Tensor]:
    """(u, width) gradients of both checkpoints side by side, and the target so."""
    best, truth, rows, goals = given.probs(REST).argmax(1), given.given["target"].labels, [], []
    for rate, network in toy(given).checkpoints():
        g = one_by_one(network, Scope.lora, "pool", REST, best)
        t = one_by_one(network, Scope.lora, "target", torch.arange(V), truth).mean(0)
        rows.append((rate / 0.3) ** 0.5 * (unit(g) if cosine else g))
        goals.append((rate / 0.3) ** 0.5 * (unit(t) if cosine else t))
    return torch.cat(rows, dim=1), torch.cat(goals)


def test_matching_pursuit_over_checkpoints():
    given = world()
    rows, left = rows_of(given, False)
    start, rows, wanted = left.norm(), unit(rows), []
    for _ in range(8):
        value = rows @ left
        value[wanted] = -torch.inf
        wanted.append(int(value.argmax()))
        left = left - (rows[wanted[-1]] @ left).clamp_min(0) * rows[wanted[-1]]
    ours = choose(given, 8, selection="matching_pursuit", **LONG)
    assert ours.indices.tolist() == REST[wanted].tolist()
    assert ours.notes["residual"] == pytest.approx(float(left.norm() / start))


def test_mmr_over_checkpoints_and_with_sketches_that_are_wide_enough():
    given = world()
    rows, goal = rows_of(given, True)
    wanted = [int((rows @ goal).argmax())]
    while len(wanted) < 6:
        value = 0.5 * rows @ goal - 0.5 * (unit(rows) @ unit(rows)[wanted].T).amax(1)
        value[wanted] = -torch.inf
        wanted.append(int(value.argmax()))
    assert choose(given, selection="mmr", **LONG).indices.tolist() == REST[wanted].tolist()
    assert len(choose(given, selection="mmr", sketch=3).indices) == 6


def test_the_closed_form_and_the_network_agree_on_the_head():
    given = world()
    given.given["gradients"] = lambda scope, signals: HeadGradients(
        signals.given["head"],
        lambda part, idx: (
            Outputs(signals.logits(idx), signals.embeddings(idx))
            if part == "pool"
            else Outputs(signals.given["target"].probs.log()[idx], signals.given["target"].embeddings[idx])
        ),
    )
    from alrun.strategies.less import chosen
    from alrun.strategies.less_axes import Axes
    from alrun.strategies.less_head import HeadAlignment
    from alrun.strategies.less_network import NetworkAlignment

    options = {k: v for k, v in option("strategy", "less").items() if k not in ("name", "method")}
    for label, normalise, target, selection in product(
        ["argmax", "sampled", "fisher", "expected_cos", "oracle"],
        ["none", "cosine"],
        ["val_mean", "val_unit_mean", "subtask_max", "hallucinated_val", "labelled_mean"],
        ["topk", "mmr"],
    ):
        changed = {"label": label, "normalise": normalise, "target": target, "selection": selection, "draws": 2}
        axes = Axes(**options | changed)
        found = []
        for alignment in (HeadAlignment, NetworkAlignment):
            seen = view(given, N, LABELLED, [y % C for y in LABELLED], C, seed=1)
            found.append(chosen(seen, 6, axes, alignment(seen, axes)))
        assert found[0].indices.tolist() == found[1].indices.tolist(), changed
        torch.testing.assert_close(found[0].scores, found[1].scores, rtol=1e-7, atol=1e-10)


def test_before_any_training_adam_is_a_sign():
    given = world()
    given.networks = {Scope.lora: NetworkGradients(toy(given, moments=False), Scope.lora)}
    rows = one_by_one(toy(given), Scope.lora, "pool", REST, given.probs(REST).argmax(1))
    goal = one_by_one(toy(given), Scope.lora, "target", torch.arange(V), given.given["target"].labels).mean(0)
    directions = {
        "less": 0.1 * rows / (0.001 * rows**2 + 1e-8).sqrt(),
        "paper": rows / (rows**2 + 1e-8).sqrt(),
        "torch_step": rows.sign(),
    }
    for form, wanted in directions.items():
        ours = everything(given, update="adam", adam_form=form)
        torch.testing.assert_close(ours, wanted @ goal, rtol=1e-3, atol=1e-2)


def test_moments_are_found_by_name():
    given = world()
    network = toy(given)
    lame = network.moments()._replace(first={"0": torch.zeros(1)})
    given.networks = {Scope.lora: NetworkGradients(type(network)(network.module, network.inputs, 64, lame), Scope.lora)}
    with pytest.raises(KeyError, match=r"lora_A\.weight"):
        choose(given, update="adam")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"update": "adam_linear", "normalise": "cosine"}, "adam_linear"),
        ({"update": "adam_linear", "selection": "matching_pursuit"}, "adam_linear"),
        ({"sketch": -1}, "sketch=-1"),
    ],
)
def test_options_that_make_no_sense_are_refused(changed, said):
    with pytest.raises(UserError, match=said) as caught:
        choose(world(), **changed)
    assert caught.value.hints


def test_averages_of_drawn_labels_are_shares():
    from alrun.strategies.less_network import imagined

    given = world()
    seen = view(given, N, LABELLED, [0, 0, 0], C, seed=1)
    options = {k: v for k, v in option("strategy", "less").items() if k not in ("name", "method")}
    from alrun.strategies.less_axes import Axes

    (shares,), single = imagined(seen, Axes(**options | {"label": "sampled", "draws": 5}), given.probs(REST))
    draws = influence.sample_labels(given.probs(REST), np.random.default_rng(1).random((len(REST), 5)))
    assert torch.equal(shares, one_hot(draws, C).double().mean(1)) and shares is single
