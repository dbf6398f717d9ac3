"""k-means for the strategies that cluster: one place that asks scikit-learn, seeded by the strategy's generator."""

import warnings

import numpy as np
import torch
from torch import Tensor

FULL = 50  # up to this many clusters full k-means, above it mini-batches, as in TypiClust's released code
BATCH = 5000  # rows of a mini-batch; first centres come from as many, a third of what scikit-learn would look at


def clusters(points: Tensor, k: int, rng: np.random.Generator, *, full: bool = False) -> tuple[Tensor, Tensor]:
    """(n,) cluster of each row and (k, F) centres. Some of the k may have no member where rows are equal."""
    from sklearn.cluster import KMeans, MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    seed = int(rng.integers(2**31))
    model = KMeans(k, n_init=1, random_state=seed)
    if not full and k > FULL:
        model = MiniBatchKMeans(k, n_init=1, batch_size=BATCH, init_size=BATCH, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than clusters: empty ones are allowed
        found = model.fit(points.cpu().numpy())
    classes = torch.from_numpy(found.labels_).long().to(points.device)
    return classes, torch.from_numpy(found.cluster_centers_).to(points)


def spread_out(points: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """Positions of n of the rows: the nearest to each of n k-means centres, and uniform draws for empty clusters."""
    classes, centres = clusters(points, n, rng, full=True)
    parts = zip(points.split(BATCH), classes.split(BATCH), strict=True)
    far = torch.cat([torch.linalg.vector_norm(x.double() - centres[c].double(), dim=1) for x, c in parts])
    order = far.argsort(stable=True)
    picks = [int(order[classes[order] == c][0]) for c in classes.unique().tolist()]
    return fill(torch.tensor(picks, device=points.device), len(points), n, rng)


def fill(picks: Tensor, size: int, n: int, rng: np.random.Generator) -> Tensor:
    """The picks, and uniform draws without replacement from the other positions below `size` until there are n."""
    if len(picks) >= n:
        return picks
    rest = np.setdiff1d(np.arange(size), picks.cpu().numpy())
    drawn = rng.choice(rest, n - len(picks), replace=False)
    return torch.cat([picks, torch.from_numpy(drawn).to(picks)])
