"""The memory that a strategy announces is about the memory that it takes."""

import subprocess
import sys
from pathlib import Path

import pytest

N, D, C, LABELLED, BATCH = 50_000, 128, 10, 100, 100
MB = 2**20
MEASURE = """
import sys
sys.path[:0] = {paths!r}
import numpy as np, torch
from arrays import ArraySignals, view
from omegaconf import OmegaConf
from alrun import registry
from alrun.gradients.head import HeadGradients
from alrun.types import Head, Target
rng = np.random.default_rng(0)
centers = rng.standard_normal(({C}, {D}))
y = rng.integers(0, {C}, {LABELLED} + {N})
x = (centers[y] + rng.standard_normal(({LABELLED} + {N}, {D}))).astype(np.float32)
x /= np.linalg.norm(x, axis=1, keepdims=True)
weight = (5 * centers / np.linalg.norm(centers, axis=1, keepdims=True)).astype(np.float32)
logits = x @ weight.T
probs = torch.from_numpy(logits).softmax(1).numpy()
def kilobytes(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key))
def ask(rows):
    head = Head(torch.from_numpy(weight), torch.zeros({C}))
    given = dict(features=x[:rows], embeddings=x[:rows], logits=logits[:rows], probs=probs[:rows], head=head)
    given["target"] = Target(*(torch.as_tensor(part[:50]) for part in (x, probs, y)))
    given["gradients"] = lambda scope, signals: HeadGradients(head, signals.logits)  # of these, how many there are
    given["refit"] = lambda idx: ArraySignals(**given)  # what it costs is the model's
    signals = ArraySignals(**given)
    seen = view(signals, rows, np.arange({LABELLED}), y[:{LABELLED}], {C})
    params = OmegaConf.to_container(OmegaConf.load({config!r}))
    if "calibration" in params:
        params["calibration"] = "none"
    if "delta" in params:
        params["delta"] = 0.9
    if "steps" in params:
        params["steps"] = 3  # the next take no more
    choose = registry.build("strategy", params)
    choose(seen, {BATCH})
ask(400)  # what is loaded once does not count
open("/proc/self/clear_refs", "w").write("5")
before = kilobytes("VmRSS")
ask({LABELLED} + {N})
print((kilobytes("VmHWM") - before) * 1024)
"""
# peak above the input that each may take at most, in MB
BOUNDS = {
    "random": 20,
    "entropy": 40,
    "margin": 40,
    "least_confidence": 40,
    "badge": 60,
    "maxherding": 230,
    "uherding": 230,
    "weighted_kmeans": 40,
    "dropquery": 260,
    "activeft": 100,
    "coreset": 80,
    "probcover": 400,
    "typiclust": 180,
    "tcm": 180,
    "select_al": 180,
    "alfamix": 80,
    "less": 60,
    "less_matching_pursuit": 60,
    "kmedoids": 230,
    "alfamix_herding": 80,
    "badge_herding": 230,
    "weighted_kmeans_herding": 40,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads the peak from /proc")
def test_the_estimate_holds(name: str) -> None:
    from alrun import registry
    from alrun.types import Size

    root = Path(__file__).parents[2]
    config = str(root / "configs" / "strategy" / f"{name}.yaml")
    values = {"N": N, "D": D, "C": C, "LABELLED": LABELLED, "BATCH": BATCH, "config": config}
    script = MEASURE.format(paths=[str(root), str(root / "tests")], **values)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    peak = int(result.stdout)
    estimate = registry.memory(registry.option("strategy", name), Size(N, LABELLED, BATCH, C, D, D))
    print(f"{name}: {peak / MB:.0f} MB, announced {estimate / MB:.0f} MB")
    assert peak <= BOUNDS[name] * MB
    assert peak <= 1.2 * estimate + 8 * MB
    assert estimate <= 2 * peak + 24 * MB
