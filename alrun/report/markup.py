"""HTML in which every text is escaped unless it was made here."""

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

VOID = {"br", "hr"}


class Html(str):
    """Markup that was made by `tag`: it is not escaped again."""


def tag(name: str, *children: object, **attributes: object) -> Html:
    """An element; texts among its children and values are escaped. `class_` is class."""
    shown = "".join(f' {key.rstrip("_")}="{escape(str(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{shown}>" + ("" if name in VOID else f"{join(children)}</{name}>"))


def join(children: Iterable[object], between: str = "") -> Html:
    """Several pieces as one, texts escaped."""
    return Html(
        escape(between).join(
            child if isinstance(child, Html) else escape(str(child), quote=False) for child in children
        )
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> Html:
    """A table; cells that hold numbers are aligned to the right."""
    rows = [list(row) for row in rows]
    numeric = [all(_is_number(row[at]) for row in rows) for at in range(len(heads))]
    kinds = [{"class_": "number"} if one else {} for one in numeric]
    top = tag("tr", *(tag("th", head, scope="col", **kind) for head, kind in zip(heads, kinds, strict=True)))
    body = [
        tag("tr", *(tag("td", _text(value), **kind) for value, kind in zip(row, kinds, strict=True))) for row in rows
    ]
    about = [tag("caption", caption)] if caption else []
    whole = tag("table", *about, tag("thead", top), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex="0", role="group", aria_label=caption or "table")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: object) -> object:
    return number(value) if value is None or isinstance(value, int | float) else value  # type: ignore[arg-type]


def number(value: float | None) -> str:
    """Three decimals; whole numbers as they are; – for what is missing."""
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 10):
        return f"{int(value):,}"
    return f"{value:,.3f}".replace("-", "−") if abs(value) < 100 else f"{value:,.0f}".replace("-", "−")


def signed(value: float | None) -> str:
    """With its sign, three decimals."""
    return "–" if value is None or not math.isfinite(value) else f"{value:+.3f}".replace("-", "−")


def embedded(content: Any) -> Html:
    """JSON that can stand in a <script>: no markup, no line separator, no lone surrogate; NaN becomes null."""
    try:
        text = dense(content)
    except ValueError:  # a NaN somewhere
        text = dense(clean(content))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return Html(text)


def dense(content: Any) -> str:
    """ASCII JSON without a space. Raises ValueError for what is not finite."""
    return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def clean(content: Any) -> Any:
    """Plain JSON values: what is not finite is null."""
    if isinstance(content, dict):
        return {str(key): clean(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [clean(value) for value in content]
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    return content
