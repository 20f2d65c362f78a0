"""Draws scenes with Pillow, and prepares them exactly as the engine prepares pictures."""

from __future__ import annotations

import argparse
import io
import json
import math
import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .scene import CANVAS, Ground, Scene, Thing, pick_scene

PATCHES = 8  # a side
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


def _mask(thing: Thing, smooth: bool) -> tuple[Image.Image, int, int]:
    """Coverage of one thing, and where its top left corner lies."""
    left, top = math.floor(thing.x - thing.radius) - 1, math.floor(thing.y - thing.radius) - 1
    side = math.ceil(2 * thing.radius) + 3
    fine = 3 if smooth else 1
    mask = Image.new("L", (side * fine, side * fine), 0)
    pen = ImageDraw.Draw(mask)
    cos, sin = math.cos(math.radians(thing.angle)), math.sin(math.radians(thing.angle))
    holes = ((1.0, 255), (0.48 + 0.2 * thing.detail, 0)) if thing.shape == "ring" else ((1.0, 255),)
    for scale, ink in holes:
        r = thing.radius * scale
        pen.polygon(
            [
                (
                    (thing.x + r * (u * cos - v * sin) - left) * fine,
                    (thing.y + r * (u * sin + v * cos) - top) * fine,
                )
                for u, v in outline(thing.shape, thing.detail)
            ],
            fill=ink,
        )
    return (mask.reduce(fine) if smooth else mask), left, top


_NOISE = np.random.default_rng(7).normal(0, 1, (640, 640, 3)).astype(np.float32)


def _noise(rng: random.Random, width: int, height: int) -> np.ndarray:
    x, y = rng.randint(0, 640 - width), rng.randint(0, 640 - height)
    return _NOISE[y : y + height, x : x + width]


def _draw_ground(rng: random.Random, ground: Ground, width: int, height: int) -> Image.Image:
    if ground.kind == "gradient":
        ramp = Image.linear_gradient("L").rotate(ground.angle) if ground.angle % 90 == 0 else None
        if ramp is None:  # corner to corner
            line = np.linspace(0, 1, 256)
            both = (line[:, None] + line[None, :]) / 2
            ramp = Image.fromarray(
                (both if ground.angle == 45 else both[:, ::-1]).__mul__(255).astype(np.uint8)
            )
        ramp = ramp.resize((width, height), Image.Resampling.BILINEAR)
        base = Image.new("RGB", (width, height), ground.rgbs[0])
        return Image.composite(Image.new("RGB", (width, height), ground.rgbs[1]), base, ramp)
    base = Image.new("RGB", (width, height), ground.rgbs[0])
    if ground.kind == "plain":
        return base
    grain = rng.choice((1, 2, 3))
    noise = (
        _noise(rng, -(-width // grain), -(-height // grain))
        .repeat(grain, 0)
        .repeat(grain, 1)[:height, :width]
    )
    flecks = np.asarray(base, np.float32) + noise * rng.uniform(18, 34)
    return Image.fromarray(flecks.clip(0, 255).astype(np.uint8))


def _wear(rng: random.Random, image: Image.Image) -> Image.Image:
    """What happens to pictures on their way: slight noise, blur, JPEG."""
    if rng.random() < 0.12:
        noise = _noise(rng, *image.size) * rng.uniform(2, 8)
        image = Image.fromarray((np.asarray(image, np.float32) + noise).clip(0, 255).astype(np.uint8))
    if rng.random() < 0.08:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.4)))
    if rng.random() < 0.25:
        memory = io.BytesIO()
        image.save(memory, "JPEG", quality=rng.randint(35, 92))
        image = Image.open(memory).convert("RGB")
    return image


def draw(rng: random.Random, scene: Scene, worn: bool = True) -> Image.Image:
    """The picture of a scene; worn, it may have seen noise, blur and JPEG."""
    image = _draw_ground(rng, scene.ground, scene.width, scene.height)
    smooth = rng.random() < 0.75
    for thing in scene.things:
        mask, left, top = _mask(thing, smooth)
        image.paste(thing.rgb, (left, top), mask)
    return _wear(rng, image) if worn else image


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


def owners(scene: Scene) -> np.ndarray:
    """int8 [64]: which thing covers each patch most (-1: none), for the vision tower's warm start."""
    side = 64
    cells = Image.new("L", (scene.width, scene.height), 0)
    for index, thing in enumerate(scene.things):
        mask, left, top = _mask(thing, False)
        cells.paste(index + 1, (left, top), mask)
    grid = np.asarray(pad_to_square(cells, 0).resize((side, side), Image.Resampling.NEAREST))
    grid = (
        grid.reshape(PATCHES, side // PATCHES, PATCHES, side // PATCHES)
        .swapaxes(1, 2)
        .reshape(PATCHES**2, -1)
    )
    counts = np.stack([(grid == i + 1).sum(1) for i in range(max(1, len(scene.things)))], 1)
    best = counts.argmax(1)
    return np.where(counts.max(1) >= 0.15 * grid.shape[1], best, -1).astype(np.int8)


def write_shard(folder: Path, seed: int, count: int) -> None:
    """One shard of training pictures: prepared pixels, patch owners, scenes."""
    rng = random.Random(f"shard {seed}")
    pixels = np.empty((count, CANVAS, CANVAS, 3), np.uint8)
    owner = np.empty((count, PATCHES**2), np.int8)
    scenes = []
    for i in range(count):
        scene = pick_scene(rng)
        pixels[i] = prepare(draw(rng, scene))
        owner[i] = owners(scene)
        scenes.append(scene.to_json())
    np.save(folder / f"{seed:04d}.owner.npy", owner)
    (folder / f"{seed:04d}.json").write_text(json.dumps(scenes))
    np.save(folder / "partial.npy", pixels)
    (folder / "partial.npy").rename(folder / f"{seed:04d}.npy")  # last: a shard that is seen is whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--size", type=int, default=2000, help="pictures in a shard")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for seed in range(options.shards):
        if not (options.out / f"{seed:04d}.npy").exists():
            write_shard(options.out, seed, options.size)
            print(f"shard {seed + 1} of {options.shards}", flush=True)


if __name__ == "__main__":
    main()
