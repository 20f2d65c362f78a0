"""What a picture shows: shapes, colours, places and background, as plain data."""

from __future__ import annotations

import colorsys
import math
import random
from dataclasses import asdict, dataclass
from typing import Any

MOST_THINGS = 6
CANVAS = 128  # the model's square picture, in pixels; sizes below are chosen to be seen at it

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
    """One drawn shape. Lengths are in pixels of the source picture."""

    shape: str
    colour: str
    rgb: Rgb
    x: float
    y: float
    radius: float  # of the circle around it
    angle: float
    detail: float  # 0..1, what the shape lets vary: a ring's width, a rectangle's length
    place: str
    size: str  # "small", "" or "large"


@dataclass(frozen=True)
class Ground:
    kind: str  # "plain", "gradient" or "speckled"
    colours: tuple[str, ...]
    rgbs: tuple[Rgb, ...]
    angle: float


@dataclass(frozen=True)
class Scene:
    width: int
    height: int
    ground: Ground
    things: tuple[Thing, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Scene:
        ground = data["ground"]
        return Scene(
            data["width"],
            data["height"],
            Ground(
                ground["kind"],
                tuple(ground["colours"]),
                tuple(tuple(c) for c in ground["rgbs"]),
                ground["angle"],
            ),
            tuple(Thing(**{**t, "rgb": tuple(t["rgb"])}) for t in data["things"]),
        )


def pick_rgb(rng: random.Random, name: str, is_ground: bool = False) -> Rgb:
    hue, saturation, value = COLOURS.get(name) or PALE[name]
    if name == "grey" and is_ground:
        value = (0.62, 0.75)  # not the grey of the padding around pictures that are not square
    h = rng.uniform(*hue) % 360 / 360
    r, g, b = colorsys.hsv_to_rgb(h, rng.uniform(*saturation), rng.uniform(*value))
    return round(r * 255), round(g * 255), round(b * 255)


def _far(a: Rgb, b: Rgb) -> bool:
    return sum((p - q) ** 2 for p, q in zip(a, b)) > 95**2


def _pick_ground(rng: random.Random) -> Ground:
    kind = rng.choices(("plain", "gradient", "speckled"), (0.6, 0.25, 0.15))[0]
    first = rng.choices(("white", rng.choice(GROUND_NAMES)), (0.25, 0.75))[0]
    names = [first]
    rgbs = [pick_rgb(rng, first, True)]
    while kind == "gradient" and len(names) < 2:
        name = rng.choice(GROUND_NAMES)
        rgb = pick_rgb(rng, name, True)
        if name != first and _far(rgb, rgbs[0]):
            names.append(name)
            rgbs.append(rgb)
    return Ground(kind, tuple(names), tuple(rgbs), rng.choice((0, 90, 180, 270, 45, 135)))


def _third(f: float) -> int | None:
    """Which third of the picture; none where people would disagree."""
    if min(abs(f - 1 / 3), abs(f - 2 / 3)) < 0.03:
        return None
    return int(f * 3)


def _pick_colour(rng: random.Random, ground: Ground, name: str | None) -> tuple[str, Rgb] | None:
    for _ in range(20):
        chosen = name or rng.choice(COLOUR_NAMES)
        rgb = pick_rgb(rng, chosen)
        if chosen not in ground.colours and all(_far(rgb, g) for g in ground.rgbs):
            # Half-way colours of a gradient count too.
            middle = tuple(sum(c) // len(ground.rgbs) for c in zip(*ground.rgbs))
            if _far(rgb, middle):
                return chosen, rgb
    return None


def _radius_range(shape: str, count: int, width: int, height: int) -> tuple[float, float]:
    seen = max(width, height) / CANVAS  # source pixels to one pixel that the model sees
    short = min(width, height)
    low = seen * (13 if shape in ("hexagon", "circle", "heart") else 11)
    high = short * (0.46 if count == 1 else 0.3 if count == 2 else 0.24 if count == 3 else 0.18)
    return min(low, high), high


def _place_thing(rng: random.Random, shape: str, colour: str, rgb: Rgb, count: int, width: int,
                 height: int, others: list[Thing]) -> Thing | None:  # fmt: skip
    for _ in range(40):
        low, high = _radius_range(shape, count, width, height)
        radius = rng.uniform(low, high)
        x = rng.uniform(radius * 0.95, width - radius * 0.95)
        y = rng.uniform(radius * 0.95, height - radius * 0.95)
        column, row = _third(x / width), _third(y / height)
        if column is None or row is None:
            continue
        if any(math.hypot(x - o.x, y - o.y) < (radius + o.radius) * 1.03 for o in others):
            continue
        spread = {"square": 30, "diamond": 10, "heart": 25}.get(shape, 180)
        share = 2 * radius / min(width, height)
        size = "small" if share < 0.3 else "large" if share > 0.58 else ""
        if count == 1 and (0.28 < share < 0.32 or 0.55 < share < 0.61):
            continue
        angle = rng.choice((0.0, rng.uniform(-spread, spread)))
        return Thing(shape, colour, rgb, x, y, radius, angle, rng.random(), PLACES[row * 3 + column], size)
    return None


def _pick_kinds(rng: random.Random) -> list[tuple[str, str | None]]:
    """Shape and colour (None: any) of each thing to draw."""
    style = rng.choices(("none", "one", "few", "same", "many"), (0.02, 0.40, 0.28, 0.13, 0.17))[0]
    if style == "none":
        return []
    if style == "one":
        return [(rng.choice(SHAPES), None)]
    if style == "same":
        kind = (rng.choice(SHAPES), rng.choice(COLOUR_NAMES))
        return [kind] * rng.randint(2, 6)
    count = rng.choice((2, 2, 3)) if style == "few" else rng.randint(4, 6)
    pool = rng.sample(SHAPES, rng.randint(1, min(count, 4)))
    return [(rng.choice(pool), None) for _ in range(count)]


def pick_scene(rng: random.Random) -> Scene:
    """A random scene. The same generator state gives the same scene."""
    while True:
        side = rng.randint(140, 400)
        aspect = rng.choice((1, 1, 1, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16, rng.uniform(0.55, 1.8)))
        width, height = (side, round(side / aspect)) if aspect >= 1 else (round(side * aspect), side)
        ground = _pick_ground(rng)
        kinds = _pick_kinds(rng)
        things: list[Thing] = []
        for shape, wanted in kinds:
            colour = _pick_colour(rng, ground, wanted)
            if colour is None:
                break
            thing = _place_thing(rng, shape, *colour, len(kinds), width, height, things)
            if thing is None:
                break
            things.append(thing)
        if len(things) == len(kinds):
            things.sort(key=lambda t: t.x / width + 0.02 * t.y / height)
            return Scene(width, height, ground, tuple(things))
