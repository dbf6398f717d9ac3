"""Greedy coverage by open balls of one radius (maximum coverage on a graph; ProbCover, Yehuda et al. 2022).

Which pairs are closer than the radius is settled in single precision, and in float64 where rounding could change the
answer, so degrees are whole numbers and ties are ties. One pass over half of the symmetric graph counts them; covering
a point takes one from each of its neighbours. Lists of neighbours are kept where they fit, and are computed again where
not: at most one more pass over the graph in all.
"""

import numpy as np
import torch
from torch import Tensor

from .distances import unit_rows


class Balls:
    """Which directions of `x` (n, F) are closer than `radius` to each other."""

    def __init__(self, x: Tensor, radius: float, *, block: int) -> None:
        self.x, self.radius, self.block = x, radius, block
        self.rows = torch.cat([unit_rows(part).float() for part in x.split(block)])  # (n, F)
        if not bool((lengths := self.rows.any(1)).all()):  # rows of zeros are at distance 1 from directions
            lift = torch.where(lengths, 0.0, 0.5)[:, None]
            self.rows = torch.cat([self.rows, lift, torch.ones_like(lift)], 1)
            self.mirrored = torch.cat([self.rows[:, :-2], torch.ones_like(lift), lift], 1)
        else:
            self.mirrored = self.rows
        doubt = 2 * (x.shape[1] + 4) * torch.finfo(torch.float32).eps
        self.maybe, self.surely = 1 - radius**2 / 2 - doubt, 1 - radius**2 / 2 + doubt  # of an inner product

    def __len__(self) -> int:
        return len(self.x)

    def inside(self, left: Tensor | slice, right: Tensor | slice) -> Tensor:
        """(n, m) bool: distance below the radius."""
        product = self.rows[left] @ self.mirrored[right].T
        inside = product > self.surely
        flat = positions((product > self.maybe) ^ inside)  # within rounding of the radius
        names = torch.arange(len(self), device=self.x.device)
        one, other = names[left][flat // inside.shape[1]], names[right][flat % inside.shape[1]]
        for at, i, j in zip(*(part.split(self.block) for part in (flat, one, other)), strict=True):
            distance = torch.linalg.vector_norm(unit_rows(self.x[i]) - unit_rows(self.x[j]), dim=1)
            inside.view(-1)[at] = distance < self.radius
        return inside

    def tiles(self) -> list[slice]:
        return [slice(start, min(start + self.block, len(self))) for start in range(0, len(self), self.block)]


def greedy_balls(balls: Balls, covered: Tensor, n: int, *, capacity: int) -> tuple[list[int], list[int]]:
    """Positions whose balls hold most points not yet covered, and how many. Equal numbers: lowest position.

    `covered` (n,) bool is where to start; at most `capacity` neighbours are kept.
    """
    covered = covered.clone()
    sparse = int((~covered).sum()) * 2 < len(balls)  # few points left: counting their neighbours is the shorter way
    graph = None if sparse else Graph(balls, capacity)
    degree = _degrees(balls, graph, ~covered)  # (n,)
    picks, gains = [], []
    for _ in range(n):
        pick = int(degree.argmax())
        picks.append(pick)
        gains.append(int(degree[pick]))
        if gains[-1] > 0:
            here = torch.tensor([pick], device=degree.device)
            near = graph.of(here) if graph and graph.complete else _near(balls, here)
            new = near[~covered[near]].long()
            covered[new] = True
            degree -= _counts(balls, graph, new)
        degree[picks] = -1
    return picks, gains


def _degrees(balls: Balls, graph: "Graph | None", open_: Tensor) -> Tensor:
    if graph is None:
        return _counts(balls, None, open_.nonzero().flatten())
    degree = torch.zeros(len(balls), dtype=torch.int64, device=open_.device)
    weight = open_.float()  # sums of ones below 2^24 are exact
    tiles = balls.tiles()
    for index, left in enumerate(tiles):
        for right in tiles[index:]:
            inside = balls.inside(left, right)
            counted = inside.float()
            degree[left] += (counted @ weight[right]).long()
            if left != right:
                degree[right] += (counted.T @ weight[left]).long()
            graph.add(left, right, inside)
        graph.close(left)
    return degree


def _counts(balls: Balls, graph: "Graph | None", points: Tensor) -> Tensor:
    """(n,) how many of the points lie in each ball."""
    if graph and graph.complete:
        return torch.bincount(graph.of(points), minlength=len(balls))
    counts = torch.zeros(len(balls), dtype=torch.int64, device=points.device)
    for part in points.split(balls.block):
        for tile in balls.tiles():
            counts[tile] += balls.inside(part, tile).sum(0)
    return counts


def _near(balls: Balls, point: Tensor) -> Tensor:
    return torch.cat([balls.inside(point, tile)[0] for tile in balls.tiles()]).nonzero().flatten()


class Graph:
    """Neighbours of every point, block of points by block, as long as they fit."""

    def __init__(self, balls: Balls, capacity: int) -> None:
        self.size, self.capacity, self.used, self.complete = len(balls), capacity, 0, True
        self.waiting: dict[int, list[tuple[Tensor, Tensor]]] = {}  # start of a block -> (row in it, neighbour)
        self.neighbours: list[Tensor] = []
        self.counts: list[Tensor] = []
        self.joined: tuple[Tensor, Tensor, Tensor] | None = None

    def add(self, left: slice, right: slice, inside: Tensor) -> None:
        """The pairs of one tile, in both directions."""
        if not self.complete:
            return
        flat = positions(inside)
        row, column = (flat // inside.shape[1]).to(torch.int16), (flat % inside.shape[1]).to(torch.int16)
        self._wait(left.start, row, column.int() + right.start)
        if left != right:
            self._wait(right.start, column, row.int() + left.start)
        if self.used > self.capacity:
            self.complete = False
            self.waiting, self.neighbours, self.counts = {}, [], []

    def _wait(self, block: int, row: Tensor, neighbour: Tensor) -> None:
        self.waiting.setdefault(block, []).append((row, neighbour))
        self.used += len(row)

    def close(self, block: slice) -> None:
        """All pairs of this block of points are in: sort them by point."""
        if not self.complete:
            return
        row, neighbour = (torch.cat(parts) for parts in zip(*self.waiting.pop(block.start), strict=True))
        self.neighbours.append(neighbour[row.argsort(stable=True)])
        self.counts.append(torch.bincount(row, minlength=block.stop - block.start))

    def of(self, points: Tensor) -> Tensor:
        """All neighbours of these points, one list after the other."""
        if self.joined is None:
            counts = torch.cat(self.counts)
            self.joined = torch.cat(self.neighbours), counts, counts.cumsum(0) - counts
            self.neighbours = self.counts = []
        neighbours, counts, first = self.joined
        count = counts[points]
        at = torch.repeat_interleave(first[points] - count.cumsum(0) + count, count)
        return neighbours[at + torch.arange(len(at), device=at.device)]


def positions(mask: Tensor) -> Tensor:
    """Flat positions where a mask holds; numpy finds them several times faster on the CPU."""
    if mask.device.type == "cpu":
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero().flatten()
