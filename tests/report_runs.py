"""Folders of finished runs on a file of texts that try to break out of a page."""

import csv
import json
import shutil
from pathlib import Path

import yaml
from fake_runs import fake_run

from alrun.config import DatasetConfig
from alrun.data import load

EVIL = [
    "<script>window.broken = 1</script>",
    '"><img src=x onerror="window.broken = 2">',
    "</script><script>window.broken = 3</script>",
    "<!-- <script> -->\u2028 end \u2029 &lt; &amp; ]]>",
    "long " * 200,
]
CLASSES = ["<b>bold</b><script>window.broken = 4</script>", "plain"]


def texts(count: int) -> list[str]:
    """`count` different texts, every fifth of them hostile."""
    return [f"{at} {EVIL[at % len(EVIL)]}" for at in range(count)]


def text_runs(
    root: Path,
    *,
    strategies: tuple[str, ...] = ("random", "badge"),
    seeds: int = 2,
    pool: int = 80,
    budget: str = "low",
) -> Path:
    """Finished runs below `root`, the data beside it; the folder of the runs."""
    count = pool + 20 + 10
    data = root / "texts.csv"
    if not data.exists():
        with data.open("w", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(["text", "label"])
            rows.writerows([text, CLASSES[at % 2]] for at, text in enumerate(texts(count)))
    options = {"name": "mine", "method": "files", "train": str(data), "test": "0.2", "input": "text", "label": "label"}
    source = load(DatasetConfig(**options))  # type: ignore[arg-type]
    for seed in range(seeds):
        first = fake_run(
            root / "runs", strategy=strategies[0], seed=seed, dataset="mine", budget=budget, n_classes=2, pool=pool,
            test=20, batches=(4, 4, 4), names=list(source.classes), dataset_options=options,
        )  # fmt: skip
        finish(first, fingerprint=source.fingerprint, argv=["run", "-m", f"strategy={','.join(strategies)}"])
        for strategy in strategies[1:]:
            rival(first, strategy)
    return root / "runs"


def finish(home: Path, **facts: object) -> None:
    """What the end of a run writes."""
    about = json.loads((home / "run.json").read_text()) | {"alrun": "0.1.0", "batches": [4, 4, 4]} | facts
    (home / "run.json").write_text(json.dumps(about))
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    costs = [
        {"cycle": at, "select_s": 0.2, "train_s": 0.1, "eval_s": 0.1, "total_s": 0.5, "peak_mb": 9.0}
        for at in range(len(lines))
    ]
    (home / "costs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in costs))
    points = [line["n_labelled"] for line in lines]
    (home / "summary.json").write_text(json.dumps({"aulc": {}, "final": {}, "labels": {"points": points}}))


def rival(first: Path, strategy: str) -> Path:
    """Another strategy on the same split and map: it buys the batches in the other order, and does a little better."""
    home = first.parent.with_name(f"{strategy}-{first.parent.name.partition('-')[2]}") / first.name
    shutil.copytree(first, home)
    config = yaml.safe_load((home / "config.yaml").read_text()) | {"strategy": {"name": strategy}}
    (home / "config.yaml").write_text(yaml.safe_dump(config))
    lines = [json.loads(line) for line in (home / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line["test/accuracy"] += 0.01 * (line["cycle"] + config["seed"])
    (home / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    head, *rows = (home / "selections.csv").read_text().splitlines()
    turned = [f"{2 - int(row[0])}{row[1:]}" for row in rows]
    (home / "selections.csv").write_text("\n".join([head, *sorted(turned, key=lambda row: int(row[0]))]) + "\n")
    return home
