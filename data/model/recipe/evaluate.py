"""Asks about held-out pictures and counts right answers: `python -m recipe.evaluate --model DIR [--cli PROGRAM]`.

Without --cli the model runs here, its bfloat16 weights in float32; with it, through allava-cli.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image

from .batch import OPENING
from .draw import draw, prepare
from .model import LlavaPhi, load_model
from .questions import (
    Turn,
    ask_all_shapes,
    ask_brief,
    ask_colour,
    ask_full,
    ask_ground,
    ask_number,
    ask_outside,
    ask_place,
    ask_presence,
    ask_relation,
    ask_shape,
    ask_whether,
    small_talk,
)  # fmt: skip
from .scene import Scene, pick_scene
from .tokenizer import Words

ASKS = (ask_full, ask_brief, ask_shape, ask_colour, ask_place, ask_number, ask_presence, ask_whether, ask_ground,
        ask_all_shapes, ask_relation, ask_outside, small_talk)  # fmt: skip
MOST_TOKENS = 120


class Answerer(Protocol):
    def answer(self, image: Image.Image, question: str) -> str: ...


class TorchAnswerer:
    """Greedy decoding with the recipe's own modules, in float32."""

    def __init__(self, folder: Path) -> None:
        self.model: LlavaPhi = load_model(folder)
        self.words = Words.load(folder / "tokenizer.json")

    @torch.no_grad()
    def answer(self, image: Image.Image, question: str) -> str:
        pixels = torch.from_numpy(prepare(image).copy())[None]
        features = self.model.projector(self.model.patches(pixels))
        return self.continue_from(features, question)

    @torch.no_grad()
    def continue_from(self, features: torch.Tensor, question: str) -> str:
        embed = self.model.decoder.model.embed_tokens
        before = embed(torch.tensor([self.words.encode(OPENING)]))
        after = embed(torch.tensor([self.words.encode(f"\n{question.strip()} [/INST] ")]))
        state = self.model.decoder.model(
            inputs_embeds=torch.cat((before, features, after), 1), use_cache=True
        )
        said: list[int] = []
        while len(said) < MOST_TOKENS:
            token = int(self.model.decoder.lm_head(state.last_hidden_state[0, -1]).argmax())
            if token == self.words.end:
                break
            said.append(token)
            state = self.model.decoder.model(
                inputs_embeds=embed(torch.tensor([[token]])),
                past_key_values=state.past_key_values,
                use_cache=True,
            )
        return self.words.decode(said)


class CliAnswerer:
    """Asks the program, whose JSON line carries the text."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.command = [str(program), "generate", "--model", str(folder)]

    def answer(self, image: Image.Image, question: str) -> str:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            image.save(file.name)
            command = [
                *self.command,
                "--image",
                file.name,
                "--prompt",
                question,
                "--max-new-tokens",
                str(MOST_TOKENS),
                "--json",
            ]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return str(json.loads(said.splitlines()[0])["text"])


def phrases(text: str) -> list[str]:
    return sorted(p for p in re.split(r", | and |: |\.", text.lower()) if p)


def is_right(turn: Turn, said: str) -> bool:
    """Things may be named in another order; a yes or no counts by itself, what follows it under its own heading."""
    if turn.skill in ("yes", "no"):
        return said.split(",")[0] == turn.answer.split(",")[0]
    return phrases(said) == phrases(turn.answer)


def headings(scene: Scene, turn: Turn) -> list[str]:
    name = {"yes": "yes or no", "no": "yes or no"}.get(turn.skill, turn.skill)
    many = (
        "none"
        if not scene.things
        else "one shape"
        if len(scene.things) == 1
        else "2-3 shapes"
        if len(scene.things) <= 3
        else "4-6 shapes"
    )
    detailed = ("describe", "describe briefly", "shape", "colour", "place", "number", "list", "yes or no")
    return [name] + ([f"{name}, {many}"] if name in detailed else [])


def evaluate(answerer: Answerer, pictures: int, seed: str, show: int) -> dict[str, tuple[int, int]]:
    rng = random.Random(f"held out {seed}")
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for i in range(pictures):
        scene = pick_scene(rng)
        image = draw(rng, scene)
        for ask in (ASKS[i % 2], *ASKS[2:]) if i % 3 else ASKS[:8]:
            turn = ask(rng, scene)
            if turn is None:
                continue
            said = answerer.answer(image, turn.question)
            right = is_right(turn, said)
            for heading in headings(scene, turn):
                counts[heading][0] += right
                counts[heading][1] += 1
            if not right and show > 0:
                show -= 1
                print(f"  {turn.question}\n    right: {turn.answer}\n    said:  {said}", flush=True)
    return {k: (r, n) for k, (r, n) in sorted(counts.items())}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--cli", type=Path, help="ask this allava-cli instead of torch")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--seed", default="1", help="another seed gives other pictures")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers")
    options = parser.parse_args()
    answerer: Answerer = (
        CliAnswerer(options.cli, options.model) if options.cli else TorchAnswerer(options.model)
    )
    for heading, (right, asked) in evaluate(answerer, options.pictures, options.seed, options.show).items():
        print(f"{heading:32} {right:5} of {asked:5}  {100 * right / asked:5.1f} %")


if __name__ == "__main__":
    main()
