"""Schedules: which stage chooses when, and what is refused before anything runs."""

import numpy as np
import pytest
from arrays import ArraySignals, view

from alrun import registry
from alrun.config import option
from alrun.errors import UserError
from alrun.types import Size

N = 40
RNG = np.random.default_rng(0)
PROBS, X = RNG.dirichlet(np.ones(4), N), RNG.standard_normal((N, 3))


def ask(params, labelled=0, cycle=0, n=4):
    seen = view(ArraySignals(probs=PROBS, features=X), N, range(labelled), cycle=cycle, n_classes=4, seed=3)
    return registry.build("strategy", params)(seen, n)


def alone(name, labelled=0):
    return ask(option("strategy", name), labelled).indices.tolist()


def schedule(unit, *stages):
    return {"name": "switch", "unit": unit, "schedule": list(stages)}


@pytest.mark.parametrize(
    ("unit", "labelled", "cycle", "expected"),
    [
        ("labels", 0, 9, 0),
        ("labels", 7, 0, 0),
        ("labels", 8, 0, 1),
        ("labels", 11, 0, 1),
        ("labels", 12, 0, 2),
        ("classes", 12, 0, 0),  # 3 per class
        ("classes", 32, 0, 1),
        ("cycles", 30, 7, 0),
        ("cycles", 0, 8, 1),
        ("cycles", 0, 12, 2),
    ],
)
def test_a_stage_lasts_until_its_count(unit, labelled, cycle, expected):
    stages = [{"strategy": "entropy", "until": 8}, {"strategy": "margin", "until": 12}, {"strategy": "maxherding"}]
    ours = ask(schedule(unit, *stages), labelled, cycle)
    assert ours.notes["stage"] == expected
    name = ["entropy", "margin", "maxherding"][expected]
    assert ours.indices.tolist() == alone(name, labelled)


def test_a_stage_may_have_options_of_its_own():
    wide = {"name": "maxherding", "sigma": 3.0}
    ours = ask(schedule("labels", {"strategy": wide}))
    assert ours.notes == {"sigma": 3.0, "stage": 0.0}
    assert ours.indices.tolist() == ask({"name": "maxherding", "kernel": "rbf", "sigma": 3.0}).indices.tolist()


def test_random_then_entropy():
    preset = option("strategy", "random_then_entropy")
    assert ask(preset, 19).indices.tolist() == alone("random", 19)
    assert ask(preset, 20).indices.tolist() == alone("entropy", 20)


def test_alignment_then_entropy():
    preset = option("strategy", "alignment_then_entropy")
    assert ask(preset, 20).indices.tolist() == alone("entropy", 20)
    with pytest.raises(LookupError, match="asked for head"):  # less_alignment does, random and entropy do not
        ask(preset, 19)


def test_tcm_is_typiclust_for_three_cycles_and_then_margin():
    preset = option("strategy", "tcm")
    early, late = ask(preset, 6, cycle=2), ask(preset, 6, cycle=3)
    assert early.indices.tolist() == alone("typiclust", 6) and late.indices.tolist() == alone("margin", 6)
    assert (early.notes["rounds"], early.notes["stage"]) == (3.0, 0.0)
    assert late.notes == {"rounds": 3.0, "stage": 1.0}
    assert ask({**preset, "rounds": 4}, 6, cycle=3).indices.tolist() == alone("typiclust", 6)
    with pytest.raises(UserError, match="rounds=-1"):
        ask({**preset, "rounds": -1})


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "ends at"),
        ([{"strategy": "random", "until": 4}], "every stage but the last needs an end"),
        ([{"strategy": "random"}, {"strategy": "margin"}], "every stage but the last needs an end"),
        ([{"strategy": "random", "until": 0}, {"strategy": "margin"}], "does not grow"),
        ([{"strategy": "random", "until": 5}, {"strategy": "badge", "until": 5}, {"strategy": "margin"}], "not grow"),
        ([{"strategy": "margn"}], "no shipped strategy is called 'margn'"),
        ([{"strategy": 3}], "3 is no strategy"),
        ([{"strategy": {"name": "maxherding", "sigma": "wide"}}], "maxherding"),
        ([{"strategy": {"name": "maxherding", "sgma": 1.0}}], "sgma"),
        ([{"strategy": "random", "util": 4}], "util"),
        ([{"until": 4}, {"strategy": "margin"}], "strategy"),
    ],
)
def test_mistakes_are_found_when_options_are_read(stages, message):
    with pytest.raises(UserError, match=message):
        registry.options("strategy", schedule("labels", *stages))


def test_options_say_all_that_the_stages_do():
    own = schedule("labels", {"strategy": "random", "until": 5}, {"strategy": {"name": "maxherding", "sigma": 3.0}})
    full = registry.options("strategy", own)
    assert [stage["strategy"] for stage in full["schedule"]] == [
        {"name": "random"},
        {"name": "maxherding", "kernel": "rbf", "sigma": 3.0},
    ]
    assert registry.options("strategy", {"name": "switch", **full}) == full
    assert registry.options("strategy", option("strategy", "tcm"))["first"]["neighbours"] == 20


def test_memory_is_that_of_the_largest_stage():
    size = Size(1000, 10, 10, 4, 32, 32)
    both = schedule("labels", {"strategy": "random", "until": 5}, {"strategy": "maxherding"})
    assert registry.memory(both, size) == registry.memory(option("strategy", "maxherding"), size)
    assert registry.memory(option("strategy", "random"), size) == 16000
