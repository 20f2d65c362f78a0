"""Pages full of words: what the vision tower learns letters from, many to a picture."""

from __future__ import annotations

import math
import random

from ..materials import Materials
from ..scene import CANVAS, Drawn, Scene, Thing
from . import printing, prints

_LARGEST_SIDE = 320
_SIZES = (11, 44)  # of fonts, in pixels that the model sees: uniformly, as of small ones a line has more letters
_TURNED = 0.2  # share of lines whose words are turned
_MOST_TURN = 12


def _word(text: str, left: float, top: float, width: float, height: float, angle: float) -> Thing:
    noun = prints.noun_for(text)
    radius = math.hypot(width, height) / 2
    return Thing(noun, text, noun, "", "", left + width / 2, top + height / 2, radius, angle=angle)


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    side = rng.randint(CANVAS, _LARGEST_SIDE)
    scale = printing.seen_scale(side, side)
    ground, behind = prints.pick_backdrop(rng, materials, held_out, side, side)
    packed: list[Thing] = []
    fonts: list[str] = []
    sizes: list[int] = []
    top = rng.uniform(0, 10) * scale
    while top < side:
        size = round(rng.uniform(*_SIZES) * scale)
        path = str(rng.choice(materials.held_out_fonts if held_out else materials.fonts))
        most = _MOST_TURN if rng.random() < _TURNED else 0
        left, line = rng.uniform(0, 20) * scale, 0.5 * size
        while True:
            text, angle = prints.pick_text(rng), rng.uniform(-most, most)
            cells = printing.measure(printing.load_font(path, size), text)
            width, height = printing.turned_size(cells.width, cells.height, angle)
            if left + width > side or top + height > side:
                break
            word = _word(text, left, top, width, height, angle)
            left += width + rng.uniform(0.25, 0.9) * size
            inked = prints.ink(rng, ground, behind, word, (width, height))
            if inked and all(printing.has_glyph(path, c) for c in text):
                packed.append(inked)
                fonts.append(path)
                sizes.append(size)
                line = max(line, height)
        top += line + rng.uniform(0.1, 0.45) * size
    return Scene("page", side, side, ground, tuple(packed), {"fonts": fonts, "sizes": sizes})


def draw(rng: random.Random, scene: Scene, materials: Materials) -> Drawn:
    return prints.draw(rng, scene, materials)
