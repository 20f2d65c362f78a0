"""The pool of prerendered pictures, and what the vision tower's warm start is asked about them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .draw import PATCHES
from .scene import COLOUR_NAMES, GROUND_NAMES, PLACES, SHAPES, Scene


def _in_patches(scene: Scene, x: float, y: float) -> tuple[float, float]:
    """A point of the source picture, in patches of the padded and resized one."""
    side = max(scene.width, scene.height)
    return (x + (side - scene.width) // 2) / side * PATCHES, (y + (side - scene.height) // 2) / side * PATCHES


@dataclass
class Shard:
    name: str
    pixels: np.ndarray  # uint8 [N, S, S, 3]
    scenes: list[Scene]
    shape: np.ndarray  # int8 [N, P], the last class is "nothing here"
    colour: np.ndarray  # int8 [N, P]
    centre: np.ndarray  # bool [N, P]
    lies: np.ndarray  # float32 [N, P, 3]: from the patch to its thing's centre, and the radius, in patches
    owner: np.ndarray  # int8 [N, P]: which thing, counted from the left, -1 for none
    place: np.ndarray  # int8 [N, P]: in which of PLACES that thing lies
    number: np.ndarray  # int64 [N]: of things
    ground: np.ndarray  # float32 [N, names]: which colours the background has

    @staticmethod
    def read(path: Path) -> Shard:
        owner = np.load(path.with_suffix(".owner.npy"))
        scenes = [Scene.from_json(s) for s in json.loads(path.with_suffix(".json").read_text())]
        count, patches = owner.shape
        shape = np.full((count, patches), len(SHAPES), np.int8)
        colour = np.full((count, patches), len(COLOUR_NAMES), np.int8)
        centre = np.zeros((count, patches), bool)
        lies = np.zeros((count, patches, 3), np.float32)
        middles = np.stack(np.divmod(np.arange(patches), PATCHES)[::-1], 1) + 0.5
        place = np.zeros((count, patches), np.int8)
        number = np.array([len(s.things) for s in scenes])
        ground = np.zeros((count, len(GROUND_NAMES)), np.float32)
        for i, scene in enumerate(scenes):
            for t, thing in enumerate(scene.things):
                shape[i][owner[i] == t] = SHAPES.index(thing.shape)
                colour[i][owner[i] == t] = COLOUR_NAMES.index(thing.colour)
                place[i][owner[i] == t] = PLACES.index(thing.place)
                x, y = _in_patches(scene, thing.x, thing.y)
                centre[i, int(y) * PATCHES + int(x)] = True
                lies[i][owner[i] == t, :2] = (np.array([[x, y]]) - middles)[owner[i] == t]
                lies[i][owner[i] == t, 2] = thing.radius / max(scene.width, scene.height) * PATCHES
            for name in scene.ground.colours:
                ground[i, GROUND_NAMES.index(name)] = 1
        pixels = np.load(path, mmap_mode="r")
        return Shard(path.stem, pixels, scenes, shape, colour, centre, lies, owner, place, number, ground)


class Pool:
    """All shards drawn so far; looks for new ones now and then, so that drawing may go on beside."""

    def __init__(self, folder: Path, first: int = 0) -> None:
        self.folder = folder
        self.first = first
        self.shards: dict[str, Shard] = {}
        self.refresh()

    def refresh(self) -> None:
        for path in sorted(self.folder.glob("[0-9][0-9][0-9][0-9].npy")):
            if path.stem not in self.shards and int(path.stem) >= self.first:
                self.shards[path.stem] = Shard.read(path)
        if not self.shards:
            raise SystemExit(
                f"{self.folder}: no pictures yet; run `python -m recipe.draw --out {self.folder}`"
            )

    def pick(
        self, rng: np.random.Generator, count: int, shards: int | None = None
    ) -> tuple[Shard, np.ndarray]:
        """Rows of one shard; of the first few only, where their number is given."""
        names = sorted(self.shards)[:shards]
        shard = self.shards[names[rng.integers(len(names))]]
        return shard, np.sort(rng.choice(len(shard.scenes), count, replace=False))


def pixels_of(shard: Shard, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(shard.pixels[rows]))
