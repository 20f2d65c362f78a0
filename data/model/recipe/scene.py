"""What a picture shows, as plain data: things with their names, colours and places, and the background."""

from __future__ import annotations

import colorsys
import random
from dataclasses import asdict, dataclass, field
from typing import Any

from PIL import Image

MOST_THINGS = 6
CANVAS = 160  # the model's square picture, in pixels; sizes below are chosen to be seen at it
PATCHES = 10  # a side

SHAPES = (
    "circle", "square", "rectangle", "triangle", "star",
    "hexagon", "ring", "cross", "heart", "diamond",
)  # fmt: skip

# Hue in degrees, saturation and value: the ranges keep apart what people would call by two names.
COLOURS: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-7, 7), (0.78, 1.0), (0.72, 1.0)),
    "orange": ((22, 39), (0.85, 1.0), (0.9, 1.0)),
    "yellow": ((50, 60), (0.72, 1.0), (0.9, 1.0)),
    "green": ((95, 145), (0.5, 1.0), (0.42, 1.0)),
    "blue": ((210, 241), (0.65, 1.0), (0.5, 1.0)),
    "purple": ((266, 301), (0.5, 1.0), (0.4, 0.75)),
    "pink": ((322, 350), (0.25, 0.6), (0.94, 1.0)),
    "brown": ((14, 31), (0.58, 0.9), (0.34, 0.57)),
    "black": ((0, 360), (0.0, 0.3), (0.0, 0.12)),
    "white": ((0, 360), (0.0, 0.03), (0.96, 1.0)),
    "grey": ((0, 360), (0.0, 0.05), (0.44, 0.7)),
}
PALE: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "light blue": ((195, 220), (0.18, 0.4), (0.88, 1.0)),
    "light green": ((95, 140), (0.2, 0.42), (0.86, 1.0)),
    "light yellow": ((45, 60), (0.12, 0.35), (0.96, 1.0)),
}
COLOUR_NAMES = tuple(COLOURS)
GROUND_NAMES = COLOUR_NAMES + tuple(PALE)
PLACES = (
    "top left", "top", "top right",
    "left", "centre", "right",
    "bottom left", "bottom", "bottom right",
)  # fmt: skip

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Thing:
    """One thing in a picture. Lengths are in pixels of the source picture."""

    kind: str  # "shape", "emoji", "flag", "drawing", "word", "number", "bar", "slice", "button"
    name: str  # "circle", "grinning face", "France", "banana", or the text that is written on it
    noun: str  # as a sentence names it after "the": "circle", "grinning face", "flag of France"
    phrase: str  # as a sentence brings it up: "a red circle", "a grinning face", "the flag of France", "scissors"
    colour: str  # the main one; "" where none is
    x: float  # of the middle
    y: float
    radius: float  # of the circle around it
    place: str = ""  # one of PLACES
    size: str = ""  # "small", "" or "large", of the picture
    rgb: Rgb = (0, 0, 0)  # what is drawn in one colour
    angle: float = 0.0
    detail: float = 0.0  # 0..1, what a shape lets vary: a ring's width, a rectangle's length
    variant: int = 0  # which of a sprite's images
    group: str = ""  # "animal", "food", ...
    colours: tuple[str, ...] = ()  # of a sprite: all main ones


@dataclass(frozen=True)
class Ground:
    kind: str  # "plain", "gradient", "speckled" or "photo"
    colours: tuple[str, ...]
    rgbs: tuple[Rgb, ...]
    angle: float
    photo: str = ""  # its name among the materials
    crop: tuple[float, float, float] = (0, 0, 1)  # of the photograph: left, top, and width as shares of its width


@dataclass(frozen=True)
class Scene:
    kind: str  # whose module in `kinds` draws it and asks about it
    width: int
    height: int
    ground: Ground
    things: tuple[Thing, ...]  # at most MOST_THINGS, in the order in which they are told
    extra: dict[str, Any] = field(default_factory=dict)  # what else that kind's module needs, as JSON

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Scene:
        ground = dict(data["ground"])
        for key in ("colours", "crop"):
            ground[key] = tuple(ground[key])
        ground["rgbs"] = tuple(tuple(c) for c in ground["rgbs"])
        things = tuple(Thing(**{**t, "rgb": tuple(t["rgb"]), "colours": tuple(t["colours"])}) for t in data["things"])
        return Scene(data["kind"], data["width"], data["height"], Ground(**ground), things, data["extra"])


@dataclass(frozen=True)
class Letter:
    """One printed character: what the tower is asked to read."""

    text: str
    index: int  # which of the text's characters
    outline: tuple[tuple[float, float], ...]  # its cell's four corners, in pixels of the source picture


@dataclass
class Drawn:
    image: Image.Image  # RGB
    owner: Image.Image  # L: 1 + the number of the thing that covers a pixel, 0 for none
    letters: list[Letter] = field(default_factory=list)


def place_of(x: float, y: float) -> str:
    """Where a point lies, given as shares of width and height; "" where people would disagree."""
    column, row = _third(x), _third(y)
    return "" if column is None or row is None else PLACES[row * 3 + column]


def pick_rgb(rng: random.Random, name: str, is_ground: bool = False) -> Rgb:
    hue, saturation, value = COLOURS.get(name) or PALE[name]
    if name == "grey" and is_ground:
        value = (0.62, 0.75)  # not the grey of the padding around pictures that are not square
    h = rng.uniform(*hue) % 360 / 360
    r, g, b = colorsys.hsv_to_rgb(h, rng.uniform(*saturation), rng.uniform(*value))
    return round(r * 255), round(g * 255), round(b * 255)


def is_far(a: Rgb, b: Rgb) -> bool:
    return sum((p - q) ** 2 for p, q in zip(a, b)) > 95**2


def pick_ground(rng: random.Random) -> Ground:
    # A fading background starts at the top or the left, as people would tell it.
    kind = rng.choices(("plain", "gradient", "speckled"), (0.6, 0.25, 0.15))[0]
    first = rng.choices(("white", rng.choice(GROUND_NAMES)), (0.25, 0.75))[0]
    names = [first]
    rgbs = [pick_rgb(rng, first, True)]
    while kind == "gradient" and len(names) < 2:
        name = rng.choice(GROUND_NAMES)
        rgb = pick_rgb(rng, name, True)
        if name != first and is_far(rgb, rgbs[0]):
            names.append(name)
            rgbs.append(rgb)
    return Ground(kind, tuple(names), tuple(rgbs), rng.choice((0, 90, 0, 90, 45, 135)))


def _third(f: float) -> int | None:
    """Which third of the picture; none where people would disagree."""
    if min(abs(f - 1 / 3), abs(f - 2 / 3)) < 0.03:
        return None
    return int(f * 3)
