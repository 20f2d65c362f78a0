"""Grounds, outlines and wear of pictures, and how a picture is prepared: exactly as the engine does it."""

from __future__ import annotations

import io
import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .materials import Materials, Photo
from .scene import CANVAS, PATCHES, Drawn, Ground, Thing

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
PADDING = tuple(int(m * 255) for m in MEAN)

Points = list[tuple[float, float]]


def _regular(corners: int, inner: float | None = None) -> Points:
    """A regular polygon with a corner upwards, or a star with the given inner radius."""
    count = corners * (2 if inner else 1)
    radii = (1.0, inner) if inner else (1.0,)
    return [
        (radii[i % len(radii)] * math.sin(2 * math.pi * i / count), -radii[i % len(radii)] * math.cos(2 * math.pi * i / count))
        for i in range(count)
    ]  # fmt: skip


def _box(aspect: float) -> Points:
    h = 1 / math.hypot(aspect, 1)
    w = aspect * h
    return [(-w, -h), (w, -h), (w, h), (-w, h)]


def _cross(arm: float) -> Points:
    reach = math.sqrt(1 - arm * arm)
    a, r = arm, reach
    return [
        (-a, -r),
        (a, -r),
        (a, -a),
        (r, -a),
        (r, a),
        (a, a),
        (a, r),
        (-a, r),
        (-a, a),
        (-r, a),
        (-r, -a),
        (-a, -a),
    ]


def _heart() -> Points:
    points = []
    for i in range(48):
        t = 2 * math.pi * i / 48
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 17.5, -(y + 2.5) / 17.5))
    return points


def outline(shape: str, detail: float) -> Points:
    """The shape's corners within the unit circle; y points down."""
    match shape:
        case "circle" | "ring":
            return _regular(64)
        case "square":
            return _box(1)
        case "rectangle":
            return _box(1.65 + detail * 0.95)
        case "triangle":
            spread = math.radians(110 + 28 * detail)
            return [(0, -1), (math.sin(spread), -math.cos(spread)), (-math.sin(spread), -math.cos(spread))]
        case "star":
            return _regular(5, 0.37 + 0.12 * detail)
        case "hexagon":
            return _regular(6)
        case "cross":
            return _cross(0.24 + 0.1 * detail)
        case "heart":
            return _heart()
        case "diamond":
            width = 0.5 + 0.22 * detail
            return [(0, -1), (width, 0), (0, 1), (-width, 0)]
    raise ValueError(f"no such shape: {shape}")


def shape_mask(thing: Thing, smooth: bool) -> tuple[Image.Image, int, int]:
    """Coverage of one thing, and where its top left corner lies."""
    left, top = math.floor(thing.x - thing.radius) - 1, math.floor(thing.y - thing.radius) - 1
    side = math.ceil(2 * thing.radius) + 3
    fine = 3 if smooth else 1
    mask = Image.new("L", (side * fine, side * fine), 0)
    pen = ImageDraw.Draw(mask)
    cos, sin = math.cos(math.radians(thing.angle)), math.sin(math.radians(thing.angle))
    holes = ((1.0, 255), (0.48 + 0.2 * thing.detail, 0)) if thing.name == "ring" else ((1.0, 255),)
    for scale, ink in holes:
        r = thing.radius * scale
        pen.polygon(
            [
                (
                    (thing.x + r * (u * cos - v * sin) - left) * fine,
                    (thing.y + r * (u * sin + v * cos) - top) * fine,
                )
                for u, v in outline(thing.name, thing.detail)
            ],
            fill=ink,
        )
    return (mask.reduce(fine) if smooth else mask), left, top


_NOISE = np.random.default_rng(7).normal(0, 1, (640, 640, 3)).astype(np.float32)


def noise(rng: random.Random, width: int, height: int) -> np.ndarray:
    x, y = rng.randint(0, 640 - width), rng.randint(0, 640 - height)
    return _NOISE[y : y + height, x : x + width]


def find_photo(materials: Materials, name: str) -> Photo:
    return next(p for p in (*materials.photos, *materials.held_out_photos) if p.name == name)


def pick_photo_ground(rng: random.Random, materials: Materials, held_out: bool, aspect: float) -> Ground:
    """A part of a photograph, for a picture of the given width over height."""
    photo = rng.choice(materials.held_out_photos if held_out else materials.photos)
    wide, high = photo.image.size
    most = min(1.0, high * aspect / wide)
    share = rng.uniform(0.35, 1) * most
    left, top = rng.uniform(0, 1 - share), rng.uniform(0, 1 - share * wide / aspect / high)
    return Ground("photo", (), (), 0, photo.name, (left, top, share))


def _crop(ground: Ground, width: int, height: int, materials: Materials) -> Image.Image:
    image = find_photo(materials, ground.photo).image
    left, top, share = ground.crop
    x, y, w = left * image.width, top * image.height, share * image.width
    box = (x, y, x + w, min(image.height, y + w * height / width))
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


def draw_ground(rng: random.Random, ground: Ground, width: int, height: int, materials: Materials) -> Image.Image:
    if ground.kind == "photo":
        return _crop(ground, width, height, materials)
    if ground.kind == "gradient":
        ramp = Image.linear_gradient("L").rotate(ground.angle) if ground.angle % 90 == 0 else None
        if ramp is None:  # corner to corner
            line = np.linspace(0, 1, 256)
            both = (line[:, None] + line[None, :]) / 2
            ramp = Image.fromarray((both if ground.angle == 45 else both[:, ::-1]).__mul__(255).astype(np.uint8))
        ramp = ramp.resize((width, height), Image.Resampling.BILINEAR)
        base = Image.new("RGB", (width, height), ground.rgbs[0])
        return Image.composite(Image.new("RGB", (width, height), ground.rgbs[1]), base, ramp)
    base = Image.new("RGB", (width, height), ground.rgbs[0])
    if ground.kind == "plain":
        return base
    grain = rng.choice((1, 2, 3))
    grains = noise(rng, -(-width // grain), -(-height // grain)).repeat(grain, 0).repeat(grain, 1)[:height, :width]
    flecks = np.asarray(base, np.float32) + grains * rng.uniform(18, 34)
    return Image.fromarray(flecks.clip(0, 255).astype(np.uint8))


def wear(rng: random.Random, image: Image.Image) -> Image.Image:
    """What happens to pictures on their way: slight noise, blur, JPEG."""
    if rng.random() < 0.12:
        grains = noise(rng, *image.size) * rng.uniform(2, 8)
        image = Image.fromarray((np.asarray(image, np.float32) + grains).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.08:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.8) * max(image.size) / CANVAS))
    if rng.random() < 0.25:
        memory = io.BytesIO()
        image.save(memory, "JPEG", quality=rng.randint(35, 92))
        image = Image.open(memory).convert("RGB")
    return image


def pad_to_square(image: Image.Image, fill: tuple[int, ...] | int = PADDING) -> Image.Image:
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new(image.mode, (side, side), fill)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def prepare(image: Image.Image) -> np.ndarray:
    """uint8 [S, S, 3]: padded and resized as at inference, not yet normalised."""
    return np.asarray(pad_to_square(image.convert("RGB")).resize((CANVAS, CANVAS), Image.Resampling.BICUBIC))


CELLS = 4  # a side of each patch: how finely owners and letters are told


def _cells(values: Image.Image) -> np.ndarray:
    """[P, CELLS rows, CELLS columns] of a map of the source picture."""
    side = PATCHES * CELLS
    grid = np.asarray(pad_to_square(values, 0).resize((side, side), Image.Resampling.NEAREST))
    return grid.reshape(PATCHES, CELLS, PATCHES, CELLS).swapaxes(1, 2).reshape(PATCHES**2, CELLS, CELLS)


def owners(drawn: Drawn, count: int) -> np.ndarray:
    """int8 [P]: which thing covers each patch most (-1: none), for the vision tower's first stage."""
    cells = _cells(drawn.owner).reshape(PATCHES**2, -1)
    counts = np.stack([(cells == i + 1).sum(1) for i in range(max(1, count))], 1)
    return np.where(counts.max(1) >= 0.15 * cells.shape[1], counts.argmax(1), -1).astype(np.int8)


def letters(drawn: Drawn) -> np.ndarray:
    """int16 [P, CELLS]: which of the letters stands in each column of each patch (-1: none)."""
    side = max(drawn.image.size)
    scale = PATCHES * CELLS * 2 / side
    ids = Image.new("I", (PATCHES * CELLS * 2,) * 2, 0)
    pen = ImageDraw.Draw(ids)
    left, top = (side - drawn.image.width) // 2, (side - drawn.image.height) // 2
    for number, letter in enumerate(drawn.letters):
        pen.polygon([((x + left) * scale, (y + top) * scale) for x, y in letter.outline], fill=number + 1)
    fine = np.asarray(ids)[1::2, ::2].reshape(PATCHES, CELLS, PATCHES, CELLS)
    columns = fine.transpose(0, 2, 3, 1).reshape(PATCHES**2, CELLS, CELLS)  # the last axis goes down
    best = columns.max(2)
    enough = (columns == best[:, :, None]).sum(2) >= 2
    return np.where(enough & (best > 0), best - 1, -1).astype(np.int16)
