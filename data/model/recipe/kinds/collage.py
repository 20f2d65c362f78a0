"""Pictures packed with many things, from which the vision tower learns names fast. Nothing is asked about them."""

from __future__ import annotations

import math
import random

from ..draw import pick_photo_ground
from ..materials import Materials
from ..scene import CANVAS, COLOUR_NAMES, SHAPES, Drawn, Ground, Scene, Thing, is_far, pick_ground, pick_rgb, place_of
from ..wording import article
from . import things

MOST_THINGS = 14
_SHAPE_SHARE = 0.1
_TRIES = 160  # places that are looked at, each for another thing


def _pick_thing(rng: random.Random, materials: Materials, ground: Ground, x: float, y: float, radius: float) -> Thing | None:  # fmt: skip
    place = place_of(x / CANVAS, y / CANVAS)
    if rng.random() >= _SHAPE_SHARE:
        return things.sprite_at(rng, things.pick_sprite(rng, materials), x, y, radius, place)
    colour, shape = rng.choice(COLOUR_NAMES), rng.choice(SHAPES)
    rgb = pick_rgb(rng, colour)
    if colour in ground.colours or not all(is_far(rgb, other) for other in ground.rgbs):
        return None
    phrase = article(f"{colour} {shape}")
    angle = things.pick_angle(rng, (shape, None))
    return Thing("shape", shape, shape, phrase, colour, x, y, radius * 0.8, place, "", rgb, angle, rng.random())


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    ground = pick_photo_ground(rng, materials, held_out, 1) if rng.random() < 0.15 else pick_ground(rng)
    packed: list[Thing] = []
    smallest, largest = rng.choice(((24, 32), (24, 40), (28, 56)))
    for attempt in range(_TRIES):
        radius = rng.uniform(smallest, max(smallest + 4, largest * (1 - attempt / _TRIES)))  # large ones first
        x, y = (rng.uniform(radius * 0.8, CANVAS - radius * 0.8) for _ in "xy")
        if any(math.hypot(x - o.x, y - o.y) < 0.76 * (radius + o.radius) for o in packed):
            continue
        if len(packed) < MOST_THINGS and (thing := _pick_thing(rng, materials, ground, x, y, radius)):
            packed.append(thing)
    return Scene("collage", CANVAS, CANVAS, ground, tuple(packed))


def draw(rng: random.Random, scene: Scene, materials: Materials) -> Drawn:
    return things.draw(rng, scene, materials)
