"""Words counted and compressed: latent semantic analysis (Deerwester et al. 1990)."""

from typing import Any

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..registry import encoder
from .encoder import Encoder, Work, blocks
from .pair import combined, sides


@encoder
def tfidf(source: Source, *, dimensions: int, words: int) -> Encoder:
    """At most `dimensions` values per text, of length 1: TF-IDF of words and word pairs, then a truncated SVD.

    The `words` most frequent terms that occur in two texts or more, 1 + log of the counts; all fitted on train rows.
    Of a pair both texts, and how they differ.
    """
    if source.kind not in ("text", "pair"):
        what = "images" if source.kind == "image" else "columns"
        raise UserError(
            f"encoder 'tfidf' counts words, and {source.name!r} has {what}",
            "encoder=none takes numbers and pixels as they are",
        )
    if dimensions < 1 or words < 1:
        raise UserError(f"encoder.dimensions={dimensions}, encoder.words={words}: both must be 1 or more")
    paired = source.kind == "pair"
    parts: Any = sides(source.items) if paired else [source.items]  # one list of texts, or two

    def start(device: str) -> Work:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize

        counter = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=words)
        try:
            counts = counter.fit_transform([texts[row] for texts in parts for row in source.train])  # (n_train, terms)
        except ValueError as error:
            raise UserError(
                f"the train texts of {source.name!r} have no word in common",
                "encoder=minilm reads them without counting",
            ) from error
        width = min(dimensions, *counts.shape)
        # Exact up to rounding, and from a fixed start: no randomness of the run is used here.
        svd = TruncatedSVD(width, algorithm="randomized", n_iter=8, random_state=0)
        reduced = svd.fit(counts).transform if counts.shape[1] > 1 else _as_it_is

        def encode(rows: np.ndarray) -> np.ndarray:
            each = [reduced(counter.transform([texts[row] for row in rows])) for texts in parts]  # (b, width)
            found = [normalize(vectors).astype(np.float32) for vectors in each]
            return combined(found) if paired else found[0]

        return Work(4 * width if paired else width, blocks(len(source), 1024), encode, light=True)

    return Encoder({"method": "tfidf", "dimensions": dimensions, "words": words}, start)


def _as_it_is(counts: Any) -> np.ndarray:
    """(b, 1) of a single term, which is its own truncated SVD, and which scikit-learn refuses."""
    return counts.toarray()
