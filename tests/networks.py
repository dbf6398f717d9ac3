"""Small networks with known gradients: what alrun.gradients is tested with (types.Network)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from alrun.gradients import NetworkGradients
from alrun.types import Batch, Batches, Moments, Part, Scope

CLASSES = 4


class Reader(nn.Module):
    """A small BERT with adapters, mean pooling and a linear head."""

    def __init__(self, adapters: bool, attention: str = "eager") -> None:
        super().__init__()
        from peft import LoraConfig, inject_adapter_in_model
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=40,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            max_position_embeddings=16,
            attn_implementation=attention,
        )
        base = BertModel(config, add_pooling_layer=False)
        base.requires_grad_(not adapters)
        lora = LoraConfig(r=3, lora_alpha=6, target_modules=["query", "value"])
        self.base = inject_adapter_in_model(lora, base) if adapters else base
        self.head = nn.Linear(16, CLASSES)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        mask = attention_mask[:, 0, 0, :, None] == 0 if attention_mask.ndim == 4 else attention_mask[..., None]
        out = self.base(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.head((out * mask).sum(1) / mask.sum(1))


class Seer(nn.Module):
    """Convolution, batch norm, a convolution with adapters' shape, and a position table that no layer owns."""

    def __init__(self, free: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(2, 6, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.narrow = nn.Conv2d(6, 5, 1, bias=False)
        self.places = nn.Parameter(torch.randn(5, 4, 4)) if free else None
        self.head = nn.Linear(5, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        out = self.narrow(self.norm(self.patches(pixels)).tanh())
        out = out if self.places is None else out * self.places
        return self.head(out.tanh().mean((2, 3)))


@dataclass(frozen=True)
class Toy:
    """types.Network over a module and its inputs; batches of `size` in another order than was asked for."""

    module: nn.Module
    inputs: Mapping[Part, Mapping[str, Tensor]]
    size: int = 4
    state: Moments | None = None
    path: Sequence[tuple[float, "Toy"]] = ()

    def parameters(self, scope: Scope) -> dict[str, Tensor]:
        named = {n: p.detach() for n, p in self.module.named_parameters() if p.requires_grad}
        keep = {"head": "head.", "last_block": "layer.1.", "lora": "lora_", "all": ""}[scope]
        return {name: value for name, value in named.items() if keep in name}

    def losses(self, parameters: Mapping[str, Tensor], batch: Batch) -> Tensor:
        return cross_entropy(
            functional_call(self.module, dict(parameters), (), dict(batch.inputs)), batch.labels, reduction="none"
        )

    def batches(self, part: Part, idx: Tensor, labels: Tensor) -> Batches:
        def make(at: np.ndarray) -> Batch:
            place = torch.from_numpy(at)
            return Batch(place, {k: value[idx[place]] for k, value in self.inputs[part].items()}, labels[place])

        order = np.arange(len(idx))[::-1].copy()
        return Batches([order[first : first + self.size] for first in range(0, len(idx), self.size)], make)

    def moments(self) -> Moments | None:
        return self.state

    def checkpoints(self) -> Sequence[tuple[float, "Toy"]]:
        return self.path or [(1.0, self)]

    def report(self, done: int, of: int) -> None:
        pass

    def told(self) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
        return {}, {}


def reader(
    adapters: bool = True,
    *,
    pool: int = 9,
    target: int = 6,
    seed: int = 0,
    wide: bool = False,
    attention: str = "eager",
) -> Toy:
    """Texts of different lengths, padded; float64. `wide`: masks of four axes."""
    torch.manual_seed(seed)
    module = Reader(adapters, attention).double().eval()
    for name, value in module.named_parameters():
        if "lora_B" in name:
            value.data.normal_(std=0.3)

    def texts(n: int) -> dict[str, Tensor]:
        mask = (torch.arange(7) < torch.randint(2, 8, (n, 1))).long()
        ids = torch.randint(1, 40, (n, 7)) * mask
        wider = (mask[:, None, None, :] == 0).double() * torch.finfo(torch.float32).min
        return {"input_ids": ids, "attention_mask": wider if wide else mask}

    return Toy(module, {"pool": texts(pool), "target": texts(target)})


def seer(free: bool = False, *, pool: int = 9, target: int = 6, seed: int = 0) -> Toy:
    """Pictures; `free`: with a parameter that hooks do not cover."""
    torch.manual_seed(seed)
    module = Seer(free).double().eval()
    module.norm.running_var.uniform_(0.5, 2)
    module.norm.running_mean.normal_()
    return Toy(
        module, {part: {"pixels": torch.randn(n, 2, 8, 8).double()} for part, n in (("pool", pool), ("target", target))}
    )


def one_by_one(network: Any, scope: Scope, part: Part, idx: Tensor, labels: Tensor) -> Tensor:
    """(n, P) by autograd, a batch of one item at a time."""
    rows = torch.empty(0)
    named = network.parameters(scope)
    network = replace(network, size=1)
    for batch in network.batches(part, idx, labels):
        leaves = {name: value.clone().requires_grad_() for name, value in named.items()}
        grads = torch.autograd.grad(network.losses(leaves, batch)[0], list(leaves.values()), materialize_grads=True)
        row = torch.cat([g.flatten() for g in grads])
        rows = rows if len(rows) else row.new_empty(len(idx), len(row))
        rows[batch.at[0]] = row
    return rows


class Adapted(nn.Module):
    """An adapter on given embeddings, then a given linear head."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.lora_A = nn.Linear(width, 2, bias=False)
        self.lora_B = nn.Linear(2, width, bias=False)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x + self.lora_B(self.lora_A(x)).tanh())


def adapted(scope: Scope, signals: Any) -> NetworkGradients:
    """Gradients over the embeddings, target and head of ArraySignals, which stay as they are; adapters are drawn."""
    kept = vars(signals).setdefault("networks", {})  # hundreds of questions to the same signals
    if scope not in kept:
        kept[scope] = NetworkGradients(toy(signals), scope)
    return kept[scope]


def toy(signals: Any, seed: int = 0, checkpoints: int = 2, moments: bool = True) -> Toy:
    """The network of `adapted`."""
    embeddings, target, head = signals.given["embeddings"], signals.given["target"], signals.given["head"]
    inputs: dict[Part, dict[str, Tensor]] = {"pool": {"x": embeddings}, "target": {"x": target.embeddings}}
    generator = torch.Generator().manual_seed(seed)

    def drawn() -> Toy:
        module = Adapted(embeddings.shape[1], len(head.bias)).to(embeddings)
        module.head.weight.data.copy_(head.weight)
        module.head.bias.data.copy_(head.bias)
        for name in ("lora_A", "lora_B"):
            weight = getattr(module, name).weight
            weight.data.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.5)
        named = dict(module.named_parameters())
        first = {
            n: torch.randn(p.shape, generator=generator, dtype=torch.float64).to(p) * 0.1 for n, p in named.items()
        }
        second = {n: (v * 2).square() for n, v in first.items()}
        return Toy(module, inputs, 64, Moments(first, second, 5, (0.9, 0.999), 1e-8) if moments else None)

    path = [(0.1 * (c + 1), drawn()) for c in range(checkpoints)]
    return replace(path[-1][1], path=path)
