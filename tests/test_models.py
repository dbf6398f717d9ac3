"""The learners: exact where they claim it, defined with one label, one class or none at all."""

import numpy as np
import pytest
import scipy.optimize
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from alrun import registry
from alrun.config import option_file
from alrun.errors import UserError
from alrun.models.knn import knn
from alrun.models.linear import fit, geometric_bias, linear
from alrun.models.material import Material, pool_mean, resolve_device, unit
from alrun.models.mlp import mlp

N, F, C = 120, 12, 4
MODELS = ["linear", "mlp", "knn"]


@pytest.fixture
def blobs():
    rng = np.random.default_rng(3)
    labels = rng.integers(0, C, N)
    centres = rng.standard_normal((C, F)) * 2 + 1.5
    features = (centres[labels] + rng.standard_normal((N, F))).astype(np.float32)
    parts = {
        "pool": torch.from_numpy(features),
        "target": torch.from_numpy(features[:5]),
        "test": torch.from_numpy(features[:9] + 1),
    }
    return Material(parts, C, torch.device("cpu")), torch.from_numpy(labels)


def shipped(name, material):
    """A model with the options of its YAML."""
    from omegaconf import OmegaConf

    params = OmegaConf.to_container(OmegaConf.load(option_file("model", name)))
    return registry.build("model", params)(material)


def rng(seed=0):
    return np.random.default_rng(seed)


def nothing():
    return torch.empty(0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)


@pytest.mark.parametrize("name", MODELS)
def test_contract(name, blobs):
    material, labels = blobs
    idx = torch.tensor([5, 90, 17, 44, 2, 61, 33, 100])
    learner = shipped(name, material)
    model, again = learner(idx, labels[idx], rng()), learner(idx, labels[idx], rng())
    for part, n in {"pool": N, "target": 5, "test": 9}.items():
        every = torch.arange(n)
        outputs = model.outputs(part, every)
        assert outputs.logits.shape == (n, C) and outputs.logits.dtype == torch.float32
        assert outputs.logits.isfinite().all() and not outputs.logits.requires_grad
        assert outputs.embeddings.dtype == torch.float32 and len(outputs.embeddings) == n
        assert torch.equal(outputs.logits, again.outputs(part, every).logits)
        some = torch.tensor([3, 0])
        assert torch.allclose(model.outputs(part, some).logits, outputs.logits[some], atol=1e-5)
        if model.head() is not None:
            weight, bias = model.head()
            assert torch.allclose(outputs.embeddings @ weight.T + bias, outputs.logits, atol=1e-4)
    assert (model.outputs("pool", idx).logits.argmax(dim=1) == labels[idx]).all()


@pytest.mark.parametrize("name", MODELS)
def test_no_label_one_label_one_class(name, blobs):
    material, _ = blobs
    every = torch.arange(N)
    learner = shipped(name, material)
    fresh = learner(*nothing(), rng())
    probs = fresh.outputs("pool", every).logits.softmax(dim=1)
    assert probs.isfinite().all() and np.isnan(fresh.loss)
    assert torch.allclose(probs, torch.full_like(probs, 1 / C), atol=0.3 if name == "mlp" else 0.05)
    for idx in ([4], [4, 9, 31]):
        model = learner(torch.tensor(idx), torch.full((len(idx),), 2), rng())
        probs = model.outputs("pool", every).logits.softmax(dim=1)
        assert probs.isfinite().all()
        assert (probs[idx].argmax(dim=1) == 2).all()


@pytest.mark.parametrize("name", MODELS)
def test_no_label_ties_nothing_but_knn_and_follows_its_generator(name, blobs):
    material, _ = blobs
    learner, every = shipped(name, material), torch.arange(N)
    one, same, other = (learner(*nothing(), rng(seed)).outputs("pool", every).logits for seed in (0, 0, 1))
    assert torch.equal(one, same)
    if name == "knn":
        assert (one == 0).all()
    else:
        assert not torch.equal(one, other)
        assert len(one.softmax(dim=1).max(dim=1).values.unique()) == N


@pytest.mark.parametrize("name", MODELS)
def test_leaves_the_global_generators_alone(name, blobs):
    material, labels = blobs
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    shipped(name, material)(torch.arange(9), labels[:9], rng()).outputs("test", torch.arange(9))
    assert torch.equal(torch_state, torch.get_rng_state())
    assert (numpy_state == np.random.get_state()[1]).all()  # noqa: NPY002


@pytest.mark.parametrize(("n", "penalty"), [(11, 0.01), (12, 1.0), (100, 0.01), (100, 0.5)])
def test_linear_is_the_minimum_that_scikit_learn_finds(n, penalty, blobs):
    material, labels = blobs
    points = (unit(material.features["pool"]) - pool_mean(material)).double()[:n]
    weight = fit(points, labels[:n], C, penalty)
    assert set(labels[:n].tolist()) == set(range(C))
    exact = LogisticRegression(C=1 / penalty, fit_intercept=False, tol=1e-12, max_iter=100_000)
    exact.fit(points.numpy(), labels[:n].numpy())
    assert weight.numpy() == pytest.approx(exact.coef_, abs=1e-5 * np.abs(exact.coef_).max())
    logs = (points @ weight.T).log_softmax(dim=1)
    gradient = (logs.exp() - torch.eye(C).double()[labels[:n]]).T @ points + penalty * weight
    assert gradient.norm() < 1e-7  # the weights become float32


def test_linear_survives_repeated_and_contradicting_points():
    points = torch.eye(3).double()[[0, 0, 0, 1]]
    weight = fit(points, torch.tensor([0, 0, 1, 1]), 3, 0.01)
    probs = (points @ weight.T).softmax(dim=1)
    assert probs[0, 0] == pytest.approx(2 / 3, abs=0.02) and probs[0, 2] < 0.01
    blank, labels = torch.zeros(3, 4).double(), torch.tensor([0, 1, 1])  # nothing to learn from
    weight = fit(blank, labels, 3, 0.01)
    assert (weight == 0).all() and (geometric_bias(blank, labels, weight) == 0).all()


def test_linear_reports_its_cross_entropy(blobs):
    material, labels = blobs
    idx = torch.arange(0, N, 4)
    model = linear(material, penalty=5.0, initial=0.01)(idx, labels[idx], rng())
    logs = model.outputs("pool", idx).logits.log_softmax(dim=1)
    assert model.loss == pytest.approx(-float(logs[torch.arange(len(idx)), labels[idx]].mean()), rel=1e-4)


def test_geometric_bias_of_equal_gaussians_is_that_of_discriminant_analysis():
    generator = torch.Generator().manual_seed(1)
    means = torch.diag(torch.tensor([0.5, 1.0, 2.0, 0.0]))[:3].double()  # (3, 4)
    labels = torch.arange(3).repeat(4000)
    points = means[labels] + 0.3 * torch.randn(len(labels), 4, generator=generator).double()
    centred = means - means.mean(dim=0)
    bias = geometric_bias(points, labels, 7 * centred)
    exact = -7 / 2 * means.square().sum(dim=1)
    assert (bias - bias.mean()).numpy() == pytest.approx((exact - exact.mean()).numpy(), abs=0.2)
    elsewhere = torch.tensor([[0, 0, 0, 1.0], [0, 0, 0, 2], [0, 0, 0, -3]]).double()  # weights that no mean explains
    assert geometric_bias(points, labels, elsewhere).abs().max() < 1e-3


def test_geometric_bias_needs_a_class_with_two_labels_and_two_classes(blobs):
    points, labels = torch.eye(5).double(), torch.tensor([0, 1, 2, 2, 2])
    for at in (torch.arange(3), torch.arange(2, 5)):
        weight = fit(points[at], labels[at], 4, 0.1)
        assert (geometric_bias(points[at], labels[at], weight) == 0).all()
    weight = fit(points, labels, 4, 0.1)
    bias = geometric_bias(points, labels, weight)
    assert bias[3] == 0 and bias[:3].sum().abs() < 1e-12


def test_linear_treats_classes_without_labels_alike(blobs):
    material, labels = blobs
    idx = torch.arange(N)[labels < 2][:10]
    model = linear(material, penalty=0.01, initial=0.01)(idx, labels[idx], rng())
    probs = model.outputs("pool", torch.arange(N)).logits.softmax(dim=1)
    assert torch.allclose(probs[:, 2], probs[:, 3], atol=1e-5)
    assert probs[idx, 2].mean() < probs[:, 2].mean()


def test_linear_ignores_the_length_and_the_common_direction_of_features(blobs):
    material, labels = blobs
    longer = Material({part: 7 * rows for part, rows in material.features.items()}, C, material.device)
    idx, every = torch.arange(20), torch.arange(N)
    one, two = (
        linear(each, penalty=0.1, initial=0.01)(idx, labels[idx], rng()).outputs("pool", every)
        for each in (material, longer)
    )
    assert torch.allclose(one.logits, two.logits, atol=1e-4)
    assert torch.allclose(one.embeddings.mean(dim=0), torch.zeros(F), atol=1e-6)


def test_a_row_of_zeros_is_no_division_by_zero(blobs):
    material, labels = blobs
    pool = material.features["pool"].clone()
    pool[4] = 0
    blank = Material({**material.features, "pool": pool}, C, material.device)
    for name in MODELS:
        outputs = shipped(name, blank)(torch.arange(8), labels[:8], rng()).outputs("pool", torch.arange(N))
        assert outputs.logits.isfinite().all()


def test_linear_is_fast_with_many_labels(monkeypatch):
    """Seconds at most: few passes over the labelled points, and the minimum is reached before the limit on them."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(50, (2000,), generator=generator)
    points = torch.randn(2000, 128, generator=generator) + 2 * torch.randn(50, 128, generator=generator)[labels]
    passes = []

    def counted(*args, **options):
        found = minimize(*args, **options)
        passes.append(found.nfev)
        return found

    monkeypatch.setattr(scipy.optimize, "minimize", counted)
    fit(unit(points).double(), labels, 50, 0.01)
    assert len(passes) == 1 and passes[0] < 500


def test_knn_is_scikit_learns_nearest_neighbour(blobs):
    material, labels = blobs
    idx = torch.arange(0, N, 3)
    model = knn(material, temperature=0.1)(idx, labels[idx], rng())
    points = unit(material.features["pool"]).double().numpy()
    exact = KNeighborsClassifier(1, algorithm="brute").fit(points[idx], labels[idx])
    assert (model.outputs("pool", torch.arange(N)).logits.argmax(dim=1).numpy() == exact.predict(points)).all()
    assert model.head() is None and np.isnan(model.loss)


def test_knn_gives_ties_to_the_first_acquired():
    pool = torch.tensor([[1.0, 0], [2, 0], [0, 1], [1, 1], [0, 3]])
    material = Material({"pool": pool, "target": pool, "test": pool}, 3, torch.device("cpu"))
    for idx, labels, expected in (
        ([1, 0], [2, 0], [2, 2]),
        ([0, 1], [0, 2], [0, 0]),
        ([2, 1], [1, 0], [0, 1]),  # the fourth point is between them
        ([1, 2], [0, 1], [0, 0]),
        ([4, 1, 0], [2, 1, 0], [1, 2]),
    ):
        logits = knn(material, temperature=0.1)(torch.tensor(idx), torch.tensor(labels), rng()).outputs(
            "pool", torch.tensor([0, 3])
        )[0]
        assert logits.argmax(dim=1).tolist() == expected, (idx, labels)
        assert (logits.sort(dim=1).values.diff(dim=1)[:, -1] > 0).all()


def test_knn_never_predicts_a_class_without_labels():
    opposite = Material({"pool": torch.tensor([[1.0, 0], [-1, 0]])}, 3, torch.device("cpu"))
    model = knn(opposite, temperature=0.1)(torch.tensor([0]), torch.tensor([2]), rng())
    assert model.outputs("pool", torch.arange(2)).logits.argmax(dim=1).tolist() == [2, 2]


def test_knn_probabilities_are_a_softmax_of_squared_distances():
    pool = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [3, 4]])
    material = Material({"pool": pool}, 3, torch.device("cpu"))
    model = knn(material, temperature=0.5)(torch.tensor([0, 1, 2]), torch.tensor([0, 1, 0]), rng())
    squared = torch.tensor([[0.0, 2, 2], [2, 0, 2], [0, 2, 2], [2 - 2 * 0.6, 2 - 2 * 0.8, 2]])  # nobody has class 2
    assert torch.allclose(model.outputs("pool", torch.arange(4)).logits, -squared / 0.5, atol=1e-5)


def test_knn_blocks_change_nothing(blobs, monkeypatch):
    material, labels = blobs
    idx = torch.arange(30)
    model = knn(material, temperature=0.1)(idx, labels[idx], rng())
    whole = model.outputs("pool", torch.arange(N)).logits
    monkeypatch.setattr("alrun.models.knn.ENTRIES", 7 * 30)
    assert torch.allclose(model.outputs("pool", torch.arange(N)).logits, whole, atol=1e-6)


def test_mlp_starts_from_the_same_weights_whatever_was_bought(blobs):
    material, labels = blobs
    still = mlp(material, hidden=8, steps=0, batch=4, learning_rate=0.1, weight_decay=0.0)
    heads = [still(idx, labels[idx], rng(7)).head() for idx in (torch.arange(5), torch.arange(50, 90))]
    assert torch.equal(heads[0].weight, heads[1].weight) and torch.equal(heads[0].bias, heads[1].bias)


def test_mlp_learns(blobs):
    material, labels = blobs
    idx = torch.arange(60)
    model = shipped("mlp", material)(idx, labels[idx], rng())
    rest = torch.arange(60, N)
    assert (model.outputs("pool", rest).logits.argmax(dim=1) == labels[rest]).double().mean() > 0.8
    assert 0 <= model.loss < 0.3


def test_resolve_device():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type in ("cpu", "cuda", "xpu")
    for wrong in ("gpu9", "meta:x", "cuda:99"):
        with pytest.raises(UserError, match="cannot be used here"):
            resolve_device(wrong)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("mlp", {"hidden": 0}),
        ("mlp", {"batch": -1}),
        ("mlp", {"steps": -5}),
        ("knn", {"temperature": 0}),
        ("linear", {"penalty": 0}),
    ],
)
def test_options_that_make_no_sense(name: str, wrong: dict, blobs) -> None:
    """They gave numbers once, with a network of no units or a softmax without a scale."""
    (option, value), *_ = wrong.items()
    with pytest.raises(UserError, match=rf"model\.{option}={value}[ .]"):
        registry.build("model", {**registry.option("model", name), **wrong})(blobs[0])
