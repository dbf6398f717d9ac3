"""Where the last block of a network is, by the names of its parameters."""

import re
from collections.abc import Sequence


def last_block(names: Sequence[str]) -> list[str]:
    """Those of the highest numbered block: `encoder.layer.11.` of `encoder.layer.0.` to `encoder.layer.11.`."""
    numbered = [re.match(r"(.*?)\.(\d+)\.", name) for name in names]
    counts: dict[str, set[int]] = {}
    for match in filter(None, numbered):
        counts.setdefault(match[1], set()).add(int(match[2]))
    if not counts:
        return list(names)
    stack = max(counts, key=lambda prefix: len(counts[prefix]))
    block = f"{stack}.{max(counts[stack])}."
    return [name for name in names if name.startswith(block)]
