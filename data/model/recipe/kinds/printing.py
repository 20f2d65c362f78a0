"""Text in pictures: fonts, the cells of characters, and colours that can be read on a background."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..scene import CANVAS, COLOUR_NAMES, Ground, Letter, Rgb, is_far, pick_rgb

Points = tuple[tuple[float, float], ...]

# What the vision tower is asked of a letter: which of CHARACTERS it is and which is before it, with none as the one after
# them; the how-manieth letter of its text it is; how many follow.
QUESTIONS = ("character", "before", "order", "rest")
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.,:;!?%$€£+-/'&"
LONGEST = 24  # letters of a text that are numbered
RESTS = 4  # how many may follow: this many less one, or more

_NO_GLYPH = "\U0010fffe"
_ASPECTS = (1.0, 1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16)


def pick_size(rng: random.Random, low: float = 0.55, high: float = 1.8) -> tuple[int, int]:
    """Width and height of a picture, its aspect between the bounds."""
    side = rng.randint(140, 480)
    aspect = rng.choice((*_ASPECTS, rng.uniform(low, high)))
    aspect = min(max(aspect, low), high)
    return (side, round(side / aspect)) if aspect >= 1 else (round(side * aspect), side)


def seen_scale(width: int, height: int) -> float:
    """Pixels of the picture to one that the model sees."""
    return max(width, height) / CANVAS


@lru_cache(maxsize=1024)
def load_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=8192)
def has_glyph(path: str, character: str) -> bool:
    font = load_font(path, 24)
    return bytes(font.getmask(character)) != bytes(font.getmask(_NO_GLYPH))


def pick_font(rng: random.Random, fonts: Iterable[Path], text: str) -> str:
    """The file of a font that has the text's characters; after a few tries, of any."""
    files = list(fonts)
    for _ in range(8):
        path = str(rng.choice(files))
        if all(has_glyph(path, c) for c in set(text) - {" "}):
            break
    return path


def asked_of(letter: Letter) -> list[int]:
    """The answers to QUESTIONS; -1 where there is none."""
    before = CHARACTERS.find(letter.text[letter.index - 1]) if letter.index else -1
    follow = len(letter.text) - 1 - letter.index
    return [
        CHARACTERS.find(letter.text[letter.index]),
        before if before >= 0 else len(CHARACTERS),
        min(letter.index, LONGEST - 1),
        min(follow, RESTS - 1),
    ]


@dataclass(frozen=True)
class Cells:
    """Where a text's characters lie, from its start on its baseline."""

    edges: tuple[float, ...]  # of the characters, from left to right: one more than there are characters
    top: float
    bottom: float

    @property
    def width(self) -> float:
        return self.edges[-1]

    @property
    def height(self) -> float:
        return self.bottom - self.top


def measure(font: ImageFont.FreeTypeFont, text: str) -> Cells:
    _, top, _, bottom = font.getbbox(text, anchor="ls")
    return Cells(tuple(font.getlength(text[:i]) for i in range(len(text) + 1)), top, bottom)


def turned_size(width: float, height: float, angle: float) -> tuple[float, float]:
    """Of the upright box around a turned one."""
    cos, sin = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    return width * cos + height * sin, width * sin + height * cos


def _turned(points: Points, x: float, y: float, angle: float) -> Points:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return tuple((x + u * cos - v * sin, y + u * sin + v * cos) for u, v in points)


def draw_text(
    image: Image.Image,
    text: str,
    path: str,
    size: int,
    middle: tuple[float, float],
    rgb: Rgb,
    angle: float = 0,
) -> tuple[list[Letter], Points]:
    """Draws a text around a point, turned clockwise; its letters, and the corners of its box."""
    font = load_font(path, size)
    cells = measure(font, text)
    x, y = middle
    left, top = -cells.width / 2, -cells.height / 2
    if angle:
        margin = size // 2  # glyphs may reach beyond their cells
        half_w, half_h = math.ceil(cells.width / 2) + margin, math.ceil(cells.height / 2) + margin
        mask = Image.new("L", (2 * half_w, 2 * half_h))
        start = (half_w + left, half_h + top - cells.top)
        ImageDraw.Draw(mask).text(start, text, fill=255, font=font, anchor="ls")
        mask = mask.rotate(-angle, Image.Resampling.BICUBIC, expand=True)
        image.paste(rgb, (round(x - mask.width / 2), round(y - mask.height / 2)), mask)
    else:
        ImageDraw.Draw(image).text((x + left, y + top - cells.top), text, fill=rgb, font=font, anchor="ls")

    def box(x0: float, x1: float) -> Points:
        corners = ((x0, top), (x1, top), (x1, -top), (x0, -top))
        return _turned(corners, x, y, angle)

    letters = [
        Letter(text, i, box(left + cells.edges[i], left + cells.edges[i + 1])) for i, c in enumerate(text) if c != " "
    ]
    return letters, box(left, -left)


# --- Colours that can be read --------------------------------------------------------------------------------


def luminance(rgb: Rgb) -> float:
    return 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]


def is_readable(rgb: Rgb, ground: Ground) -> bool:
    """Whether something thin in this colour is seen all over a background that is no photograph."""
    middle = tuple(sum(c) // len(ground.rgbs) for c in zip(*ground.rgbs))
    least = 60 if ground.kind == "speckled" else 36
    return all(is_far(rgb, g) and abs(luminance(rgb) - luminance(g)) >= least for g in (*ground.rgbs, middle))


def pick_ink(rng: random.Random, ground: Ground) -> tuple[str, Rgb] | None:
    """A colour for text; none where the background has too many of them."""
    for _ in range(20):
        name = rng.choices((rng.choice(COLOUR_NAMES), "black", "white"), (0.7, 0.2, 0.1))[0]
        rgb = pick_rgb(rng, name)
        if name not in ground.colours and is_readable(rgb, ground):
            return name, rgb
    return None
