"""When are two runs the same but for the seed? What must be equal, and how lines are named by what differs."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

# Keys of config.yaml that say where and on what a run ran, or which of the seeds it is. Any other key is an option
# that can change a number: what this list does not know keeps runs apart.
ELSEWHERE = {"seed", "runs_dir", "save_models", "device", "threads", "plugins", "tracker"}
# Options of datasets that came later: at these values a run keeps the name it had before there was such an option.
YOUNGER: dict[str, Any] = {
    "unlabelled": False,
    "task": "classification",
    "bins": None,
    "prompt": None,
    "completion": None,
    "options": None,
    "goal": None,
}
# What runs that are older than an option do not write down.
USUAL = {"oracle": "dataset"} | {f"dataset.{key}": value for key, value in YOUNGER.items()}
SHOWN = 3  # differing options in a label


def identity(config: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a run is, but for its seed: keys setting, data and strategy (flat, each with a name), code, diagnostic.

    The setting is what strategies are compared in; data is the setting without its budget.
    """
    name = {part: str(config[part]["name"]) for part in ("dataset", "encoder", "model", "strategy", "budget")}
    shared = {key: value for key, value in config.items() if key not in ELSEWHERE | {"strategy", "budget"}}
    data = USUAL | dict(flat(shared)) | {"data": str(facts.get("fingerprint"))[:8]}
    setting = data | dict(flat({"budget": config["budget"], "labels": facts.get("labels") or {}}))
    short = f"{name['dataset']} · {name['encoder']}-{name['model']}"
    strategy = dict(flat(config["strategy"]))
    return {
        "setting": setting | {"name": f"{short} · {name['budget']}"},
        "data": data | {"name": short},
        "strategy": strategy,
        "code": code(facts),
        "diagnostic": bool(facts.get("diagnostic")) or strategy.get("label") == "oracle",
    }


def code(facts: Mapping[str, Any]) -> str:
    """Version of alrun and the commit it ran from, if any; + for uncommitted changes."""
    git = facts.get("git") or {}
    commit = f" {str(git['commit'])[:7]}{'+' if git.get('dirty') else ''}" if git.get("commit") else ""
    return f"alrun {facts.get('alrun')}{commit}"


def labels(options: Sequence[Mapping[str, Any]]) -> list[str]:
    """A label for each set of options: its name, and in brackets where it differs from others of that name."""
    texts = [json.dumps(mine, sort_keys=True, default=str) for mine in options]
    namesakes: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for text, mine in zip(texts, options, strict=True):
        namesakes[str(mine["name"])][text] = mine
    named = {}
    for name, several in namesakes.items():
        keys = sorted(set().union(*several.values()) - {"name"})
        differing = [key for key in keys if len({str(mine.get(key)) for mine in several.values()}) > 1]
        for text, mine in several.items():
            shown = [f"{key}={mine.get(key)}" for key in differing[:SHOWN]]
            if len(differing) > SHOWN:
                shown.append(f"and {len(differing) - SHOWN} more, {sha256(text.encode()).hexdigest()[:6]}")
            named[text] = f"{name} ({', '.join(shown)})" if shown else name
    return [named[text] for text in texts]


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested options as dotted keys."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value:
        for position, inner in enumerate(value):
            yield from flat(inner, f"{prefix}.{position}")
    else:
        yield prefix, value
