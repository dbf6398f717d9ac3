"""Small networks with random weights in folders, and small sets of items that they can tell apart."""

from pathlib import Path

import numpy as np
import torch

from alrun import registry
from alrun.config import option
from alrun.models.material import Material

WORDS = [chr(97 + i) * 2 for i in range(20)]
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
CPU = torch.device("cpu")


def bert(folder: Path) -> Path:
    """A BERT of two layers and twenty words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(BertConfig(vocab_size=25, max_position_embeddings=64, **SIZE)).save_pretrained(folder)
    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    BertTokenizerFast(vocab=vocabulary, model_max_length=64).save_pretrained(folder)
    return folder


def vit(folder: Path) -> Path:
    """A vision transformer of two layers on 16 x 16 pixels."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ViTModel(ViTConfig(image_size=16, patch_size=8, **SIZE)).save_pretrained(folder)
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    return folder


def resnet(folder: Path) -> Path:
    """A residual network of two stages on 16 x 16 pixels."""
    from transformers import ConvNextImageProcessor, ResNetConfig, ResNetModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1])).save_pretrained(folder)
    ConvNextImageProcessor(size={"shortest_edge": 16}, crop_pct=1.0).save_pretrained(folder)
    return folder


def sentences(n: int, n_classes: int, seed: int = 0) -> tuple[list[str], torch.Tensor]:
    """Texts of 2 to 9 words, half of them from the class's own words, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    own = np.array_split(WORDS, n_classes)
    items = [
        " ".join([*rng.choice(WORDS, rng.integers(1, 5)), *rng.choice(own[c], rng.integers(1, 5))]) for c in labels
    ]
    return items, torch.from_numpy(labels)


def material(items: dict, kind: str, n_classes: int, levels: torch.Tensor | None = None) -> Material:
    """Parts of items without features."""
    return Material({part: torch.zeros(len(of), 1) for part, of in items.items()}, n_classes, CPU, items, kind, levels)


def texts(n: int = 60, n_classes: int = 3) -> tuple[Material, torch.Tensor]:
    """A pool of sentences with 8 more as target split and 12 as test split; the labels of the pool."""
    items, labels = sentences(n + 20, n_classes)
    parts = {"pool": items[:n], "target": items[n : n + 8], "test": items[n + 8 :]}
    return material(parts, "text", n_classes), labels[:n]


def learner(material: Material, folder: Path, **options):
    """model=transformer as shipped but for what makes it small."""
    quick = {"path": str(folder), "max_length": 32, "min_steps": 4, "epochs": 1, "batch": 8, "checkpoints": 2}
    return registry.build("model", {**option("model", "transformer"), **quick, **options})(material)
