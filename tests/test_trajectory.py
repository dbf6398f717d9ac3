"""Adam directions, influence over checkpoints, matching: against the definitions written out."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from alrun.numerics.adam import adam_direction, linear_adam
from alrun.numerics.matching import blocks, count, file_rows, subtask_influence
from alrun.numerics.ranking import highest
from alrun.numerics.trajectory import (
    best_subtask,
    normalised,
    official_targets,
    paper_targets,
    trajectory_influence,
    unit,
)

BETAS, EPS = (0.9, 0.999), 1e-8


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.as_tensor(np.random.default_rng([seed, *shape]).normal(size=shape))


def test_the_direction_is_what_the_optimizer_does_next() -> None:
    weight = torch.nn.Parameter(random(9))
    optimizer = torch.optim.Adam([weight], lr=0.01, betas=BETAS, eps=EPS)
    for step in range(4):
        weight.grad = random(9, seed=step)
        optimizer.step()
    state = optimizer.state[weight]
    m, v, t = state["exp_avg"].clone(), state["exp_avg_sq"].clone(), int(state["step"])
    before = weight.detach().clone()
    weight.grad = random(9, seed=9)
    expected = adam_direction(weight.grad, m, v, betas=BETAS, eps=EPS, step=t, form="torch_step")
    optimizer.step()
    torch.testing.assert_close((before - weight.detach()) / 0.01, expected, rtol=1e-9, atol=1e-11)


def test_bias_correction_does_not_turn_the_direction_and_without_moments_it_is_a_sign() -> None:
    g, m, v = random(5, 12), random(12, seed=1) * 0.1, random(12, seed=2).square()
    less, paper = (adam_direction(g, m, v, betas=BETAS, eps=0.0, step=7, form=form) for form in ("less", "paper"))
    torch.testing.assert_close(unit(less), unit(paper))
    nothing = torch.zeros(12, dtype=torch.float64)
    first = adam_direction(g, nothing, nothing, betas=BETAS, eps=0.0, step=0, form="less")
    torch.testing.assert_close(first, g.sign() * 0.1 / 0.001**0.5)
    step = adam_direction(g, nothing, nothing, betas=BETAS, eps=0.0, step=0, form="torch_step")
    torch.testing.assert_close(step, g.sign())


def test_the_linear_form_is_the_limit_of_small_gradients() -> None:
    g, m, v, targets = random(5, 12), random(12, seed=1), random(12, seed=2).square() + 0.1, random(3, 12)
    scaled, constant = linear_adam(targets, m, v, betas=BETAS, eps=EPS)
    errors = []
    for size in (1.0, 0.1):
        exact = adam_direction(size * g, m, v, betas=BETAS, eps=EPS, step=1, form="less") @ targets.T
        errors.append((exact - (constant + size * g @ scaled.T)).abs().max())
    assert errors[1] < errors[0] / 50  # the part left out is quadratic


def test_subtasks_by_the_code_and_by_the_paper() -> None:
    z, val, subtask = random(3, 7, 10), random(3, 6, 10), torch.tensor([2, 0, 0, 2, 5, 5])
    weights = normalised(torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64))
    for targets in (official_targets, paper_targets):
        goals = (targets(g, subtask) for g in val)
        ours = trajectory_influence((unit(rows) for rows in z), goals, weights)  # (7, 3)
        for j, group in enumerate([0, 2, 5]):
            expected = torch.zeros(7, dtype=torch.float64)
            for w, train, goal in zip(weights, z, val[:, subtask == group], strict=True):
                if targets is official_targets:
                    expected += w * cosine_similarity(train[:, None], goal[None], dim=2).mean(1)
                else:
                    expected += w * cosine_similarity(train, goal.mean(0)[None], dim=1)
            torch.testing.assert_close(ours[:, j], expected)
        assert (best_subtask(ours) == ours.max(1).values).all()


def test_a_row_without_length_has_cosine_zero() -> None:
    rows = torch.tensor([[0.0, 0.0], [1e-13, 0.0], [3.0, 4.0]], dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.6, 0.8]], dtype=torch.float64)
    torch.testing.assert_close(unit(rows), expected)
    assert (paper_targets(torch.cat([rows[2:], -rows[2:]]), torch.tensor([0, 0])) == 0).all()


def test_one_checkpoint_is_held_at_a_time() -> None:
    alive = []

    def checkpoints():
        for c in range(4):
            alive.append(c)
            yield random(5, 3, seed=c)

    def targets():
        for c in range(4):
            assert alive == list(range(c + 1))
            yield random(2, 3, seed=c)

    result = trajectory_influence(checkpoints(), targets(), torch.ones(4))
    torch.testing.assert_close(result, sum(random(5, 3, seed=c) @ random(2, 3, seed=c).T for c in range(4)))
    with pytest.raises(ValueError, match="longer"):
        trajectory_influence(iter([random(5, 3), random(5, 3)]), iter([random(2, 3)] * 2), torch.ones(1))


@pytest.mark.parametrize("block", [1, 4, 1000])
def test_matching_is_the_mean_of_weighted_cosines_in_a_block(block: int) -> None:
    files = [random(2, rows, 8, seed=rows).half() for rows in (5, 1, 9)]
    target, weights = random(2, 6, 8).half(), torch.tensor([2e-5, 1e-5], dtype=torch.float64)
    files[2][:, 3] = 0
    ours = subtask_influence(files, target, weights, blocks(6, 3), dtype=torch.float64, block=block)
    everything = torch.cat(files, dim=1).double()
    cosines = [cosine_similarity(a[:, None], b.double()[None], dim=2) for a, b in zip(everything, target, strict=True)]
    expected = (2 * cosines[0] + cosines[1]).view(15, 3, 2).mean(2) / 3
    torch.testing.assert_close(ours, expected)
    assert (ours[9] == 0).all()


def test_picks_are_counted_through_the_files() -> None:
    pairs = [(f, row) for f, size in enumerate([3, 0, 2]) for row in range(size)]
    picks = torch.tensor([4, 0, 2, 3])
    assert [tuple(pair) for pair in file_rows(picks, [3, 0, 2]).tolist()] == [pairs[p] for p in picks]
    assert (count(0.05, 19), count(0.05, 20), count(1.0, 7)) == (0, 1, 7)
    assert highest(torch.tensor([1.0, 2.0]), 0).tolist() == []
    assert highest(torch.tensor([1.0, 3.0, 1.0, 3.0]), 3).tolist() == [1, 3, 0]


def test_subtasks_of_unequal_size_are_refused() -> None:
    with pytest.raises(ValueError, match="7 target rows do not divide into 3 subtasks of equal size"):
        blocks(7, 3)
