"""Makes the test suite's held-out pictures: `python -m recipe.pictures --model DIR --work WORK --out DIR`.

They are taken as they come, right answers or not. expected.json lists each skill's questions and the share of them
that a program which runs this model must have right: a little below what the model reaches here.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from . import materials as collection
from .evaluate import (
    CANNOT_READ,
    NO_TEXT,
    READING,
    Question,
    TorchAnswerer,
    is_right,
    main_colour_words,
    name_question,
    phrases,
    turn_of,
)
from .kinds import things
from .materials import Materials
from .pool import draw, pick_scene
from .scene import Ground, Scene, Thing
from .talk import ask_outside
from .wording import plain

FORMATS = ("png", "jpg", "webp", "gif", "tiff", "png", "jpg", "webp")
MOST_BYTES = 30_000
COUNTS = {"shapes": 45, "emoji": 40, "flag": 20, "drawing": 25, "print": 20, "photo": 14, "chart": 12, "dialog": 12}
SHAPE_HEADINGS = (
    ("shape",),
    ("colour",),
    ("place",),
    ("number",),
    ("yes",),
    ("no",),
    ("describe",),
    ("describe briefly",),
)
KIND_SKILLS: dict[str, dict[str, tuple[str, ...]]] = {
    "print": {READING: ("read",)},
    "photo": {"photograph: hedged": ("describe",), "photograph: main colours": ("colours",)},
    "chart": {"chart": ("chart", "number", "compare", "colours")},
    "dialog": {"dialog": ("dialog", "number", "highlighted"), CANNOT_READ: ("buttons", "read")},
}
SLACK = 0.05


def _open_only(materials: Materials) -> Materials:
    """Without photographs of which a part may not be given away with no more than the author's name."""
    return replace(materials, held_out_photos=[p for p in materials.held_out_photos if p.may_be_cropped])


def _scenes(rng: random.Random, materials: Materials) -> Iterator[tuple[str, Scene]]:
    for kind, count in COUNTS.items():
        named = [s for s in materials.sprites if s.kind == kind]
        for _ in range(count):
            if kind == "shapes":
                yield kind, things.pick_shapes(rng, materials, True)
            elif named:
                yield kind, things.pick_one(rng, materials, True, rng.choice(named))
            else:
                yield kind, pick_scene(rng, materials, True, kind)


def _questions(rng: random.Random, materials: Materials, kind: str, scene: Scene, number: int) -> list[Question]:
    if kind == "shapes":
        skills = [SHAPE_HEADINGS[(number + i) % len(SHAPE_HEADINGS)] for i in (0, 1, 4)]
        headings = {"yes": "yes or no", "no": "yes or no", "place": "position"}
        turns = [t for s in skills if (t := turn_of(rng, scene, s))]
        return [Question(headings.get(t.skill, t.skill), scene, t) for t in turns]
    if kind in KIND_SKILLS:
        asked = [(h, turn_of(rng, scene, s)) for h, s in KIND_SKILLS[kind].items()]
        questions = [Question(CANNOT_READ if t.skill == "cannot read" else h, scene, t) for h, t in asked if t]
    else:
        sprite = next(s for s in materials.sprites if (s.kind, s.name) == (scene.things[0].kind, scene.things[0].name))
        questions = [name_question(rng, scene, sprite)]
    if number % 4 == 0:
        questions.append(Question("cannot tell", scene, ask_outside(rng, scene)))
    if number % 4 == 2 and (turn := turn_of(rng, scene, ("no text",))):
        questions.append(Question(NO_TEXT, scene, turn))
    return questions


def alternatives(question: Question) -> list[list[str]]:
    """A right answer holds every text of at least one of these lists."""
    right = plain(question.turn.answer)
    if question.turn.skill in ("yes", "no"):
        return [[right.split(",")[0] + ","]]
    if question.turn.skill == "cannot tell" or question.heading == "photograph: hedged":
        return [["cannot"]]
    if question.heading == "photograph: main colours":
        return [sorted(main_colour_words(right))]
    if "fades from" in right:  # either end may be told first
        return [[p for p in phrases(right) if "fades" not in p] + list(question.scene.ground.colours)]
    return [phrases(right), *([a] for a in question.accepted)]


def _save(image: Image.Image, path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "jpg": {"quality": 85}, "webp": {"quality": 85}, "tiff": {"compression": "tiff_deflate"},
    }  # fmt: skip
    if path.suffix == ".gif":
        image = image.quantize(128)
    image.save(path, **options.get(path.suffix[1:], {}))


def make_pictures(answerer: TorchAnswerer, materials: Materials, out: Path, seed: str) -> dict[str, Any]:
    rng = random.Random(f"test pictures {seed}")
    asked: dict[str, list[dict[str, Any]]] = defaultdict(list)
    rights: dict[str, int] = defaultdict(int)
    credits: dict[str, str] = {}
    for number, (kind, scene) in enumerate(_scenes(rng, materials)):
        path = out / f"{number + 1:03d}.{FORMATS[number % len(FORMATS)]}"
        image = draw(rng, scene, materials).image
        _save(image, path)
        if path.stat().st_size > MOST_BYTES:
            path.unlink()
            path = path.with_suffix(".jpg")
            _save(image, path)
        if scene.ground.photo:
            photo = next(p for p in materials.held_out_photos if p.name == scene.ground.photo)
            credits[path.name] = f"{photo.name} by {photo.author}, {photo.licence}"
        seen = Image.open(path).convert("RGB")
        for question in _questions(rng, materials, kind, scene, number):
            words = plain(question.turn.question)
            rights[question.heading] += is_right(question, answerer.answer(seen, words))
            asked[question.heading].append({"file": path.name, "question": words, "right": alternatives(question)})
    skills = [
        {"skill": k, "at_least": max(1, math.floor(rights[k] - SLACK * len(q) - 0.5)), "questions": q}
        for k, q in asked.items()
    ]
    return {"photographs": credits, "skills": skills}


def example() -> Image.Image:
    """Three shapes on a gradient, 512 x 384."""

    def thing(
        shape: str, colour: str, rgb: tuple[int, int, int], x: float, y: float, radius: float, detail: float
    ) -> Thing:
        return Thing("shape", shape, shape, f"a {colour} {shape}", colour, x, y, radius, rgb=rgb, detail=detail)

    shapes = (
        thing("circle", "red", (220, 40, 40), 106, 104, 78, 0.5),
        thing("heart", "purple", (128, 40, 150), 256, 286, 80, 0.5),
        thing("star", "yellow", (255, 220, 40), 402, 108, 88, 0.4),
    )
    ground = Ground("gradient", ("white", "light blue"), ((255, 255, 255), (170, 210, 250)), 0)
    scene = Scene("things", 512, 384, ground, shapes)
    return things.draw(random.Random(1), scene, Materials([], [], [], [], []), worn=False).image


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder of the materials")
    parser.add_argument("--out", type=Path, required=True, help="folder of the test pictures and expected.json")
    parser.add_argument("--example", type=Path, help="also write the example picture here")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("[0-9]*.*"):
        old.unlink()
    materials = _open_only(collection.load(options.work / "materials"))
    answerer = TorchAnswerer(options.model)
    expected = make_pictures(answerer, materials, options.out, options.seed)
    (options.out / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
    for skill in expected["skills"]:
        print(f"{skill['skill']}: at least {skill['at_least']} of {len(skill['questions'])}")
    if options.example:
        example().save(options.example, optimize=True)
        print(answerer.answer(Image.open(options.example), "Describe this image."))


if __name__ == "__main__":
    main()
