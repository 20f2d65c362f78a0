"""Asks about held-out pictures and counts right answers: `python -m recipe.evaluate --model DIR [--cli PROGRAM]`.

The pictures have seeds that training never drew, and fonts, photographs and crops that it never saw. Without --cli the
model runs here, its bfloat16 weights in float32; with it, through allava-cli.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image

from . import materials as collection
from .batch import OPENING
from .draw import prepare
from .kinds import prints, things
from .materials import Materials, Sprite
from .model import LlavaPhi, load_model
from .pool import draw, pick_scene
from .scene import Scene
from .talk import READS, ask_outside, can_read, honest, skills_of, small_talk
from .tokenizer import Words
from .wording import Turn, article, plain

MOST_TOKENS = 120
CANNOT_READ = "text: says that it cannot read"
READING = "text read"
NO_TEXT = "text: says that there is none"
NAME_HEADINGS = {"emoji": "emoji name", "flag": "country flag", "drawing": "drawing of a thing"}


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
        embed = self.model.decoder.model.embed_tokens
        before = embed(torch.tensor([self.words.encode(OPENING)]))
        after = embed(torch.tensor([self.words.encode(f"\n{question.strip()} [/INST] ")]))
        state = self.model.decoder.model(inputs_embeds=torch.cat((before, features, after), 1), use_cache=True)
        said: list[int] = []
        while len(said) < MOST_TOKENS:
            token = int(self.model.decoder.lm_head(state.last_hidden_state[0, -1]).argmax())
            if token == self.words.end:
                break
            said.append(token)
            state = self.model.decoder.model(
                inputs_embeds=embed(torch.tensor([[token]])), past_key_values=state.past_key_values, use_cache=True
            )
        return self.words.decode(said)


class CliAnswerer:
    """Asks the program, whose JSON line carries the text."""

    def __init__(self, program: Path, folder: Path, dtype: str) -> None:
        self.command = [str(program), "generate", "--model", str(folder), "--dtype", dtype,
                        "--max-new-tokens", str(MOST_TOKENS), "--json"]  # fmt: skip

    def answer(self, image: Image.Image, question: str) -> str:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            image.save(file.name)
            command = [*self.command, "--image", file.name, "--prompt", question]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return str(json.loads(said.splitlines()[0])["text"])


# --- What is measured ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    heading: str
    scene: Scene
    turn: Turn
    accepted: tuple[str, ...] = ()  # other whole answers that are right


_FADES = re.compile(r"fades from ((?:light )?\w+) to ((?:light )?\w+)")


def phrases(text: str) -> list[str]:
    """The parts of a sentence, in an order of their own; a fading background may be told from either end."""
    text = _FADES.sub(lambda m: "fades between " + "/".join(sorted(m.groups())), text)
    return sorted(p.lower() if '"' not in p else p for p in re.split(r", | and | is | are |: |\. |\.$", text) if p)


def is_right(question: Question, said: str) -> bool:
    """Things may be named in another order; yes or no counts by itself, and so does a hedge."""
    turn, right = question.turn, plain(question.turn.answer)
    if turn.skill in ("yes", "no"):
        return said.split(",")[0] == right.split(",")[0]
    if turn.skill == "cannot tell" or question.heading == "photograph: hedged":
        return "cannot" in said
    if question.heading == "photograph: main colours":
        return main_colour_words(said) == main_colour_words(right)
    return phrases(said) == phrases(right) or said in question.accepted


def is_named(question: Question, said: str) -> bool:
    """Whether the name is right, whatever the article before it; a brief description says what it is too."""

    def name(answer: str) -> str:
        return re.sub(r"^(It is )?(an? |the )?| on an? .*|\.$", "", answer, flags=re.IGNORECASE)

    return name(said) in {name(a) for a in (plain(question.turn.answer), *question.accepted)}


def main_colour_words(text: str) -> set[str]:
    return set(re.findall(r"red|orange|yellow|green|blue|purple|pink|brown|black|white|grey", text))


def turn_of(rng: random.Random, scene: Scene, skills: tuple[str, ...]) -> Turn | None:
    """A question of one of these skills, where the scene allows one."""
    asks = [ask for ask, _ in skills_of(scene)]
    for _ in range(400):
        turn = rng.choice(asks)(rng, scene)
        if turn and turn.skill in skills:
            return honest(turn, scene)
    return None


def _heading_of_many(heading: str, scene: Scene) -> str:
    count = len(scene.things)
    many = "one shape" if count == 1 else "2-3 shapes" if count <= 3 else "4-6 shapes"
    return f"{heading}, {many}"


def _shape_questions(rng: random.Random, materials: Materials, count: int) -> Iterator[Question]:
    for _ in range(count):
        scene = things.pick_shapes(rng, materials, True)
        for heading, skills in (
            ("shape", ("shape",)), ("colour", ("colour",)), ("position", ("place",)), ("number up to six", ("number",)),
            ("yes or no", ("yes",)), ("yes or no", ("no",)), ("describe", ("describe",)), ("describe briefly", ("describe briefly",)),
            ("background", ("background",)), ("relation", ("relation",)), ("comparison", ("compare",)), ("list", ("list",)),
        ):  # fmt: skip
            turn = turn_of(rng, scene, skills)
            if not turn:
                continue
            yield Question(heading, scene, turn)
            if scene.things and heading in ("shape", "colour", "position", "describe", "describe briefly"):
                yield Question(_heading_of_many(heading, scene), scene, turn)


def name_question(rng: random.Random, scene: Scene, sprite: Sprite) -> Question:
    """What a lone sprite is; its other names are right too."""
    turn = turn_of(rng, scene, (sprite.kind,))
    assert turn
    names = [("the flag of " + a) if sprite.kind == "flag" else article(a) for a in sprite.aliases]
    return Question(NAME_HEADINGS[sprite.kind], scene, turn, tuple(f"It is {n}." for n in names))


def _name_questions(rng: random.Random, materials: Materials, share: float) -> Iterator[Question]:
    """Every sprite once, or a share of them."""
    for sprite in materials.sprites:
        if rng.random() < share:
            yield name_question(rng, things.pick_one(rng, materials, True, sprite), sprite)


def _kind_questions(kind: str, headings: dict[str, tuple[str, ...]]) -> Callable[..., Iterator[Question]]:
    def questions(rng: random.Random, materials: Materials, count: int) -> Iterator[Question]:
        for _ in range(count):
            scene = pick_scene(rng, materials, True, kind)
            for heading, skills in headings.items():
                turn = turn_of(rng, scene, skills)
                if turn:
                    yield Question(heading, scene, turn)

    return questions


def _is_aimed_at(scene: Scene) -> bool:
    """One text, as the aim names it: a word of at most 8 letters or a number of at most 5 digits, of a twelfth of the
    picture's height or more."""
    most = 8 if scene.things[0].kind == "word" else 5
    return (
        len(scene.things) == 1
        and len(re.sub(r"\W", "", scene.things[0].name)) <= most
        and prints.seen_height(scene, 0) >= 1 / 12
    )


def _pick_print(rng: random.Random, materials: Materials, wanted: Callable[[Scene], bool]) -> Scene:
    while not wanted(scene := pick_scene(rng, materials, True, "print")):
        pass
    return scene


def _text_questions(rng: random.Random, materials: Materials, count: int) -> Iterator[Question]:
    for _ in range(count):
        scene = _pick_print(rng, materials, _is_aimed_at)
        yield Question(READING, scene, prints.ask_read(rng, scene))  # whether it says that it cannot, or should
        small = _pick_print(rng, materials, lambda s: not can_read(s))
        yield Question(CANNOT_READ, small, honest(prints.ask_read(rng, small), small))


def _other_questions(rng: random.Random, materials: Materials, count: int) -> Iterator[Question]:
    for _ in range(count):
        scene = pick_scene(rng, materials, True)
        yield Question("cannot tell", scene, ask_outside(rng, scene))
        yield Question("small talk", scene, small_talk(rng, scene))


_charts = _kind_questions("chart", {"chart": ("chart", "number", "compare", "colours"), "chart described": ("describe", "describe briefly"), NO_TEXT: ("no text",)})  # fmt: skip
_dialogs = _kind_questions(
    "dialog",
    {
        "dialog": ("dialog", "number", "highlighted"),
        "dialog's words" if "dialog" in READS else CANNOT_READ: ("buttons", "read"),
    },
)
_photos = _kind_questions("photo", {"photograph: hedged": ("describe", "describe briefly"), "photograph: main colours": ("colours",), "cannot tell": ("cannot tell",)})  # fmt: skip
_mixed = _kind_questions("things", {"yes or no": ("yes",), "yes or no ": ("no",), "describe, all things": ("describe",), "main colours of a thing": ("main colours",), NO_TEXT: ("no text",)})  # fmt: skip


def questions(rng: random.Random, materials: Materials, count: int, share: float) -> Iterator[Question]:
    yield from _shape_questions(rng, materials, count)
    yield from _name_questions(rng, materials, share)
    for asked in (_mixed, _text_questions, _charts, _dialogs, _photos, _other_questions):
        yield from asked(rng, materials, count)


def evaluate(
    answerer: Answerer, materials: Materials, asked: Iterator[Question], rng: random.Random, show: int
) -> dict[str, tuple[int, int]]:
    """Right answers and questions under each heading."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    scene, image = None, Image.new("RGB", (1, 1))
    said: dict[str, str] = {}
    for question in asked:
        if question.scene is not scene:
            scene, said = question.scene, {}
            image = draw(rng, scene, materials).image
        words = plain(question.turn.question)
        if words not in said:
            said[words] = answerer.answer(image, words)
        right = is_right(question, said[words])
        results = {question.heading.strip(): right}
        if question.heading in NAME_HEADINGS.values():
            results[f"{question.heading}, any article"] = is_named(question, said[words])
        for heading, is_so in results.items():
            counts[heading][0] += is_so
            counts[heading][1] += 1
        if not right and show > 0:
            show -= 1
            print(
                f"  [{question.heading}] {words}\n    right: {plain(question.turn.answer)}\n    said:  {said[words]}",
                flush=True,
            )
    return {k: (r, n) for k, (r, n) in counts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the materials")
    parser.add_argument("--cli", type=Path, help="ask this allava-cli instead of torch")
    parser.add_argument("--dtype", default="auto", help="of allava-cli")
    parser.add_argument("--pictures", type=int, default=200, help="of each kind")
    parser.add_argument(
        "--names", type=float, default=1, help="share of the emoji, flags and drawings that are asked for"
    )
    parser.add_argument("--seed", default="1", help="another seed gives other pictures")
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers")
    options = parser.parse_args()
    materials = collection.load(options.work / "materials")
    answerer: Answerer = (
        CliAnswerer(options.cli, options.model, options.dtype) if options.cli else TorchAnswerer(options.model)
    )
    rng = random.Random(f"held out {options.seed}")
    asked = questions(rng, materials, options.pictures, options.names)
    for heading, (right, count) in evaluate(answerer, materials, asked, rng, options.show).items():
        print(f"{heading:32} {right:5} of {count:5}  {100 * right / count:5.1f} %")


if __name__ == "__main__":
    main()
