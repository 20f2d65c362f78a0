"""The pool of training pictures, drawn beforehand, and what the vision tower is asked about each of their patches."""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import materials as collection
from .draw import CELLS, letters, owners, prepare
from .kinds import collage, page, printing, things
from .kinds.photos import patch_shares
from .materials import Materials, noun_of
from .scene import CANVAS, COLOUR_NAMES, GROUND_NAMES, PATCHES, PLACES, SHAPES, Drawn, Scene, Thing
from .talk import MODULES
from .things_asked import kind as kind_of

MIX = {"things": 0.5, "print": 0.28, "chart": 0.04, "dialog": 0.02, "photo": 0.16}
KINDS = tuple(MIX)
SEVERAL_SHAPES = {2: 0.14, 4: 0.21}  # shares of pictures of at least so many shapes besides: the hardest to tell
MORE = {"print": 0.16, "photo": 0.16, "chart": 0.06, "dialog": 0.03}  # and, each among the others, of these kinds
NAMED = 0.375  # and, among what is left, of pictures of things that have names: there are two thousand
SEVERAL = (1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 2.0)  # how likely a picture of so many things is to be learnt from
DRAWN = MODULES | {"collage": collage, "page": page}  # a module for each kind of picture that there is
# The numbers of the shards of scenes, and of those of packed pictures, which only the tower learns from.
SHARDS = {"scene": range(5000), "collage": range(5000, 7000), "page": range(7000, 10000)}
WRITTEN = ("word", "number", "bar", "slice", "button")  # kinds whose things have no names to learn
GROUNDS = (*GROUND_NAMES, "photo")
GROUND_KINDS = ("plain", "gradient", "speckled", "photo")
OUTSIDE = len(GROUND_NAMES)
SIZES = ("tiny", "small", "medium", "big", "large")
_SIZE_STEPS = (0.22, 0.3, 0.42, 0.58)  # between them: a thing's share of the picture's shorter side; see things._size
NONE = -1


def label_of(thing: Thing) -> str:
    """What a patch of the thing is to be recognised as; an emoji and a drawing of one name are one class."""
    if thing.kind in WRITTEN:
        return thing.kind
    return thing.noun


def class_table(materials: Materials) -> list[str]:
    return [*SHAPES, *WRITTEN, *dict.fromkeys(n for s in materials.sprites if (n := noun_of(s)) not in SHAPES)]


def pick_scene(rng: random.Random, materials: Materials, held_out: bool = False, kind: str = "") -> Scene:
    """A random scene. The same generator state gives the same scene."""
    chosen = kind or rng.choices(KINDS, list(MIX.values()))[0]
    scene: Scene = DRAWN[chosen].pick(rng, materials, held_out)
    return scene


def _pick_for_training(rng: random.Random, materials: Materials, seed: int) -> Scene:
    """For the shard of that number."""
    kind = next(kind for kind, numbers in SHARDS.items() if seed in numbers)
    if kind in DRAWN:
        return pick_scene(rng, materials, kind=kind)
    least = rng.choices((*SEVERAL_SHAPES, 0), (*SEVERAL_SHAPES.values(), 1 - sum(SEVERAL_SHAPES.values())))[0]
    if least:
        return things.pick_shapes(rng, materials, False, least)
    for more, share in MORE.items():
        if rng.random() < share:
            return pick_scene(rng, materials, kind=more)
    return things.pick_named(rng, materials, False) if rng.random() < NAMED else pick_scene(rng, materials)


def draw(rng: random.Random, scene: Scene, materials: Materials) -> Drawn:
    drawn: Drawn = DRAWN[scene.kind].draw(rng, scene, materials)
    return drawn


def write_shard(folder: Path, materials: Materials, seed: int, count: int) -> None:
    """One shard: prepared pixels, patch owners, letters, scenes."""
    rng = random.Random(f"shard {seed}")
    pixels = np.empty((count, CANVAS, CANVAS, 3), np.uint8)
    owner = np.empty((count, PATCHES**2), np.int8)
    letter = np.full((count, PATCHES**2, CELLS, len(printing.QUESTIONS)), NONE, np.int8)
    scenes = []
    for i in range(count):
        scene = _pick_for_training(rng, materials, seed)
        drawn = draw(rng, scene, materials)
        pixels[i] = prepare(drawn.image)
        owner[i] = owners(drawn, len(scene.things))
        if drawn.letters:
            letter[i] = np.array([*map(printing.asked_of, drawn.letters), [NONE] * len(printing.QUESTIONS)])[
                letters(drawn)
            ]
        scenes.append(scene.to_json())
    stem = f"{seed:04d}"
    np.savez(folder / f"{stem}.labels.npz", owner=owner, letter=letter)
    (folder / f"{stem}.json").write_text(json.dumps(scenes))
    np.save(folder / f"{stem}.partial.npy", pixels)
    (folder / f"{stem}.partial.npy").rename(folder / f"{stem}.npy")  # last: a shard that is seen is whole


def _in_patches(scene: Scene, x: float, y: float) -> tuple[float, float]:
    """A point of the source picture, in patches of the padded and resized one."""
    side = max(scene.width, scene.height)
    return (x + (side - scene.width) // 2) / side * PATCHES, (y + (side - scene.height) // 2) / side * PATCHES


def _backdrop(scene: Scene, owner: np.ndarray) -> np.ndarray:
    """int [P]; the colours of a gradient or photograph, and those within charts and dialogs, are not told."""
    seen = np.full(PATCHES**2, NONE)
    if scene.ground.kind not in ("gradient", "photo") and scene.kind not in ("chart", "dialog"):
        seen[:] = GROUND_NAMES.index(scene.ground.colours[0])
    middles = np.abs(np.arange(PATCHES) + 0.5 - PATCHES / 2) * 2 / PATCHES
    side = max(scene.width, scene.height)
    outside = (middles[:, None] > scene.height / side) | (middles[None] > scene.width / side)
    return np.where(outside.ravel(), OUTSIDE, np.where(owner == NONE, seen, NONE))


@dataclass
class Shard:
    """Labels of N pictures of P patches; NONE where there is nothing to ask."""

    name: str
    pixels: np.ndarray  # uint8 [N, S, S, 3]
    scenes: list[Scene]
    owner: np.ndarray  # int8 [N, P]: which thing
    rank: np.ndarray  # int8 [N, P]: its number in the order in which things are told
    label: np.ndarray  # int16 [N, P]: its class
    colour: np.ndarray  # int8 [N, P]: its main colour
    lies: np.ndarray  # float32 [N, P, 3]: from the patch to its thing's centre, and the radius, in patches
    place: np.ndarray  # int8 [N, P]: in which of PLACES that thing lies
    size: np.ndarray  # int8 [N, P]: and which of SIZES it has
    same: np.ndarray  # int8 [N, P]: how many things of its name and colour there are
    alike: np.ndarray  # int8 [N, P]: and how many of its name
    group: np.ndarray  # int8 [N, P]: and the number of its kind among the kinds in that order
    hue: np.ndarray  # int8 [N, P]: of a shape, the number of its colour among those of its name
    hues: np.ndarray  # int8 [N, P]: and how many those are
    letter: np.ndarray  # int8 [N, P, CELLS, 4]: of the letter in each column of the patch, printing.QUESTIONS
    number: np.ndarray  # int64 [N]: of things
    groups: np.ndarray  # int64 [N]: of kinds of things
    kind: np.ndarray  # int64 [N]: of picture
    ground_kind: np.ndarray  # int64 [N]
    ground: np.ndarray  # float32 [N, names]: which colours the background, or the photograph, has

    @staticmethod
    def read(path: Path, classes: dict[str, int]) -> Shard:
        with np.load(path.with_suffix(".labels.npz")) as labels:
            owner, letter = labels["owner"], labels["letter"]
        scenes = [Scene.from_json(s) for s in json.loads(path.with_suffix(".json").read_text())]
        count, patches = owner.shape
        label = np.full((count, patches), NONE, np.int16)
        colour = np.full((count, patches), NONE, np.int8)
        place, size, rank, same, alike, group, hue, hues = (np.full((count, patches), NONE, np.int8) for _ in range(8))
        lies = np.zeros((count, patches, 3), np.float32)
        ground = np.zeros((count, len(GROUNDS)), np.float32)
        middles = np.stack(np.divmod(np.arange(patches), PATCHES)[::-1], 1) + 0.5
        for i, scene in enumerate(scenes):
            is_told = scene.kind in KINDS
            kinds = list(dict.fromkeys(map(kind_of, scene.things)))
            for t, thing in enumerate(scene.things):
                here = owner[i] == t
                if is_told:
                    if thing.kind not in WRITTEN:
                        share = 2 * thing.radius / min(scene.width, scene.height)
                        size[i][here] = np.searchsorted(_SIZE_STEPS, share)
                    rank[i][here] = t
                    alike[i][here] = sum(o.noun == thing.noun for o in scene.things)
                    same[i][here] = sum((o.noun, o.colour) == (thing.noun, thing.colour) for o in scene.things)
                    group[i][here] = kinds.index(kind_of(thing))
                    if thing.kind == "shape":
                        colours = list(dict.fromkeys(o.colour for o in scene.things if o.name == thing.name))
                        hue[i][here] = colours.index(thing.colour)
                        hues[i][here] = len(colours)
                label[i][here] = classes.get(label_of(thing), NONE)
                colour[i][here] = COLOUR_NAMES.index(thing.colour) if thing.colour in COLOUR_NAMES else NONE
                place[i][here] = PLACES.index(thing.place) if thing.place else NONE
                lies[i][here, :2] = (np.array([_in_patches(scene, thing.x, thing.y)]) - middles)[here]
                lies[i][here, 2] = thing.radius / max(scene.width, scene.height) * PATCHES
            for name in scene.ground.colours:
                ground[i, GROUNDS.index(name)] = 1
            ground[i, -1] = scene.ground.kind == "photo"
        number = np.array([len(s.things) if s.kind in KINDS else NONE for s in scenes])
        groups = np.array([len(set(map(kind_of, s.things))) if s.kind in KINDS else NONE for s in scenes])
        kind = np.array([KINDS.index(s.kind) if s.kind in KINDS else NONE for s in scenes])
        ground_kind = np.array([GROUND_KINDS.index(s.ground.kind) for s in scenes])
        pixels = np.load(path, mmap_mode="r")
        return Shard(path.stem, pixels, scenes, owner, rank, label, colour, lies, place, size, same, alike, group, hue, hues,
                     letter, number, groups, kind, ground_kind, ground)  # fmt: skip

    def is_of(self, kind: str) -> bool:
        return int(self.name) in SHARDS[kind]

    @cached_property
    def backdrop(self) -> np.ndarray:
        """int8 [N, P]: which of GROUND_NAMES is seen where no thing is, or OUTSIDE, the padding; seldom asked for."""
        return np.stack([_backdrop(s, o) for s, o in zip(self.scenes, self.owner, strict=True)]).astype(np.int8)

    def is_photograph(self, rows: np.ndarray) -> np.ndarray:
        """bool [R, P]: where nothing but a photograph is seen."""
        seen = np.repeat(self.ground[rows, -1:] > 0, PATCHES**2, 1)
        photos = rows[seen[:, 0]]
        if len(photos):
            seen[seen[:, 0]] = (self.owner[photos] == NONE) & (self.backdrop[photos] != OUTSIDE)
        return seen

    def photo_shares(self, rows: np.ndarray) -> np.ndarray:
        """float32 [R, P, colours]: each colour's share of each patch of a photograph; elsewhere nothing."""
        seen = self.is_photograph(rows)
        shares = np.zeros((*seen.shape, len(COLOUR_NAMES)), np.float32)
        some = seen.any(1)
        if some.any():
            shares[some] = patch_shares(self.pixels[rows[some]]) * seen[some, :, None]
        return shares


class Pool:
    """All shards drawn so far; looks for new ones now and then, so that drawing may go on beside."""

    def __init__(self, folder: Path, classes: list[str]) -> None:
        self.folder = folder
        self.classes = {name: i for i, name in enumerate(classes)}
        self.shards: dict[str, Shard] = {}
        self.refresh()

    def refresh(self) -> None:
        for path in sorted(self.folder.glob("[0-9][0-9][0-9][0-9].npy")):
            if path.stem not in self.shards:
                self.shards[path.stem] = Shard.read(path, self.classes)
        if not self.shards:
            raise SystemExit(f"{self.folder}: no pictures yet; run `python -m recipe.pool --help`")

    def pick(
        self, rng: np.random.Generator, count: int, shards: int | None = None, collages: float = 0, pages: float = 0
    ) -> tuple[Shard, np.ndarray]:
        """Rows of one shard: of the first few only, where their number is given; with the given chances, of collages or pages."""
        drawn = rng.random()
        numbers = SHARDS["collage" if drawn < collages else "page" if drawn < collages + pages else "scene"]
        names = sorted(self.shards)
        chosen = [n for n in names if int(n) in numbers] or names
        shard = self.shards[chosen[rng.integers(len(chosen[:shards]))]]
        likely = np.take(SEVERAL, shard.number.clip(0))
        return shard, np.sort(rng.choice(len(shard.scenes), count, replace=False, p=likely / likely.sum()))


def pixels_of(shard: Shard, rows: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(shard.pixels[rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the materials; classes.json is made there")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--shards", type=int, default=100, help="of scenes")
    parser.add_argument("--collages", type=int, default=100, help="shards of collages")
    parser.add_argument("--pages", type=int, default=60, help="shards of pages")
    parser.add_argument("--size", type=int, default=1000, help="pictures in a shard")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    materials = collection.load(options.work / "materials")
    table = options.work / "classes.json"
    if not table.exists():
        table.write_text(json.dumps(class_table(materials), ensure_ascii=False, indent=0))
    counts = {"scene": options.shards, "collage": options.collages, "page": options.pages}
    for seed in (seed for kind, numbers in SHARDS.items() for seed in numbers[: counts[kind]]):
        if not (options.out / f"{seed:04d}.npy").exists():
            write_shard(options.out, materials, seed, options.size)
            print(f"shard {seed:04d}", flush=True)


if __name__ == "__main__":
    main()
