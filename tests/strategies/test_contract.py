"""What every strategy owes its caller: all that have a YAML in configs/strategy, with the options given there."""

from pathlib import Path

import numpy as np
import pytest
import torch
from arrays import ArraySignals, view
from networks import adapted
from omegaconf import OmegaConf

from alrun import registry
from alrun.types import Head, Selection, Target, View

N, F, D, C = 60, 5, 6, 4
CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "strategy").glob("*.yaml"))
NAMES = [path.stem for path in CONFIGS]


def pool(duplicates: bool = False, dtype: type = np.float64) -> ArraySignals:
    """Everything a strategy may ask for, consistent: a linear head on the embeddings."""
    rng = np.random.default_rng(7)
    features, embeddings = rng.standard_normal((N, F)), rng.standard_normal((N, D))
    if duplicates:
        features[1::2], embeddings[1::2] = features[::2], embeddings[::2]
    weight, bias = rng.standard_normal((C, D)), rng.standard_normal(C)
    target, target_labels = rng.standard_normal((2 * C, D)), np.arange(2 * C) % C
    return signals(features, embeddings, weight, bias, target, target_labels, dtype)


def signals(features, embeddings, weight, bias, target, target_labels, dtype=np.float64) -> ArraySignals:
    tensor = [torch.from_numpy(x.astype(dtype)) for x in (features, embeddings, weight, bias, target)]
    features, embeddings, weight, bias, target = tensor
    logits = embeddings @ weight.T + bias
    given = {
        "features": features,
        "embeddings": embeddings,
        "logits": logits,
        "probs": logits.softmax(1),
        "head": Head(weight, bias),
        "completions": torch.stack([features.exp().mean(1), embeddings.exp().mean(1)], dim=1),
        "target": Target(target, (target @ weight.T + bias).softmax(1), torch.from_numpy(target_labels)),
    }
    given["gradients"] = adapted
    previous = ArraySignals(**{**given, "logits": logits / 2, "probs": (logits / 2).softmax(1), "previous": None})
    return ArraySignals(**given, previous=previous, refit=lambda idx: previous)


def ask(
    name: str, n: int, labelled: list[int], *, seed: int = 0, given: ArraySignals | None = None, **more
) -> Selection:
    """What the strategy of configs/strategy/<name>.yaml picks."""
    return choose(name)(look(labelled, seed, given, **more), n)


QUICKER = {"activeft": {"steps": 5}}  # options for tests that choose hundreds of times


def choose(name: str, **other):
    path = next(path for path in CONFIGS if path.stem == name)
    params = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(params, dict)
    return registry.build("strategy", {str(key): value for key, value in params.items()} | other)


def look(labelled: list[int], seed: int = 0, given: ArraySignals | None = None, **more) -> View:
    labels = [item % C for item in labelled]
    return view(given or pool(), N, labelled, labels, C, seed=seed, **more)


def keeps_the_contract(selection: Selection, n: int, labelled: list[int]) -> None:
    picks = selection.indices.tolist()
    assert selection.indices.dtype == torch.int64
    assert len(picks) == len(set(picks)) == n
    assert set(picks) <= set(range(N)) - set(labelled)
    assert selection.scores.shape == (n,)
    assert all(isinstance(note, float) for note in selection.notes.values())


LABELLED = [41, 3, 17, 58, 22, 9, 30, 11]


def test_every_yaml_has_its_comment_lines() -> None:
    for path in CONFIGS:
        first, needs, cost = path.read_text().splitlines()[:3]
        assert first.startswith("# ") and needs.startswith("# needs: ") and cost.startswith("# cost: "), path.name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labelled", [[], [5], LABELLED], ids=["none", "one", "eight"])
@pytest.mark.parametrize("n", [1, 7, None], ids=["one", "seven", "all"])
@pytest.mark.parametrize("duplicates", [False, True], ids=["distinct", "duplicates"])
def test_n_different_unlabelled_items(name: str, labelled: list[int], n: int | None, duplicates: bool) -> None:
    count = n or N - len(labelled)
    keeps_the_contract(ask(name, count, labelled, given=pool(duplicates)), count, labelled)


@pytest.mark.parametrize("name", NAMES)
def test_float32_signals(name: str) -> None:
    keeps_the_contract(ask(name, 7, LABELLED, given=pool(dtype=np.float32)), 7, LABELLED)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("labelled", [[], LABELLED], ids=["none", "eight"])
def test_same_seed_same_picks(name: str, labelled: list[int]) -> None:
    first, second = ask(name, 9, labelled, seed=3), ask(name, 9, labelled, seed=3)
    assert first.indices.tolist() == second.indices.tolist()
    np.testing.assert_array_equal(first.scores, second.scores)


@pytest.mark.parametrize("name", NAMES)
def test_the_view_is_left_alone(name: str) -> None:
    given = pool()
    seen = look(LABELLED, given=given)
    tensors = [seen.unlabelled, seen.labelled, seen.labels, *(t for t in given.given.values() if torch.is_tensor(t))]
    tensors += [*given.given["head"], *given.given["target"]]
    before = [tensor.clone() for tensor in tensors]
    choose(name)(seen, 9)
    assert all(torch.equal(old, new) for old, new in zip(before, tensors, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_memo_changes_nothing(name: str) -> None:
    """Three cycles with one memo, and the same three each with an empty one."""
    memo: dict = {}
    labelled = list(LABELLED)
    for cycle in range(3):
        kept = ask(name, 6, labelled, seed=cycle, memo=memo, cycle=cycle).indices.tolist()
        assert kept == ask(name, 6, labelled, seed=cycle, cycle=cycle).indices.tolist()
        labelled += kept


def draws(name: str, **other) -> bool:
    """Whether its picks depend on the seed."""
    chosen = [choose(name, **other)(look(LABELLED, seed), 5).indices.tolist() for seed in range(6)]
    return any(picks != chosen[0] for picks in chosen)


# A drawn choice that often ends between equals, which the order then decides: degrees are whole numbers, and the two
# members of a cluster are equally near its centre.
WITHOUT_DRAWS = {"probcover": {"delta": 0.9}}
MANY_TIES = {"alfamix"}


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_the_pool_does_not_matter(name: str) -> None:
    """The same items in another order: the same picks, or where they are drawn, as often each (400 seeds)."""
    rng = np.random.default_rng(1)
    order = rng.permutation(N)  # item order[i] of the old pool is item i of the new one
    place = np.argsort(order)
    old = pool()
    new = ArraySignals(**{key: part[order] if torch.is_tensor(part) else part for key, part in old.given.items()})
    previous = old.given["previous"]
    moved = ArraySignals(**{k: p[order] if torch.is_tensor(p) else p for k, p in previous.given.items()})
    new.given |= {"previous": moved, "refit": lambda idx: moved}

    def picks(given: ArraySignals, labelled: list[int], seed: int) -> list[int]:
        return select(given, labelled, seed).indices.tolist()

    def select(given: ArraySignals, labelled: list[int], seed: int) -> Selection:
        return choose_once(view(given, N, labelled, [item % C for item in LABELLED], C, seed=seed), 6)

    options = QUICKER.get(name, {}) | WITHOUT_DRAWS.get(name, {})
    choose_once = choose(name, **options)
    there = [int(place[item]) for item in LABELLED]
    if not draws(name, **options):
        here, moved_here = select(old, LABELLED, 0), select(new, there, 0)
        parted = (here.indices.numpy() != order[moved_here.indices.numpy()]).nonzero()[0]
        if len(parted):  # where the order decides between equals: from there on the two may differ
            np.testing.assert_allclose(here.scores[parted[0]], moved_here.scores[parted[0]], rtol=1e-9)
        return
    counts = np.zeros((2, N))
    seeds = 400
    for seed in range(seeds):
        counts[0, picks(old, LABELLED, seed)] += 1
        counts[1, order[picks(new, there, seeds + seed)]] += 1
    share = counts.sum(0) / (2 * seeds)
    if name in MANY_TIES:  # the same items can be chosen
        assert ((counts > 0).all(0) == (share > 0))[(share == 0) | (share > 0.02)].all()
        return
    error = np.sqrt(2 * share * (1 - share) / seeds)
    assert (np.abs(counts[0] - counts[1]) / seeds <= 5 * error + 1e-9).all()
