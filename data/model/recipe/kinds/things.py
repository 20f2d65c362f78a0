"""Shapes, emoji, flags and drawings, one or several, on a background."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import numpy as np
from PIL import Image

from ..draw import draw_ground, find_photo, pick_photo_ground, shape_mask, wear
from ..materials import Materials, Sprite, noun_of
from ..scene import (
    CANVAS,
    COLOUR_NAMES,
    PLACES,
    SHAPES,
    Drawn,
    Ground,
    Rgb,
    Scene,
    Thing,
    is_far,
    pick_ground,
    pick_rgb,
    place_of,
)
from ..things_asked import CAPTION_SKILLS, SKILLS
from ..wording import article

__all__ = [
    "CAPTION_SKILLS",
    "SKILLS",
    "draw",
    "pick",
    "pick_angle",
    "pick_one",
    "pick_shapes",
    "pick_sprite",
    "sprite_at",
]


class _Index:
    """A collection's sprites by kind and by name."""

    def __init__(self, materials: Materials) -> None:
        self.by_kind: dict[str, list[Sprite]] = defaultdict(list)
        for sprite in materials.sprites:
            self.by_kind[sprite.kind].append(sprite)
        self.by_name = {(s.kind, s.name): s for s in materials.sprites}


_indices: dict[int, _Index] = {}


def _index(materials: Materials) -> _Index:
    if id(materials) not in _indices:
        _indices[id(materials)] = _Index(materials)
    return _indices[id(materials)]


# What is to be drawn: a shape's name, a colour or None for any; or a sprite.
Wanted = tuple[str, str | None] | Sprite


_NO_PLURAL = {"fish", "sheep", "deer", "bread", "butter", "yarn", "bacon", "rice", "mouse", "money", "rain", "fog", "ice", "custard", "lemonade",
              "fire", "wood", "tennis", "golf", "bison", "squid", "shrimp", "tooth", "foot", "bed", "mate", "garlic", "broccoli", "coral"}  # fmt: skip


def can_repeat(sprite: Sprite) -> bool:
    """Whether "three bananas" can be said of it."""
    return (
        sprite.name not in _NO_PLURAL
        and sprite.article.startswith("a")
        and sprite.kind != "flag"
        and sprite.name.isalpha()
        and sprite.name[-1] != "s"
        and sprite.name.islower()
    )


def _pick_shapes(rng: random.Random) -> list[Wanted]:
    style = rng.choices(("none", "one", "few", "same", "many"), (0.02, 0.33, 0.30, 0.15, 0.20))[0]
    if style == "none":
        return []
    if style == "one":
        return [(rng.choice(SHAPES), None)]
    if style == "same":
        return [(rng.choice(SHAPES), rng.choice(COLOUR_NAMES))] * rng.randint(2, 6)
    count = rng.choice((2, 2, 3)) if style == "few" else rng.randint(4, 6)
    pool = rng.sample(SHAPES, rng.randint(1, min(count, 4)))
    return [(rng.choice(pool), None) for _ in range(count)]


def pick_sprite(rng: random.Random, materials: Materials) -> Sprite:
    by_kind = _index(materials).by_kind
    return rng.choice(
        by_kind[rng.choices(("emoji", "flag", "drawing"), (0.56, 0.14, 0.30 if by_kind["drawing"] else 0))[0]]
    )


def _pick_sprites(rng: random.Random, materials: Materials) -> list[Wanted]:
    first = pick_sprite(rng, materials)
    style = rng.choices(("one", "few", "same", "mixed"), (0.68, 0.16, 0.06, 0.10))[0]
    if style == "same" and can_repeat(first):
        return [first] * rng.randint(2, 6)
    if style == "few":
        return [first, *(pick_sprite(rng, materials) for _ in range(rng.choice((1, 1, 2, 3))))]
    if style == "mixed":
        shapes: list[Wanted] = [(rng.choice(SHAPES), None) for _ in range(rng.choice((1, 1, 2)))]
        return [first, *shapes]
    return [first]


def _local_colours(ground: Ground, materials: Materials, x: float, y: float) -> tuple[Rgb, ...]:
    """The background's colours around a point, given as shares of width and height."""
    if ground.kind != "photo":
        middle = tuple(sum(c) // len(ground.rgbs) for c in zip(*ground.rgbs))
        return (*ground.rgbs, middle)  # type: ignore[return-value, unused-ignore]
    tiny = _tiny(find_photo(materials, ground.photo).image)
    left, top, share = ground.crop
    column, row = left + x * share, top + y * share
    near = tiny[int(min(0.99, row) * 12), int(min(0.99, column) * 12)]
    return (tuple(int(v) for v in near),)  # type: ignore[return-value]


_tinies: dict[int, np.ndarray] = {}


def _tiny(image: Image.Image) -> np.ndarray:
    """A photograph's colours on a grid of 12 x 12."""
    if id(image) not in _tinies:
        _tinies[id(image)] = np.asarray(image.resize((12, 12), Image.Resampling.BOX))
    return _tinies[id(image)]


def _pick_colour(rng: random.Random, avoid: tuple[str, ...], near: tuple[Rgb, ...], name: str | None) -> tuple[str, Rgb] | None:  # fmt: skip
    for _ in range(20):
        chosen = name or rng.choice(COLOUR_NAMES)
        rgb = pick_rgb(rng, chosen)
        if chosen not in avoid and all(is_far(rgb, n) for n in near):
            return chosen, rgb
    return None


def _radius_range(wanted: Wanted, count: int, width: int, height: int) -> tuple[float, float]:
    seen = max(width, height) / CANVAS  # source pixels to one pixel that the model sees
    short = min(width, height)
    if isinstance(wanted, Sprite):
        low = seen * (26 if count == 1 else 22)
        high = short * (0.56 if count == 1 else 0.34 if count == 2 else 0.28 if count == 3 else 0.22)
        return min(low, high), high
    low = seen * (15 if wanted[0] in ("hexagon", "circle", "heart") else 13)
    high = short * (0.46 if count == 1 else 0.3 if count == 2 else 0.24 if count == 3 else 0.18)
    return min(low, high), high


def _size(radius: float, count: int, width: int, height: int) -> str | None:
    """ "small", "" or "large"; None where a lone thing is neither clearly."""
    share = 2 * radius / min(width, height)
    if count == 1 and (0.28 < share < 0.32 or 0.55 < share < 0.61):
        return None
    return "small" if share < 0.3 else "large" if share > 0.58 else ""


def pick_angle(rng: random.Random, wanted: Wanted) -> float:
    if isinstance(wanted, Sprite):
        return rng.choice((0.0, rng.uniform(-18, 18)))
    spread = {"square": 30, "diamond": 10, "heart": 25}.get(wanted[0], 180)
    return rng.choice((0.0, rng.uniform(-spread, spread)))


def sprite_at(
    rng: random.Random, sprite: Sprite, x: float, y: float, radius: float, place: str, size: str = ""
) -> Thing:
    variant, angle = rng.randrange(len(sprite.images)), pick_angle(rng, sprite)
    colours = sprite.image_colours[variant]
    return Thing(sprite.kind, sprite.name, noun_of(sprite), sprite.article, colours[0], x, y, radius, place, size, angle=angle,
                 variant=variant, group=sprite.group, colours=colours)  # fmt: skip


def _place_thing(rng: random.Random, wanted: Wanted, ground: Ground, materials: Materials, count: int, width: int, height: int,
                 others: list[Thing]) -> Thing | None:  # fmt: skip
    for _ in range(40):
        radius = rng.uniform(*_radius_range(wanted, count, width, height))
        inset = radius * (0.8 if isinstance(wanted, Sprite) else 0.95)  # of a sprite's circle only corners stand out
        if 2 * inset > min(width, height):
            continue
        x, y = rng.uniform(inset, width - inset), rng.uniform(inset, height - inset)
        place, size = place_of(x / width, y / height), _size(radius, count, width, height)
        if not place or size is None:
            continue
        if any(math.hypot(x - o.x, y - o.y) < (radius + o.radius) * 1.03 for o in others):
            continue
        if isinstance(wanted, Sprite):
            return sprite_at(rng, wanted, x, y, radius, place, size)
        angle = pick_angle(rng, wanted)
        near = _local_colours(ground, materials, x / width, y / height)
        chosen = _pick_colour(rng, ground.colours, near, wanted[1])
        if chosen is None:
            return None
        shape, (colour, rgb) = wanted[0], chosen
        return Thing("shape", shape, shape, article(f"{colour} {shape}"), colour, x, y, radius, place, size, rgb, angle, rng.random(),
                     group="shape")  # fmt: skip
    return None


def _pick(
    rng: random.Random, materials: Materials, held_out: bool, shapes_only: bool, given: Sprite | None = None
) -> Scene:
    while True:
        side = rng.randint(140, 400)
        aspect = rng.choice((1, 1, 1, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16, rng.uniform(0.55, 1.8)))
        width, height = (side, round(side / aspect)) if aspect >= 1 else (round(side * aspect), side)
        wanted = [given] if given else _pick_shapes(rng) if shapes_only else _pick_sprites(rng, materials)
        is_photo = bool(wanted) and rng.random() < (0.04 if shapes_only else 0.15)
        ground = pick_photo_ground(rng, materials, held_out, width / height) if is_photo else pick_ground(rng)
        if not shapes_only and ground.kind == "plain" and rng.random() < 0.3:
            ground = Ground("plain", ("white",), ((255, 255, 255),), 0)
        things: list[Thing] = []
        colour = None  # that repeated shapes share
        for want in wanted:
            thing = _place_thing(rng, want, ground, materials, len(wanted), width, height, things)
            if thing is None:
                break
            if not isinstance(want, Sprite) and want[1]:
                colour = colour or thing.rgb
                thing = Thing(**{**thing.__dict__, "rgb": colour})
            things.append(thing)
        if len(things) == len(wanted):
            things.sort(key=lambda t: (PLACES.index(t.place), t.x))  # as one reads
            return Scene("things", width, height, ground, tuple(things))


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    return _pick(rng, materials, held_out, rng.random() < 0.45)


def pick_shapes(rng: random.Random, materials: Materials, held_out: bool, least: int = 0) -> Scene:
    """A scene of shapes, at least so many."""
    while True:
        scene = _pick(rng, materials, held_out, True)
        if len(scene.things) >= least:
            return scene


def pick_named(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    """With emoji, flags or drawings: things that have names of their own."""
    return _pick(rng, materials, held_out, False)


def pick_one(rng: random.Random, materials: Materials, held_out: bool, sprite: Sprite) -> Scene:
    """A scene with this sprite alone."""
    return _pick(rng, materials, held_out, False, sprite)


def _sprite(thing: Thing, materials: Materials) -> tuple[Image.Image, int, int]:
    """The thing's picture as it is to be pasted, and where its top left corner lies."""
    image = _index(materials).by_name[thing.kind, thing.name].images[thing.variant]
    scale = 2 * thing.radius / math.hypot(*image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    scaled = image.resize(size, Image.Resampling.BICUBIC if scale >= 1 else Image.Resampling.BOX if scale < 0.3 else Image.Resampling.BICUBIC)  # fmt: skip
    if thing.angle:
        scaled = scaled.rotate(-thing.angle, Image.Resampling.BICUBIC, expand=True)
    return scaled, round(thing.x - scaled.width / 2), round(thing.y - scaled.height / 2)


def draw(rng: random.Random, scene: Scene, materials: Materials, worn: bool = True) -> Drawn:
    image = draw_ground(rng, scene.ground, scene.width, scene.height, materials)
    owner = Image.new("L", image.size, 0)
    smooth = rng.random() < 0.75
    for index, thing in enumerate(scene.things):
        if thing.kind == "shape":
            mask, left, top = shape_mask(thing, smooth)
            image.paste(thing.rgb, (left, top), mask)
        else:
            sprite, left, top = _sprite(thing, materials)
            mask = sprite.getchannel("A")
            image.paste(sprite.convert("RGB"), (left, top), mask)
        owner.paste(index + 1, (left, top), mask.point(lambda a: 255 * (a > 127)))
    return Drawn(wear(rng, image) if worn else image, owner)
