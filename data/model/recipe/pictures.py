"""Makes the test suite's pictures and the example picture: `python -m recipe.pictures --model DIR --out DIR`.

The pictures are held out from training. Of the questions, those are kept that the model answers rightly here, so
that a program which runs the same model can be held to the same answers; evaluate.py is what measures the model.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image

from .draw import draw
from .evaluate import ASKS, TorchAnswerer, is_right
from .questions import Turn, kind
from .scene import Ground, Scene, Thing, pick_scene

FORMATS = ("png", "jpg", "webp", "gif", "tiff", "png", "jpg", "webp")
PICTURES = 24
MOST_BYTES = 18_000


def key_words(turn: Turn, scene: Scene) -> list[str]:
    """The words that a right answer must contain, whatever its case."""
    if turn.skill in ("yes", "no"):
        return [turn.skill]
    if turn.skill in ("describe", "describe briefly") and len(scene.things) == 1:
        place = [scene.things[0].place] if turn.skill == "describe" else []
        return [kind(scene.things[0]), *place, *scene.ground.colours]
    if turn.skill == "cannot tell":
        return ["cannot tell"]
    return [turn.answer.rstrip(".")]


def _save(image: Image.Image, path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "jpg": {"quality": 85},
        "webp": {"quality": 85},
        "tiff": {"compression": "tiff_deflate"},
    }
    if path.suffix == ".gif":
        image = image.quantize(64)
    image.save(path, **options.get(path.suffix[1:], {}))


def make_pictures(answerer: TorchAnswerer, out: Path, seed: str) -> list[dict[str, object]]:
    rng = random.Random(f"test pictures {seed}")
    expected: list[dict[str, object]] = []
    made = 0
    while made < PICTURES:
        scene = pick_scene(rng)
        if max(scene.width, scene.height) < 160 or not scene.things:
            continue
        path = out / f"{made + 1:02d}.{FORMATS[made % len(FORMATS)]}"
        _save(draw(rng, scene), path)
        if path.stat().st_size > MOST_BYTES:
            path.unlink()
            continue
        image = Image.open(path).convert("RGB")
        asks = [ASKS[made % 2], rng.choice(ASKS[2:11])]
        turns = [
            t for t in (a(rng, scene) for a in asks) if t and is_right(t, answerer.answer(image, t.question))
        ]
        if not turns:
            path.unlink()
            continue
        expected += [
            {"file": path.name, "question": t.question, "must_contain": key_words(t, scene)} for t in turns
        ]
        made += 1
    return expected


def example() -> Image.Image:
    """Three shapes on a gradient, 512 x 384."""
    things = (
        Thing("circle", "red", (220, 40, 40), 110, 110, 62, 0, 0.5, "top left", ""),
        Thing("star", "yellow", (255, 220, 40), 400, 100, 70, 0, 0.4, "top right", ""),
        Thing("heart", "purple", (128, 40, 150), 256, 300, 66, 0, 0.5, "bottom", ""),
    )
    ground = Ground("gradient", ("white", "light blue"), ((255, 255, 255), (170, 210, 250)), 0)
    return draw(random.Random(1), Scene(512, 384, ground, things), worn=False)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the test pictures and expected.json"
    )
    parser.add_argument("--example", type=Path, help="also write the example picture here")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("[0-9][0-9].*"):
        old.unlink()
    answerer = TorchAnswerer(options.model)
    expected = make_pictures(answerer, options.out, options.seed)
    (options.out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{len(expected)} questions about {PICTURES} pictures")
    if options.example:
        example().save(options.example, optimize=True)
        print(answerer.answer(Image.open(options.example), "Describe this image."))


if __name__ == "__main__":
    main()
