"""The tables as CSV, JSON, LaTeX (booktabs) and Markdown."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .cells import Cell
from .compute import LEVEL, Comparison
from .sections import Section, sections

SUPERSCRIPT = ("", "¹", "²", "³")
LATEX = ("{}", r"\textbf{{{}}}", r"\underline{{{}}}", r"\textit{{{}}}")
ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"\ensuremath{\pm}", "·": r"\textperiodcentered{}", "–": "--", "†": r"\textdagger{}", "…": r"\ldots{}",
    "¹": r"\textsuperscript{1}", "²": r"\textsuperscript{2}", "³": r"\textsuperscript{3}",
}  # fmt: skip
MARKUP = re.compile(r"[\\`*|~\[\]]|<(?=[A-Za-z/!?])|&(?=[#\w])|(?<!\w)_|_(?!\w)")  # an underscore within a word is none
MINUS = re.compile(r"(?<![\w)\]}])-(?=[\d.])")


def tables(found: Comparison) -> dict[str, pd.DataFrame]:
    """Every table by the name of its CSV, with plain numbers."""
    aulc = found.aulc.merge(found.final, on=["setting", "strategy"], suffixes=("", "_final"))
    aulc = aulc.drop(columns="seeds_final").merge(
        found.differences.drop(columns="mean"), on=["setting", "strategy"], how="left", suffixes=("", "_difference")
    )
    whole = ["pairs", "wins", "ties", "losses"]  # a baseline has none
    aulc = aulc.astype({name: "Int64" for name in whole})
    given = {
        "aulc": aulc, "curves": found.bands, "gains": found.gains, "reach": found.reach, "costs": found.costs,
    }  # fmt: skip
    if found.ranks is not None:
        given |= {"ranks": found.ranks.table, "pairs": found.ranks.pairs}
    if found.penalty is not None:
        given["penalty"] = found.penalty.matrix.rename_axis("strategy").reset_index()
    out = [[printable(str(folder)), printable(reason)] for folder, reason in found.left_out]
    return given | {"left_out": pd.DataFrame(out, columns=["folder", "reason"])}


def to_csv(found: Comparison) -> str:
    """The table of AULC and differences: one row per setting and strategy."""
    return csv(tables(found)["aulc"])


def csv(table: pd.DataFrame) -> str:
    """A table for any reader; missing is empty, infinite is inf."""
    return table.to_csv(index=False, lineterminator="\n")


def to_json(found: Comparison) -> str:
    """Everything: options, tables as records, ranks, references, notes. Missing and infinite numbers are null."""
    options = found.options
    content: dict[str, Any] = {
        "metric": found.key, "higher_is_better": found.higher, "baseline": options.baseline, "band": options.band,
        "test": options.test, "level": LEVEL, "reach_percent": options.reach, "counts": options.counts,
        "any_version": options.any_version, "references": found.references, "diagnostic": sorted(found.diagnostic),
        "notes": found.notes,
    }  # fmt: skip
    if found.ranks is not None:
        content |= {"friedman_p": found.ranks.friedman, "cliques": found.ranks.cliques}
    if found.penalty is not None:
        content |= {"penalty_settings": found.penalty.settings, "penalty_mean": found.penalty.mean.to_dict()}
    content |= {name: table.to_dict("records") for name, table in tables(found).items()}
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    """Numbers that JSON has."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is pd.NA or (isinstance(value, float) and not np.isfinite(value)) else value


def to_markdown(found: Comparison) -> str:
    """Every table, its note below it; then the notes."""
    parts = []
    for section in sections(found):
        header = f"| {' | '.join(map(_markdown, section.header))} |"
        sides = f"| --- |{' ---: |' * (len(section.header) - 1)}"
        marked = [[_markdown(cell.text) + SUPERSCRIPT[cell.place] for cell in row] for row in section.rows]
        rows = [f"| {' | '.join(row)} |" for row in marked]
        title, note = _markdown(section.title), _markdown(section.note)
        parts.append("\n".join([f"## {title}", "", header, sides, *rows, "", note]))
    notes = "\n".join(f"- {_markdown(line)}" for line in _ending(found))
    return "\n\n".join([*parts, *([notes] if notes else [])]) + "\n"


def _markdown(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    return MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _ending(found: Comparison) -> list[str]:
    """The notes and what was left out."""
    return [*found.notes, *(printable(f"left out: {folder}: {reason}") for folder, reason in found.left_out)]


def to_latex(found: Comparison) -> str:
    """Every table with booktabs; the notes as comments. Best of a column bold, second underlined, third italic."""
    parts = ["% needs \\usepackage{booktabs}", *(_latex_table(section) for section in sections(found))]
    notes = "\n".join(f"% {' '.join(line.split())}" for line in _ending(found))
    return "\n\n".join([*parts, *([notes] if notes else [])]) + "\n"


def _latex_table(section: Section) -> str:
    columns = "l" + "r" * (len(section.header) - 1)
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{latex(section.title)}. {latex(section.note)}.}}"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(map(latex, section.header)), r"\midrule"]
    lines += [_latex_row(map(_latex_cell, row)) for row in section.rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"])


def _latex_row(texts: Iterable[str]) -> str:
    r"""A row. A bracket or star at its start would be an argument of the \\ before it."""
    row = " & ".join(texts)
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def _latex_cell(cell: Cell) -> str:
    return LATEX[cell.place].format(latex(cell.text))


def latex(text: str) -> str:
    """Text that LaTeX prints as it stands; the hyphen before a number is its minus."""
    escaped = "".join(ESCAPES.get(letter, letter) for letter in " ".join(text.split()))
    return MINUS.sub(r"\\ensuremath{-}", escaped)


def printable(text: str) -> str:
    """Text that every file can hold: of a folder's name, bytes that are no text become question marks."""
    return text.encode(errors="replace").decode()


WRITERS = {"csv": to_csv, "json": to_json, "latex": to_latex, "markdown": to_markdown}
FORMATS: Sequence[str] = ("terminal", *WRITERS)
