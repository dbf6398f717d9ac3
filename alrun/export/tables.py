"""One long table of a folder of runs: a row for each committed cycle, with what the run is and what it measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..collect import candidates
from ..collect.entries import DAMAGE, LeftOut
from ..errors import UserError
from ..identity import code, flat
from ..plots.files import PARTS, RunFiles
from ..rundir import RunDir

FORMATS = ("csv", "parquet")
LARGE = 2**63


def long_table(paths: Sequence[Path]) -> tuple[Any, list[LeftOut]]:
    """A DataFrame with a row for each cycle of each run at or below `paths`, and the folders that could not be read.

    Columns: run, dataset, encoder, model, strategy, budget, seed, status, code, fingerprint; all options as
    config.<key>; cycle, n_labelled, n_acquired, the metrics, and the seconds and memory of the cycle.
    """
    import pandas as pd

    tables = []
    folders, left_out = candidates(paths)
    for folder in folders:
        files = RunFiles(folder)
        try:
            config, facts = files.config, files.facts
            about = {"run": folder.name, **{part: config[part]["name"] for part in PARTS}, "seed": int(config["seed"])}
            about |= {"status": RunDir(folder).status(), "code": code(facts), "fingerprint": facts.get("fingerprint")}
            options = {f"config.{key}": value for key, value in flat(config)}
            costs = {line["cycle"]: line for line in files.costs}
            rows = [about | line | costs.get(line["cycle"], {}) | options for line in files.rows]
        except DAMAGE as error:
            said = error.message if isinstance(error, UserError) else f"damaged: {type(error).__name__}: {error}"
            left_out.append(LeftOut(folder, said))
            continue
        tables.append(pd.DataFrame(rows))
    if not tables:
        shown = ", ".join(map(str, paths))
        raise UserError(f"no run below {shown} has a committed cycle", "alrun run ... makes one")
    whole = pd.concat(tables, ignore_index=True)
    first = [name for name in whole if not name.startswith("config.")]
    return whole[[*first, *(name for name in whole if name.startswith("config."))]], left_out


def write_table(table: Any, path: Path) -> Path:
    """As CSV or Parquet, by the ending. Options of several types, and numbers beyond 64 bits, are words in Parquet."""
    if path.suffix == ".parquet":
        words = [name for name in table if _mixed(table[name].dropna())]
        table.astype({name: "string" for name in words}).to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, lineterminator="\n")
    return path


def _mixed(values: Any) -> bool:
    """Whether a column's values are no numbers of one type that Parquet has."""
    if values.map(type).nunique() > 1:
        return True
    return values.dtype == object and any(isinstance(value, int) and not -LARGE <= value < LARGE for value in values)
