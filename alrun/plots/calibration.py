"""Does a confidence of 0.8 mean right eight times of ten? Reliability of the test predictions at a few cycles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..metrics import BINS
from .files import RunFiles, spread
from .reliability import reliability
from .style import head, look, new_figure, save, styled

CYCLES = 4


@styled()
def draw_calibration(run: RunFiles, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Reliability diagram (Guo et al. 2017) above the distribution of confidences; ECE in the legend."""
    truth = run.items["test_label"]
    kept = [cycle for cycle in range(len(run.metrics)) if run.has(_predictions(cycle))]
    if not kept or not len(truth):
        return []
    figure = new_figure(5.2, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#9A9A9A", linewidth=1, linestyle=(0, (4, 2)))
    upper.annotate("calibrated", (0.86, 0.79), color="#777777", fontsize=8, rotation=38, rotation_mode="anchor")
    tables = []
    for rank, cycle in enumerate(spread(kept, CYCLES)):
        found = run.arrays(_predictions(cycle), "test_prediction", "test_confidence")
        confidence, correct = found["test_confidence"], found["test_prediction"] == truth
        bins = pd.DataFrame(reliability(confidence, correct)._asdict())
        row = run.metrics.loc[cycle]
        style, filled = look(rank), bins[bins["items"] > 0]
        ece = row.get("test/ece", np.nan)
        label = f"cycle {cycle} · {row['n_labelled']:,.0f} labels · ECE {ece:.3f}"
        # The area of a marker is its bin's share of the test items: a far point of few items weighs little.
        upper.plot(filled["confidence"], filled["accuracy"], color=style["color"], linestyle=style["linestyle"], lw=1.2)
        size = 12 + 140 * filled["items"] / len(truth)
        upper.scatter(
            filled["confidence"],
            filled["accuracy"],
            s=size,
            c=style["color"],
            marker=style["marker"],
            lw=0,
            clip_on=False,
        )
        upper.plot([], [], label=label, markersize=6, **style)
        share = bins["items"] / len(truth)
        lower.stairs(share, np.linspace(0, 1, BINS + 1), color=style["color"], linestyle=style["linestyle"], lw=1.4)
        tables.append(bins.assign(cycle=cycle, labels=int(row["n_labelled"]), share=share, ece=ece))
    upper.set(ylabel="share right", xlim=(0, 1), ylim=(0, 1.02))
    upper.grid()
    lower.set(xlabel="confidence in the predicted class", ylabel="share of\ntest items", ylim=(0, None))
    lower.grid(axis="y")
    head(figure, run.title)
    figure.legend(loc="outside lower center")
    columns = ["cycle", "labels", "low", "high", "items", "share", "confidence", "accuracy", "ece"]
    return save(figure, pd.concat(tables)[columns], folder, "calibration", formats)


def _predictions(cycle: int) -> str:
    return f"predictions/cycle_{cycle:03d}.npz"
