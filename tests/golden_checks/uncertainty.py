"""Margin, entropy, least confidence."""

import numpy as np
from arrays import ArraySignals, view

from alrun import registry

from . import check
from .golden_file import Golden


@check("uncertainty")
def uncertainty(golden: Golden) -> None:
    probs = golden["probs"].astype(float)
    for name in ("margin", "entropy", "least_confidence"):
        if f"score_{name}" not in golden and f"selected_{name}" not in golden:
            continue
        choose = registry.build("strategy", {"name": name})
        everyone = choose(view(ArraySignals(probs=probs), len(probs)), len(probs))
        scores = np.empty(len(probs))
        scores[everyone.indices] = everyone.scores
        if f"score_{name}" in golden:
            golden.close(f"score_{name}", scores)
        if f"selected_{name}" in golden:
            batch = golden.count("batch_size")
            for dtype in (np.float64, np.float32):
                picks = choose(view(ArraySignals(probs=probs.astype(dtype)), len(probs)), batch).indices.numpy()
                if dtype is np.float64:
                    golden.equal(f"selected_{name}", picks)
                else:
                    np.testing.assert_allclose(scores[picks], scores[golden[f"selected_{name}"]], rtol=1e-5, atol=1e-6)
