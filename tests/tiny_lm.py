"""A language model of a few thousand weights with a tokenizer of words, made on the spot."""

from pathlib import Path

import torch

from alrun.config import option
from alrun.exchange import Exchange
from alrun.models.causal_lm import causal_lm
from alrun.models.material import Material
from alrun.registry import options

WORDS = [
    *["tell", "me", "a", "good", "bad", "sad", "film", "is", "was", "the", "day", ":", "?"],
    *["negative", "positive", "yes", "no", "one", "two", "three", "four", "five"],
]
CHAT = "{% for m in messages %}<u> {{ m.content }}{% endfor %}{% if add_generation_prompt %} <a> {% endif %}"


def tiny_lm(folder: Path, *, chat: bool = False, seed: int = 0) -> Path:
    """A folder as transformers saves it: 2 blocks of 32 values, random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    known = {word: n for n, word in enumerate(["<end>", "<unk>", "<u>", "<a>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", unk_token="<unk>")
    if chat:
        fast.chat_template = CHAT
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(known), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, eos_token_id=0, bos_token_id=None, tie_word_embeddings=True,
        initializer_range=0.3,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    return folder


POOL = [
    Exchange("tell me a good day", ("the day was good",)),
    Exchange("tell me", ("one two three four five",)),
    Exchange("a film ?", ("yes",)),
    Exchange("tell me one two three", ("",)),
    Exchange("the sad day", ("no",)),
    Exchange("is the film good ?", ("yes the film is good",)),
    Exchange("was it ?", ("no no no",)),
    Exchange("one", ("two three",)),
]
TASK = [
    Exchange(f"{text} : negative positive ?", ("negative", "positive"))
    for text in ("a bad film", "a good film", "the sad film was bad", "good", "the film is good", "bad bad")
]


def material(pool=POOL, target=TASK[:2], test=TASK[2:], n_classes: int = 2) -> Material:
    parts = {"pool": pool, "target": target, "test": test}
    features = {part: torch.zeros(len(items), 1) for part, items in parts.items()}
    return Material(features, n_classes, torch.device("cpu"), items=parts, kind="instruction")


def params(folder: Path, **more) -> dict:
    small = {"max_length": 24, "rank": 2, "alpha": 4, "min_steps": 4, "epochs": 2, "batch": 4, "checkpoints": 2}
    return {**option("model", "causal_lm"), "path": str(folder), **small, "learning_rate": 0.02, **more}


def learner(folder: Path, given: Material | None = None, **more):
    return causal_lm(given or material(), **options("model", params(folder, **more)))
