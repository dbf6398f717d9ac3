"""Seconds, memory and objective of every selection method, beside scikit-activeml where it is installed.

    python -m benchmarks.selection                        # every strategy, N = 10,000 and 50,000, one thread and all
    python -m benchmarks.selection --methods badge maxherding --sizes 10000 --threads 1 --json speed.json

The input is seeded: ten Gaussian classes on the unit sphere (128 dimensions), 100 labelled items, a fixed linear
model, a batch of 100; and CIFAR-10 features where $ALRUN_DATA has them (--cifar10). Every case is a process of its own.
CPU seconds are those of the call, best of three (of one if it takes over five seconds); peak memory is what the call
adds to the process that already holds the input. Beside some methods stands what they are held to, from the same
process: `floor_s` one blocked pass over all pairs (herding), `stale_ratio` the second cycle over the first
(MaxHerding), `logits_s` one pass of logits and probabilities over the pool's embeddings (LESS), `mixes_s` the passes
of mixed embeddings that the closed form replaces, one for each class and cap tried (ALFA-Mix; one of them measured).
"""

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LIMIT_S = 240
BATCH, LABELLED, CLASSES, WIDTH = 100, 100, 10, 128
# The options that make a method the same one as its peer's; everything else is as shipped.
FIXED: dict[str, dict[str, Any]] = {
    "probcover": {"delta": 0.9},
    "maxherding": {"sigma": 1.0},
    "kmedoids": {"sigma": 1.0},
    "uherding": {"sigma": 1.0, "adaptive_sigma": False, "calibration": "none"},
}
BESIDE = ("floor_s", "stale_ratio", "logits_s", "mixes_s")
PEERS = {
    "badge": "Badge",
    "coreset": "CoreSet",
    "typiclust": "TypiClust",
    "probcover": "ProbCover",
    "maxherding": "MaxHerding",
    "weighted_kmeans": "Clue",
    "dropquery": "DropQuery",
    "entropy": "UncertaintySampling",
    "margin": "UncertaintySampling",
    "least_confidence": "UncertaintySampling",
}


def synthetic(n: int) -> dict[str, np.ndarray]:
    """Unit rows x (L + n, 128), classes y, weights w (C, 128), probabilities p: the first L rows are labelled."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((CLASSES, WIDTH))
    y = rng.integers(0, CLASSES, LABELLED + n)
    x = centres[y] + rng.standard_normal((LABELLED + n, WIDTH))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    w = 5 * centres / np.linalg.norm(centres, axis=1, keepdims=True)
    return _with_probs(x, y, w)


def cifar10(n: int) -> dict[str, np.ndarray]:
    """Real features: 10,000 or 50,000 rows of CIFAR-10 (256 dimensions), weights from class means."""
    with np.load(Path(os.environ["ALRUN_DATA"]) / "cifar10/features_pca256.npz", allow_pickle=False) as found:
        order = np.random.default_rng(0).permutation(len(found["y_train"]))[: LABELLED + n]
        x, y = found["x_train"][order].astype(np.float64), found["y_train"][order].astype(np.int64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    means = np.stack([x[y == c].mean(axis=0) for c in range(CLASSES)])
    return _with_probs(x, y, 5 * means / np.linalg.norm(means, axis=1, keepdims=True))


def _with_probs(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    logits = x @ w.T
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return {"x": x.astype(np.float32), "y": y, "w": w.astype(np.float32), "p": p.astype(np.float32)}


def measured(call: Callable[[], Any], setup: Callable[[], Any] = lambda: None) -> tuple[Any, dict[str, float]]:
    """The result of a call, its CPU and wall seconds, and the memory it added at its peak."""
    best: dict[str, float] = {}
    result = None
    for _ in range(3):
        setup()
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        cpu, wall = time.process_time(), time.perf_counter()
        result = call()
        found = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}
        found["peak_mb"] = (_status("VmHWM") - before) / 1024
        if not best or found["cpu_s"] < best["cpu_s"]:
            best = found | {"peak_mb": max(found["peak_mb"], best.get("peak_mb", 0.0))}
        if found["cpu_s"] > 5:
            break
    return result, best


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise LookupError(field)


def ours(method: str, data: dict[str, np.ndarray], *, extras: bool = True) -> dict[str, Any]:
    """One strategy, through the view that a run gives it; `extras`: also what the herding ones are compared with."""
    import torch

    from alrun import registry
    from alrun.config import option
    from alrun.gradients.head import HeadGradients
    from alrun.types import Head, Target

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    from arrays import ArraySignals, view

    x, p = torch.from_numpy(data["x"]), torch.from_numpy(data["p"])
    weight = torch.from_numpy(data["w"])
    head = Head(weight, torch.zeros(len(weight)))
    given: dict[str, Any] = {
        "features": x,
        "embeddings": x,
        "probs": p,
        "logits": x @ weight.T,
        "head": head,
        "target": Target(x[:LABELLED], p[:LABELLED], torch.from_numpy(data["y"][:LABELLED])),
        "previous": None,
        "gradients": lambda scope, signals: HeadGradients(head, signals.logits),
    }
    signals = ArraySignals(**given, refit=lambda idx: ArraySignals(**given))
    options = option("strategy", method) | FIXED.get(method, {})
    strategy = registry.build("strategy", options)
    memo: dict[str, Any] = {}

    def ask(labelled: np.ndarray, pool: int = len(x)) -> Any:
        asked = view(signals, pool, labelled, data["y"][labelled], CLASSES, cycle=3, memo=memo)
        return strategy(asked, BATCH)

    ask(np.arange(LABELLED), 4 * LABELLED)  # what is imported and set up once does not count
    start = np.arange(LABELLED)
    selection, figures = measured(lambda: ask(start), setup=memo.clear)
    picks = selection.indices.numpy()
    extra: dict[str, float] = {}
    if extras and method == "maxherding":
        began = time.process_time()
        ask(np.concatenate([start, picks]))
        extra["stale_ratio"] = (time.process_time() - began) / figures["cpu_s"]
    if extras and method in ("maxherding", "uherding"):
        extra["floor_s"] = blocked_pass(x[LABELLED:])
    if extras and method.startswith("less"):
        rest = torch.arange(LABELLED, len(x))  # read by index, as a strategy reads them
        extra["logits_s"] = best_of(lambda: (x[rest] @ weight.T).softmax(1))
    if extras and method == "alfamix":
        tried = round(selection.notes["cap"] / options["cap_step"])
        extra["mixes_s"] = CLASSES * tried * best_of(mixed_pass(x, p, weight, selection.notes["cap"]))
    return figures | {"objective": objective(method, data, picks)} | extra


def best_of(call: Callable[[], Any], repeat: int = 5) -> float:
    """CPU seconds of the fastest of some calls."""
    best = float("inf")
    for _ in range(repeat):
        began = time.process_time()
        call()
        best = min(best, time.process_time() - began)
    return best


def blocked_pass(x: Any, block: int = 1024) -> float:
    """CPU seconds of one pass over all pairs: similarity product, kernel, weighted sum."""
    import torch

    weights = torch.ones(len(x))

    def sweep() -> None:
        for start in range(0, len(x), block):
            kernel = (x[start : start + block] @ x.T).mul_(2).sub_(2).exp_()
            kernel @ weights

    return best_of(sweep, repeat=2)


def mixed_pass(x: Any, p: Any, weight: Any, cap: float) -> Callable[[], Any]:
    """Logits of all items mixed with one anchor, shares by the first-order expansion (ALFA-Mix as published, Eq. 6)."""
    import torch

    anchor, items, residual = x[:LABELLED].mean(0), x[LABELLED:], p[LABELLED:].clone()
    residual[torch.arange(len(items)), residual.argmax(1)] -= 1
    direction = torch.nn.functional.normalize(residual @ weight, dim=1)

    def mix() -> Any:
        apart = anchor - items
        share = cap / x.shape[1] ** 0.5 * apart.norm(dim=1, keepdim=True) * direction / (apart + 1e-8)
        return (share * anchor + (1 - share) * items) @ weight.T

    return mix


def objective(method: str, data: dict[str, np.ndarray], picks: np.ndarray, block: int = 1024) -> float:
    """k-centre radius (coreset, lower is better), share within delta (probcover), mean squared distance of gradients to
    the nearest pick (badge, lower is better), else mean kernel coverage of the pool (higher is better)."""
    x = data["x"]
    if method == "badge":
        residual = np.eye(CLASSES, dtype=np.float32)[data["p"].argmax(1)] - data["p"]
        total = 0.0
        norms = (residual**2).sum(1) * (x**2).sum(1)
        for start in range(LABELLED, len(x), block):
            at = slice(start, start + block)
            inner = (residual[at] @ residual[picks].T) * (x[at] @ x[picks].T)
            total += float((norms[at, None] + norms[picks] - 2 * inner).min(1).clip(min=0).sum())
        return total / (len(x) - LABELLED)
    centres = x[np.concatenate([np.arange(LABELLED), picks])]
    nearest = np.concatenate([(x[s : s + block] @ centres.T).max(1) for s in range(LABELLED, len(x), block)])
    squared = np.clip(2 - 2 * nearest, 0, None)
    if method == "coreset":
        return float(np.sqrt(squared.max()))
    if method == "probcover":
        return float((np.sqrt(squared) < FIXED["probcover"]["delta"]).mean())
    return float(np.exp(-squared).mean())


def peer(method: str, data: dict[str, np.ndarray]) -> dict[str, Any]:
    """scikit-activeml's counterpart on the same input, with the same probabilities."""
    from skactiveml import pool
    from skactiveml.base import SkactivemlClassifier

    class Fixed(SkactivemlClassifier):
        """A linear model that is given, not fitted."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Fixed":
            self.classes_ = np.arange(CLASSES)
            return self

        def predict_proba(self, X: Any) -> np.ndarray:
            logits = X @ data["w"].T
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            return p / p.sum(axis=1, keepdims=True)

    labels = data["y"].astype(float)
    labels[LABELLED:] = np.nan
    query: dict[str, Any] = {"X": data["x"], "y": labels, "batch_size": BATCH}
    options: dict[str, Any] = {"random_state": 0}
    model = Fixed(classes=list(range(CLASSES))).fit(data["x"], labels)
    if method in ("badge", "dropquery", "entropy", "margin", "least_confidence"):
        query |= {"clf": model, "fit_clf": False}
    if method == "weighted_kmeans":
        query |= {"estimator": model, "fit_estimator": False}
        options["method"] = "margin_sampling"
    if method in ("entropy", "margin", "least_confidence"):
        options["method"] = {"entropy": "entropy", "margin": "margin_sampling"}.get(method, "least_confident")
    if method == "probcover":
        options |= {"n_classes": CLASSES, "deltas": [FIXED["probcover"]["delta"]]}
    if method == "maxherding":
        options["metric_dict"] = {"gamma": 1.0}
    strategy = getattr(pool, PEERS[method])(**options)
    picks, figures = measured(lambda: strategy.query(**query))
    return figures | {"objective": objective(method, data, np.asarray(picks))}


def alone(method: str, data: dict[str, np.ndarray]) -> dict[str, Any]:
    """One strategy and nothing beside it."""
    return ours(method, data, extras=False)


def case(words: list[str], threads: int, limit_s: float = LIMIT_S) -> dict[str, Any] | None:
    """A case in a process of its own, or None where it failed or took too long."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    surroundings = os.environ | dict.fromkeys(names, str(threads))
    command = [sys.executable, "-m", "benchmarks.selection", "--case", *words]
    try:
        done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=limit_s, check=True)
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        reason = f"over {limit_s} s" if isinstance(error, subprocess.TimeoutExpired) else error.stderr.strip()[-300:]
        print(f"  {' '.join(words)}: {reason}", file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """Where this was measured."""
    import torch

    found = {"platform": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return found | {"cpu": cpu, "torch": torch.__version__}


def known_methods() -> list[str]:
    """The strategies that need no network: what the synthetic input can serve."""
    from alrun.config import config_dir

    needs = {path.stem: path.read_text().splitlines()[1] for path in (config_dir() / "strategy").glob("*.yaml")}
    return sorted(name for name, line in needs.items() if "completions" not in line and "adapters" not in line)


def main() -> None:
    """Run the cases, print a table, write JSON."""
    known = known_methods()
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--methods", nargs="+", default=known, choices=known)
    ask.add_argument("--sizes", nargs="+", type=int, default=[10_000, 50_000])
    ask.add_argument("--threads", nargs="+", type=int, default=sorted({1, os.cpu_count() or 1}))
    ask.add_argument("--cifar10", action="store_true", help="CIFAR-10 features in place of the synthetic input")
    ask.add_argument("--no-peer", action="store_true")
    ask.add_argument("--json", type=Path)
    ask.add_argument("--case", nargs=4, help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.case:
        side, method, n, kind = args.case
        data = {"synthetic": synthetic, "cifar10": cifar10}[kind](int(n))
        print(json.dumps({"ours": ours, "alone": alone, "peer": peer}[side](method, data)))
        return
    try:
        from skactiveml import __version__ as version
    except ImportError:
        version = None
    print(f"scikit-activeml {version or 'is not installed: no peers'}")
    print(
        f"{'method':26}{'N':>8}{'threads':>8}{'CPU s':>10}{'wall s':>10}{'peak MB':>9}{'objective':>11}"
        f"{'peer s':>9}{'ratio':>8}"
    )
    rows = []
    kind = "cifar10" if args.cifar10 else "synthetic"
    for n in args.sizes:
        for method in args.methods:
            for threads in args.threads:
                found = case(["ours", method, str(n), kind], threads)
                if found is None:
                    continue
                wanted = version and method in PEERS and threads == 1 and not args.no_peer
                # its N x N matrices do not fit at 50,000
                fits = n <= 20_000 or method not in ("maxherding", "probcover")
                other = case(["peer", method, str(n), kind], threads) if wanted and fits else None
                row = {"method": method, "n": n, "threads": threads, "input": kind} | found
                row["peer"] = f"scikit-activeml {version} {PEERS[method]}" if other else None
                row["peer_cpu_s"] = other["cpu_s"] if other else None
                row["peer_objective"] = other["objective"] if other else None
                row["ratio"] = other["cpu_s"] / found["cpu_s"] if other else None
                rows.append(row)
                beside = f"{row['peer_cpu_s']:9.3f}{row['ratio']:8.1f}" if other else ""
                more = "".join(f"   {name} {found[name]:.3f}" for name in BESIDE if name in found)
                print(
                    f"{method:26}{n:8d}{threads:8d}{found['cpu_s']:10.4f}{found['wall_s']:10.4f}{found['peak_mb']:9.1f}"
                    f"{found['objective']:11.5f}{beside}{more}",
                    flush=True,
                )
    if args.json:
        args.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
