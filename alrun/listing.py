"""What there is: runs, options, caches. Reads folders and YAML comments; never torch."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.text import Text

from . import terminal
from .config import config_dir
from .errors import UserError, nearest
from .rundir import RunDir, below

# What reading a damaged run can raise, beside the UserError that names it.
DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
GROUPS = {
    "strategies": "strategy",
    "datasets": "dataset",
    "encoders": "encoder",
    "models": "model",
    "budgets": "budget",
    "experiments": "experiment",
}


def show(what: str, paths: Sequence[Path], *, as_json: bool, extra: Path | None) -> None:
    """`alrun ls`."""
    if what == "runs":
        found = runs(paths)
    elif what in GROUPS:
        found = options(GROUPS[what], extra)
    else:
        known = ["runs", *GROUPS]
        if Path(what).is_dir():
            raise UserError(f"nothing called {what!r} to list", f"runs below a folder: alrun ls runs {what}")
        raise UserError(f"nothing called {what!r} to list", *nearest(what, known), f"one of {', '.join(known)}")
    if as_json:
        print(json.dumps(found, indent=1))  # in ASCII: a folder's name may be bytes that are no text
    elif what == "runs":
        _show_runs(found, paths)
    else:
        wide = max((len(entry["name"]) for entry in found), default=0)
        for entry in found:
            terminal.entry(
                entry["name"].ljust(wide), entry["about"], [entry[k] for k in ("needs", "cost") if entry.get(k)]
            )


def runs(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """One entry per run folder; a damaged one is named, not hidden."""
    if not all(path.exists() for path in paths) and [str(path) for path in paths] == ["outputs"]:
        return []
    return [_run(folder) for folder in below(paths)]


def _run(folder: Path) -> dict[str, Any]:
    home = RunDir(folder)
    entry: dict[str, Any] = {"path": str(folder), "run": "/".join(folder.parts[-4:])}
    try:
        about, lines, summary = home.provenance(), home.metrics(), home.summary()
        last = lines[-1] if lines else {}
        accuracy, aulc = last.get("test/accuracy"), summary["aulc"].get("accuracy") if summary else None
        return entry | {
            "status": home.status(),
            "cycles": len(lines),
            "of": len(about.get("batches", [])) + 1,
            "labels": last.get("n_labelled", 0),
            "accuracy": None if accuracy is None else float(accuracy),
            "aulc": None if aulc is None else float(aulc),
            "error": (about.get("error") or {}).get("message"),
            "started": about.get("started"),
        }
    except (UserError, *DAMAGE) as error:
        said = error.message if isinstance(error, UserError) else f"damaged: {type(error).__name__}: {error}"
        return entry | {"status": "unreadable", "error": said}


def _show_runs(found: Sequence[dict[str, Any]], paths: Sequence[Path]) -> None:
    rows = []
    for run in found:
        status = run["status"]
        progress = "" if status == "done" else f"  cycle {run.get('cycles', 0)}/{run.get('of', '?')}"
        shown = Text(status, style=terminal.COLOURS.get(status, "red"))
        shown.append(progress + (f"  {run['error']}" if run.get("error") else ""), style="default")
        figures = [str(run.get("labels", "–")), terminal.number(run.get("accuracy")), terminal.number(run.get("aulc"))]
        rows.append([run["run"], *figures, shown, _age(run.get("started"))])
    terminal.columns(["run", "labels", "acc", "AULC", "status", "when"], rows, right=("labels", "acc", "AULC"))
    counts = {
        status: sum(1 for run in found if run["status"] == status)
        for status in ("done", "running", "asking", "killed", "failed")
    }
    text = " · ".join(
        [
            f"{len(found)} run{'s' * (len(found) != 1)}",
            *(f"{count} {status}" for status, count in counts.items() if count),
        ]
    )
    ways = f"      finish them: alrun resume {' '.join(map(str, paths))}" if counts["killed"] + counts["failed"] else ""
    terminal.say(text + ways, "dim")


def _age(started: str | None) -> str:
    try:
        minutes = int((datetime.now(UTC) - datetime.fromisoformat(started or "")).total_seconds() // 60)
    except (ValueError, TypeError):  # none, or none of ours
        return "–"
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"


def options(group: str, extra: Path | None = None) -> list[dict[str, str]]:
    """The options of a config group, each described by the comment lines at the top of its YAML."""
    folders = [config_dir() / group, *([extra / group] if extra else [])]
    return [describe(path) for folder in folders if folder.is_dir() for path in sorted(folder.glob("*.yaml"))]


def describe(path: Path) -> dict[str, str]:
    """Name, first comment line, and the `# key: value` lines that follow it."""
    found = {"name": path.stem, "about": ""}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        tagged = re.match(r"(needs|cost): *(.+)", text)
        if tagged:
            found[tagged.group(1)] = tagged.group(2)
        elif not found["about"] and not text.startswith("@package"):
            found["about"] = text
    return found


def locate(name: str) -> Path:
    """The YAML file of a shipped config, by `group/name` or by a name that only one group has."""
    root = config_dir()
    known = {f"{path.parent.name}/{path.stem}": path for path in sorted(root.glob("*/*.yaml"))}
    if name in known:
        return known[name]
    matches = [key for key in known if key.endswith(f"/{name}")]
    if len(matches) > 1:
        raise UserError(f"{name!r} is ambiguous", f"one of {', '.join(matches)}")
    if not matches:
        words = [*known, *(key.split("/")[1] for key in known)]
        raise UserError(f"no run folder and no config is called {name!r}", *nearest(name, words), "alrun ls strategies")
    return known[matches[0]]


def show_one(name: str) -> None:
    """`alrun show`."""
    if not (Path(name) / "run.json").exists():
        if Path(name).is_dir():
            raise UserError(f"{name} is no run folder: it has no run.json", f"alrun ls runs {name}")
        print(locate(name).read_text(encoding="utf-8"), end="")
        return
    home = RunDir(Path(name))
    about, lines = home.provenance(), home.metrics()
    terminal.say(str(home.path), "cyan")
    terminal.say(
        f"{home.status()} · started {about.get('started')} · alrun {about.get('alrun')} · {about.get('device')}", "dim"
    )
    labels = about.get("labels", {})
    terminal.say(
        f"labels: {labels.get('bought')} to buy + {labels.get('initial')} at the start + {labels.get('target')} target"
    )
    for text in about.get("warnings", []):
        terminal.say(f"! {text}", "yellow")
    if about.get("error"):
        terminal.failure(f"{about['error']['type']}: {about['error']['message']}", home.path / "run.log")
    names = ["n_labelled", "test/accuracy", "test/macro_f1", "test/nll", "test/ece"]
    names += sorted({key for line in lines for key in line if key.startswith("strategy/")})
    rows = [
        [str(line["cycle"]), str(line["n_labelled"]), *(terminal.number(line.get(key)) for key in names[1:])]
        for line in lines
    ]
    header = ["cycle", *(key.removeprefix("test/").removeprefix("strategy/") for key in names)]
    terminal.columns(header, rows, right=header)
    terminal.say((home.path / "config.yaml").read_text(encoding="utf-8"), "dim")


def copy(name: str, folder: Path, to: str | None) -> Path:
    """`alrun cp`: a shipped config under a new name, still calling the same function."""
    source = locate(name)
    new = to or f"my_{source.stem}"
    if not re.fullmatch(r"\w[\w-]*", new):
        raise UserError(f"{new!r} cannot be the name of a config", "letters, digits, - and _")
    target = folder / source.parent.name / f"{new}.yaml"
    if target.exists():
        raise UserError(f"{target} exists", "choose another name: --as NAME")
    text = source.read_text(encoding="utf-8")
    method = "" if re.search(r"^method:", text, re.MULTILINE) else f"\nmethod: {source.stem}"
    if re.search(r"^name:", text, re.MULTILINE) and source.parent.name != "budget":
        text = re.sub(r"^name:.*$", f"name: {new}{method}", text, flags=re.MULTILINE)
    else:
        text = re.sub(r"^name:.*$", f"name: {new}", text, flags=re.MULTILINE)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file", "name a folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return target


def show_cache() -> None:
    """`alrun cache`: what is kept, and how large it is."""
    from .encoders.cache import list_cache, root

    entries = list_cache()
    terminal.say(f"{root()}   {sum(entry.bytes for entry in entries) / 1e6:,.1f} MB")
    rows = [[entry.kind, entry.name[:12], f"{entry.bytes / 1e6:,.1f}", entry.about] for entry in entries]
    terminal.columns(["kind", "key", "MB", "what"], rows, right=("MB",))


def clear_cache() -> None:
    """`alrun cache --clear`."""
    from .encoders.cache import clear_cache as clear

    removed = clear()
    terminal.say(f"removed {len(removed)} entries, {sum(entry.bytes for entry in removed) / 1e6:,.1f} MB")


def fetch(names: Sequence[str]) -> None:
    """`alrun cache NAME...`: read datasets and load encoders, so that whatever they download is here."""
    from . import registry
    from .config import DatasetConfig, option
    from .data import load
    from .data.source import Source

    for name in names:
        group = locate(name).parent.name
        if group == "dataset":
            source = load(DatasetConfig(**option("dataset", Path(name).name)))
            terminal.tick(f"{name}: {len(source):,} items, {len(source.classes)} classes")
        elif group == "encoder":
            params = option("encoder", Path(name).name)
            probe = Source(name, "text", ["a", "b"], np.arange(2), ("a", "b"), np.array([1]), (), name)
            registry.build("encoder", params)(probe).start("cpu")
            terminal.tick(f"{name}: ready")
        else:
            raise UserError(f"{name!r} is a {group}, nothing of it is fetched", "datasets and encoders are")
