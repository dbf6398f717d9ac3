"""Per-example gradients against one forward pass over the same batches.

    python -m benchmarks.gradients                     # MiniLM with adapters of rank 8, 256 texts of up to 64 tokens
    python -m benchmarks.gradients --json gradients.json --repeat 5 --items 64 --scope last_block

The network is model=transformer's: MiniLM from the package, or where that is not installed a random BERT of the same
size. Words are drawn from a fixed list, lengths from 8 to 64 tokens. CPU seconds are the best of `--repeat`, all in one
process on one thread; `ratio_to_forward` is over the `forward` row of the same run, `difference` the largest deviation
from the loop over the largest value. Every row goes over the same batches but the loop, which takes an item at a time.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CLASSES, TARGETS = 5, 8


def measured(call: Callable[[], Any], repeat: int) -> tuple[Any, float]:
    """The result, and the CPU seconds of the fastest of some calls."""
    best, result = float("inf"), None
    for _ in range(repeat):
        began = time.process_time()
        result = call()
        best = min(best, time.process_time() - began)
    return result, best


def texts(n: int, seed: int = 0) -> list[str]:
    """Sentences of common words, 6 to 62 long: a token each."""
    words = ["the", "a", "of", "to", "and", "in", "is", "it", "for", "on", "that", "was", "with", "as", "at", "by"]
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, rng.integers(6, 63))) for _ in range(n)]


@dataclass(frozen=True)
class Network:
    """types.Network over encoded batches: a text encoder with adapters, mean pooling and a linear head."""

    module: Any
    batches_: list[Any]  # Batch

    def parameters(self, scope: Any) -> dict[str, Any]:
        """Trained parameters by name."""
        keep = {"head": "head.", "last_block": "layer.5.", "lora": "lora_", "all": ""}[scope]
        return {n: p.detach() for n, p in self.module.named_parameters() if p.requires_grad and keep in n}

    def losses(self, parameters: Mapping[str, Any], batch: Any) -> Any:
        """(b,) cross-entropies."""
        from torch.func import functional_call
        from torch.nn.functional import cross_entropy

        logits = functional_call(self.module, dict(parameters), (batch.inputs,))
        return cross_entropy(logits, batch.labels, reduction="none")

    def batches(self, part: Any, idx: Any, labels: Any) -> Any:
        """Those that were encoded; fewer than all only for the check of the hooks."""
        from alrun.types import Batches

        if len(idx) < sum(len(batch.at) for batch in self.batches_):
            first = self.batches_[0]
            kept = {name: value[: len(idx)] for name, value in first.inputs.items()}
            few = first._replace(at=idx.new_tensor(range(len(idx))), inputs=kept, labels=labels)
            return Batches([np.arange(len(idx))], lambda at: few)
        encoded = {int(batch.at[0]): batch for batch in self.batches_}
        places = [batch.at.numpy() for batch in self.batches_]
        return Batches(places, lambda at: encoded[at[0]]._replace(labels=labels[at]))

    def report(self, done: int, of: int) -> None:
        """To nobody."""

    def told(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Nothing: there is one process."""
        return {}, {}

    def moments(self) -> None:
        """None."""

    def checkpoints(self) -> list[tuple[float, "Network"]]:
        """The network alone."""
        return [(1.0, self)]


def network(items: int, batch: int) -> tuple[Network, str]:
    """The encoder with adapters that are not zero, and where it comes from."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model
    from torch import nn
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel

    from alrun.errors import UserError
    from alrun.pretrained import minilm
    from alrun.types import Batch

    torch.manual_seed(0)
    try:
        folder = minilm()
        base = AutoModel.from_pretrained(folder, attn_implementation="eager")
        tokens = AutoTokenizer.from_pretrained(folder)(texts(items), truncation=True, max_length=64)["input_ids"]
        name = "all-MiniLM-L6-v2"
    except UserError:
        config = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
        base = BertModel(config, attn_implementation="eager")
        tokens = [list(range(len(text.split()) + 2)) for text in texts(items)]
        name = "random BERT, 6 layers, 384 wide"
    base.requires_grad_(False)
    lora = LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"])

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = inject_adapter_in_model(lora, base)
            self.head = nn.Linear(base.config.hidden_size, CLASSES)

        def forward(self, inputs: Mapping[str, Any]) -> Any:
            mask = inputs["attention_mask"][:, 0, 0, :, None] == 0  # (b, t, 1)
            hidden = self.base(**inputs).last_hidden_state
            return self.head((hidden * mask).sum(1) / mask.sum(1))

    module = Classifier().eval()
    for parameter_name, value in module.named_parameters():
        if "lora_B" in parameter_name:
            nn.init.normal_(value, std=0.02)
    order, found = np.argsort([-len(row) for row in tokens], kind="stable"), []
    for start in range(0, items, batch):
        at = order[start : start + batch]
        width = max(len(tokens[i]) for i in at)
        ids = torch.zeros(len(at), width, dtype=torch.int64)
        mask = torch.full((len(at), 1, 1, width), torch.finfo(torch.float32).min)
        for row, i in enumerate(at):
            ids[row, : len(tokens[i])] = torch.tensor(tokens[i])
            mask[row, ..., : len(tokens[i])] = 0
        place = torch.from_numpy(at)
        found.append(Batch(place, {"input_ids": ids, "attention_mask": mask}, place % CLASSES))
    return Network(module, found), name


def head_rows(repeat: int, n: int = 20_000, width: int = 384) -> list[dict[str, Any]]:
    """The closed form on a head, against one pass of its logits."""
    import torch

    from alrun.gradients import HeadGradients
    from alrun.numerics import influence
    from alrun.types import Head, Outputs

    generator = torch.Generator().manual_seed(0)
    h, weight = torch.randn(n, width, generator=generator), torch.randn(CLASSES, width, generator=generator) / 20
    logits = h @ weight.T
    gradients = HeadGradients(Head(weight, torch.zeros(CLASSES)), lambda part, idx: Outputs(logits, h))
    idx, labels = torch.arange(n), logits.argmax(1)
    goal = torch.randn(CLASSES * (width + 1), generator=generator)
    residual, matrix = influence.residuals(logits.softmax(1), labels), gradients._matrix(goal)
    _, forward = measured(lambda: (h @ weight.T).softmax(1), 5 * repeat)
    rows = [{"method": "head_logits", "cpu_s": forward, "ratio_to_forward": 1.0, "difference": 0.0}]
    for name, call in {
        "head_closed_form": lambda: influence.scores(residual, h, matrix, cosines=False),
        "head_scores": lambda: gradients.scores("pool", idx, labels, goal[None])[:, 0],
    }.items():
        found, seconds = measured(call, 5 * repeat)
        sample = influence.gradients(residual[:100], h[:100]) @ goal
        off = float((found[:100] - sample).abs().max() / sample.abs().max())
        rows.append({"method": name, "cpu_s": seconds, "ratio_to_forward": seconds / forward, "difference": off})
    return rows


def network_rows(net: Network, scope: str, items: int, repeat: int) -> list[dict[str, Any]]:
    """Every way to the network's gradients, in one process."""
    import torch

    from alrun.gradients import NetworkGradients
    from alrun.gradients.hooks import one_by_one, part_of
    from alrun.numerics.projections import draw_count
    from alrun.types import Scope

    gradients = NetworkGradients(net, Scope(scope))  # type: ignore[arg-type]
    size = len(gradients.parameters())
    idx = torch.arange(items)
    labels = idx % CLASSES
    goals = torch.randn(TARGETS, size, generator=torch.Generator().manual_seed(1))
    parameters = net.parameters(scope)
    project = draw_count(size, min(4096, size), np.random.default_rng(0))

    def forward() -> Any:
        with torch.no_grad():
            return [net.losses(parameters, batch) for batch in net.batches("pool", idx, labels)]

    def loop() -> Any:
        rows = torch.empty(items, size)
        for batch in net.batches("pool", idx, labels):
            for item in range(len(batch.at)):  # without what others in the batch are padded to
                alone = part_of(batch, slice(item, item + 1))
                tokens = int((alone.inputs["attention_mask"] == 0).sum())
                alone.inputs.update({key: value[..., :tokens] for key, value in alone.inputs.items()})  # type: ignore[attr-defined]
                (found,) = one_by_one(net, parameters, alone)  # type: ignore[arg-type]
                rows[batch.at[item]] = torch.cat([g.flatten() for g in found.values()])
        return rows

    def kept(change: Callable[[Any], Any]) -> Any:
        rows = torch.empty(items, len(change(torch.zeros(1, size))[0]))
        for at, found in gradients.vectors("pool", idx, labels):
            rows[at] = change(found)
        return rows

    one = goals[:1]
    forward()
    (_, base), (exact, alone) = measured(forward, repeat), measured(loop, 1)
    calls: dict[str, tuple[Callable[[], Any], Any]] = {
        "scores": (lambda: gradients.scores("pool", idx, labels, one), exact @ one.T),
        "scores_hooks": (lambda: gradients.hook_scores("pool", idx, labels, one), exact @ one.T),
        "scores_forward_mode": (lambda: gradients.forward_scores("pool", idx, labels, one), exact @ one.T),
        f"scores_{TARGETS}_targets": (lambda: gradients.scores("pool", idx, labels, goals), exact @ goals.T),
        "label_scores": (
            lambda: gradients.label_scores(idx, CLASSES, goals[0])[idx, labels][:, None],
            exact @ one.T,
        ),
        "norms": (lambda: gradients.norms("pool", idx, labels), exact.norm(dim=1)),
        "cosine": (lambda: gradients.cosines("pool", idx, labels, one), exact @ one.T / exact.norm(dim=1)[:, None]),
        "mean": (lambda: gradients.mean("pool", idx, labels), exact.mean(0)),
        "vectors": (lambda: kept(lambda rows: rows), exact),
        "vectors_sketched": (lambda: kept(project), project(exact)),
    }
    rows = [
        {"method": "forward", "cpu_s": base, "ratio_to_forward": 1.0, "difference": 0.0},
        {"method": "loop", "cpu_s": alone, "ratio_to_forward": alone / base, "difference": 0.0},
    ]
    for name, (call, wanted) in calls.items():
        call()
        found, seconds = measured(call, repeat)
        off = float((found - wanted).abs().max() / wanted.abs().max())
        rows.append({"method": name, "cpu_s": seconds, "ratio_to_forward": seconds / base, "difference": off})
    return [row | {"scope": scope, "parameters": size, "items": items} for row in rows]


def main() -> None:
    """Measure, print a table, write JSON."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--items", type=int, default=256)
    ask.add_argument("--batch", type=int, default=32)
    ask.add_argument("--scope", nargs="+", default=["lora"], choices=["head", "last_block", "lora", "all"])
    ask.add_argument("--repeat", type=int, default=3)
    ask.add_argument("--threads", type=int, default=1)
    ask.add_argument("--json", type=Path)
    args = ask.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import torch

    from benchmarks.selection import machine

    torch.set_num_threads(args.threads)
    net, name = network(args.items, args.batch)
    print(f"{name}, {args.items} texts of up to 64 tokens in batches of {args.batch}, {args.threads} thread(s)")
    print(f"{'method':22}{'scope':>12}{'P':>10}{'CPU s':>10}{'/ forward':>11}{'difference':>12}")
    rows = []
    for scope in args.scope:
        rows += network_rows(net, scope, args.items, args.repeat)
    rows += [row | {"scope": "head", "parameters": CLASSES * 385, "items": 20_000} for row in head_rows(args.repeat)]
    for row in rows:
        print(
            f"{row['method']:22}{row['scope']:>12}{row['parameters']:>10,}{row['cpu_s']:>10.4f}"
            f"{row['ratio_to_forward']:>11.2f}{row['difference']:>12.1e}"
        )
    if args.json:
        about = machine() | {"network": name, "batch": args.batch, "threads": args.threads}
        args.json.write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
