"""Words counted and compressed: latent semantic analysis (Deerwester et al. 1990)."""

import numpy as np

from ..data.source import Source
from ..errors import UserError
from ..registry import encoder
from .encoder import Encoder, Work, blocks


@encoder
def tfidf(source: Source, *, dimensions: int, words: int) -> Encoder:
    """At most `dimensions` values per text, of length 1: TF-IDF of words and word pairs, then a truncated SVD.

    The `words` most frequent terms that occur in two texts or more, 1 + log of the counts; all fitted on train rows.
    """
    if source.kind != "text":
        what = "images" if source.kind == "image" else "columns"
        raise UserError(
            f"encoder 'tfidf' counts words, and {source.name!r} has {what}",
            "encoder=none takes numbers and pixels as they are",
        )
    if dimensions < 1 or words < 1:
        raise UserError(f"encoder.dimensions={dimensions}, encoder.words={words}: both must be 1 or more")
    texts = source.items
    assert isinstance(texts, list)

    def start(device: str) -> Work:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize

        counter = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=words)
        try:
            counts = counter.fit_transform([texts[row] for row in source.train])  # (n_train, terms)
        except ValueError as error:
            raise UserError(
                f"the train texts of {source.name!r} have no word in common",
                "encoder=minilm reads them without counting",
            ) from error
        width = min(dimensions, *counts.shape)
        # Exact up to rounding, and from a fixed start: no randomness of the run is used here.
        svd = TruncatedSVD(width, algorithm="randomized", n_iter=8, random_state=0).fit(counts)

        def encode(rows: np.ndarray) -> np.ndarray:
            return normalize(svd.transform(counter.transform([texts[row] for row in rows]))).astype(np.float32)

        return Work(width, blocks(len(texts), 1024), encode)

    return Encoder({"method": "tfidf", "dimensions": dimensions, "words": words}, start)
