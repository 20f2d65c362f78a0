"""Writes the Hugging Face folder from a checkpoint: `python -m recipe.export --work WORK --out DIR`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .model import LlavaPhi, Sizes, describe_sizes, save_model
from .tokenizer import Words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of tokenizer.json and the checkpoints")
    parser.add_argument("--stage", default="answers", help="whose checkpoint")
    parser.add_argument(
        "--mean-with", type=Path, nargs="+", default=[], help="checkpoints: the mean of its weights and theirs"
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    words = Words.load(options.work / "tokenizer.json")
    model = LlavaPhi(Sizes(), words.size)
    paths = [options.work / f"{options.stage}.pt", *options.mean_with]
    states = [torch.load(path, map_location="cpu", weights_only=True) for path in paths]
    model.load_state_dict({k: torch.stack([s["model"][k] for s in states]).mean(0) for k in states[0]["model"]})
    options.out.mkdir(parents=True, exist_ok=True)
    save_model(model, options.out, words.end)
    (options.out / "tokenizer.json").write_bytes((options.work / "tokenizer.json").read_bytes())
    print(f"{options.out}: {describe_sizes(model)}, after {states[0]['step']} steps of {options.stage}")


if __name__ == "__main__":
    main()
