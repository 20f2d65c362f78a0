"""Photographs, of which it tells the main colours and the light, and that it cannot name what they show."""

from __future__ import annotations

import colorsys
import random
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from ..draw import draw_ground, pick_photo_ground, wear
from ..materials import Materials
from ..scene import COLOUR_NAMES, PATCHES, Drawn, Ground, Rgb, Scene
from ..wording import BRIEF, FULL, Ask, Turn, article, decisive, join, plural, vary
from . import printing

SHRUNK = 4  # how much smaller the renderings are that are measured
_MAIN = 0.25  # share of the pixels from which on a colour is a main one
_UNSURE = 0.04  # of a share: nearer to _MAIN people would disagree
_LIGHTS = (
    (0, 75, "dark"),
    (98, 142, "evenly lit"),
    (165, 256, "bright"),
)  # mean luminance; between them: unsure
_HUES = (
    (14, "red"), (40, "orange"), (66, "yellow"), (165, "green"), (255, "blue"), (305, "purple"), (345, "pink"),
    (361, "red"),
)  # fmt: skip
_OTHER_HUES = ("RBG", "GRB", "GBR", "BRG", "BGR")  # few photographs must teach all colours
_CANNOT_NAME = "I cannot tell. It is a photograph, and I cannot name what photographs show."


# --- Main colours --------------------------------------------------------------------------------------------


def colour_word(rgb: Rgb) -> str:
    """What people would call any colour, by its hue, saturation and value."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(c / 255 for c in rgb))
    if value < 0.17 or (value < 0.27 and saturation < 0.4):
        return "black"
    if saturation < 0.13 + 0.1 * (1 - value):
        return "white" if value > 0.84 else "grey"
    name = next(n for end, n in _HUES if hue * 360 < end)
    if name in ("orange", "yellow", "red") and value < 0.62 and (name != "red" or value < 0.42):
        return "brown"
    if name == "orange" and saturation < 0.55:
        return "brown" if value < 0.8 else "pink" if hue * 360 < 22 else "yellow"
    if name in ("red", "pink") and saturation < 0.5:
        return "pink" if value > 0.6 else "brown" if name == "red" else "purple"
    return name


@lru_cache(maxsize=1)
def _table() -> np.ndarray:
    """Which of COLOUR_NAMES each of 16 x 16 x 16 colours has."""
    levels = range(8, 256, 16)
    return np.array([COLOUR_NAMES.index(colour_word((r, g, b))) for r in levels for g in levels for b in levels])


def _named(pixels: np.ndarray) -> np.ndarray:
    """Which of COLOUR_NAMES each pixel has: uint8 [..., 3] to [...]."""
    fine = pixels.astype(np.int64) >> 4
    named: np.ndarray = _table()[fine[..., 0] * 256 + fine[..., 1] * 16 + fine[..., 2]]
    return named


def _shares(image: Image.Image) -> list[tuple[float, str]]:
    """The share of each colour, largest first."""
    found = _named(np.asarray(image.resize((40, 40), Image.Resampling.BOX)))
    counts = np.bincount(found.ravel(), minlength=len(COLOUR_NAMES))
    return sorted(((int(c) / found.size, n) for c, n in zip(counts, COLOUR_NAMES)), reverse=True)


def patch_shares(pixels: np.ndarray) -> np.ndarray:
    """The share of each of COLOUR_NAMES in each patch: uint8 [N, S, S, 3] to float32 [N, P, colours]."""
    count, side = pixels.shape[:2]
    found = _named(pixels).reshape(count, PATCHES, side // PATCHES, PATCHES, side // PATCHES)
    shares = np.stack([(found == i).mean((2, 4)) for i in range(len(COLOUR_NAMES))], -1)
    return shares.reshape(count, PATCHES**2, -1).astype(np.float32)


def main_colours(image: Image.Image) -> tuple[tuple[str, ...], bool]:
    """One or two, and whether people would agree."""
    shares = _shares(image)
    names = tuple(n for share, n in shares[:2] if share >= _MAIN) or (shares[0][1],)
    is_sure = shares[0][0] > _MAIN + _UNSURE and all(abs(s - _MAIN) > _UNSURE for s, _ in shares[1:3])
    if len(names) == 2:
        is_sure = is_sure and shares[2][0] < shares[1][0] - _UNSURE
    return names, is_sure


def _light(image: Image.Image) -> str:
    """How bright it is; "" where people would disagree."""
    mean = np.asarray(image.convert("L").resize((40, 40), Image.Resampling.BOX)).mean()
    return next((name for low, high, name in _LIGHTS if low <= mean < high), "")


# --- Pictures ------------------------------------------------------------------------------------------------


def photo_ground(
    rng: random.Random, materials: Materials, held_out: bool, width: int, height: int
) -> tuple[Ground, Image.Image]:
    """A part of a photograph as a background, and a small rendering to measure."""
    ground = pick_photo_ground(rng, materials, held_out, width / height)
    image = draw_ground(rng, ground, width // SHRUNK, height // SHRUNK, materials)
    return replace(ground, colours=main_colours(image)[0]), image


def _varied(image: Image.Image, extra: dict[str, Any]) -> Image.Image:
    """The picture mirrored, with other hues and with another brightness, as the scene says."""
    if extra["mirrored"]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if extra["channels"] != "RGB":
        image = Image.merge("RGB", [image.getchannel(channel) for channel in extra["channels"]])
    return ImageEnhance.Brightness(image).enhance(extra["brightness"]) if extra["brightness"] != 1 else image


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    for attempt in range(12):
        width, height = printing.pick_size(rng)
        ground, image = photo_ground(rng, materials, held_out, width, height)
        extra: dict[str, Any] = {
            "mirrored": rng.random() < 0.5,
            "channels": "RGB" if held_out or rng.random() < 0.6 else rng.choice(_OTHER_HUES),
            "brightness": rng.choice((1, 1, rng.uniform(0.6, 1.4))),
            "blur": rng.choice((0, 0, 0, rng.uniform(0.3, 1.6))),
        }
        image = _varied(image, extra)
        colours, is_sure = main_colours(image)
        light = _light(image)
        if (is_sure or attempt > 8) and light:
            break
    extra["light"] = light or "evenly lit"
    return Scene("photo", width, height, replace(ground, colours=colours), (), extra)


def draw(rng: random.Random, scene: Scene, materials: Materials, worn: bool = True) -> Drawn:
    image = _varied(draw_ground(rng, scene.ground, scene.width, scene.height, materials), scene.extra)
    if scene.extra["blur"]:
        image = image.filter(ImageFilter.GaussianBlur(scene.extra["blur"]))
    return Drawn(wear(rng, image) if worn else image, Image.new("L", image.size))


# --- Questions -----------------------------------------------------------------------------------------------

_NOUNS = tuple("""
dog|cat|horse|cow|sheep|goat|pig|bird|duck|chicken|fish|frog|snake|spider|butterfly|bee|lion|tiger|elephant|bear|rabbit|mouse
person|man|woman|child|baby|girl|boy|face|hand|crowd|group of people|animal|insect|tree|flower|leaf|forest|garden|park|grass
mountain|hill|river|lake|sea|beach|island|waterfall|desert|rock|stone|sky|cloud|sun|moon|star|rainbow|sunset|snow|ice|rain|fire
house|building|church|castle|tower|bridge|street|road|city|village|window|door|wall|roof|fence|stairs|room|kitchen|bed|chair|table
sofa|lamp|car|bus|truck|train|bicycle|motorcycle|boat|ship|plane|helicopter|rocket|book|newspaper|letter|sign|text|word|number|logo
phone|computer|screen|keyboard|camera|clock|watch|bottle|glass|cup|plate|fork|knife|spoon|apple|banana|orange|bread|cake|pizza
meal|vegetable|hat|shirt|shoe|bag|umbrella|ball|toy|guitar|piano|painting|statue|flag|map|key|box|bench
""".replace("\n", "|").strip("|").split("|"))  # fmt: skip
_CONTENT = (
    "Is there {ANOUN|any NOUN}{| {THERE}}?", "Is there ANOUN{| {THERE}}?",
    "{Can|Do} you see {ANOUN|the NOUN|any NOUN}{| {THERE}}?",
    "Are there any {people|animals|plants|things|objects|PLURAL|PLURAL}{| {THERE}}?",
    "How many {PLURAL|PLURAL|people|animals|things} {are there|do you see}?", "Where is the NOUN?",
    "What {COLOUR} is the NOUN?", "Is {this|it} {ANOUN|the NOUN}?", "What is the NOUN {doing|like|made of}?",
    "What is {happening|going on}{| {THERE}}?", "What are {the people|they|the animals} doing?",
    "What {kind of |}{place|scene|animal|plant|object|building|landscape|NOUN} is {this|it|that|shown}?",
    "Which {country|place|season} is {this|it}?",
    "Is it {day or night|summer or winter|indoors or outdoors|a city or the country}?",
    "Name {the|all|all the} {objects|things|animals} {THERE}.",
    "What {objects|things|animals} {are there|do you see} {THERE}?",
    "What {does the text|does the sign|does it} say?", "Read the text{| {THERE}}.",
    "Is there {any |}text{| {THERE}}?",
    "What is {in the {background|foreground|middle|centre}|at the {top|bottom}}?", "What is on the {left|right}?",
    "Is the {person|NOUN} {happy|sad|old|big}?", "What is {beside|behind|in front of|next to|near} the NOUN?",
    "Does {this|the} {PIC} {show|contain} {ANOUN|any NOUN}?", "Is the NOUN {big|small|red|old|open|new}?",
)  # fmt: skip


def ask_brief(rng: random.Random, scene: Scene) -> Turn | None:
    answer = f"A {decisive('photograph')}, mainly {_named_colours(scene)}. I cannot name what it shows."
    return Turn(vary(rng, rng.choice(BRIEF)), answer, "describe briefly")


def _named_colours(scene: Scene) -> str:
    return join([decisive(name) for name in scene.ground.colours])


def _colours(scene: Scene) -> str:
    verb = "colour is" if len(scene.ground.colours) == 1 else "colours are"
    return f"main {decisive(verb)} {_named_colours(scene)}"


def ask_full(rng: random.Random, scene: Scene) -> Turn | None:
    answer = (
        f"This is a {decisive('photograph')} or texture. Its {_colours(scene)}, and it is {scene.extra['light']}. "
        "I cannot tell what it shows; a larger model such as ALLaVA-3B can."
    )
    return Turn(vary(rng, rng.choice(FULL)), answer, "describe")


def ask_colours(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "{What|Which} {main |}{COLOUR}s {are there|do you see|can you see|are used} {THERE}?",
        "What are {the|its} {main |}{COLOUR}s?",
        "{What|Which} {COLOUR}s does {this|the} {PIC} {have|show|contain|consist of}?",
        "What {COLOUR} is {it|this|the {PIC}} {mainly|mostly|}?",
        "What is {the|its} {main|dominant} {COLOUR}{| {THERE}}?", "Name the {main |}{COLOUR}s.",
        "{Which|What} {COLOUR}s {dominate|stand out}?", "{Describe|Tell me} the {COLOUR}s.",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {_colours(scene)}.", "colours")


def ask_mainly(rng: random.Random, scene: Scene) -> Turn | None:
    names = scene.ground.colours
    truly = rng.random() < 0.5
    others = [
        n
        for n in (
            "red",
            "green",
            "blue",
            "yellow",
            "brown",
            "grey",
            "black",
            "white",
            "orange",
            "purple",
            "pink",
        )
        if n not in names
    ]
    asked = rng.choice(names if truly else others)
    question = rng.choice((
        f"Is {{it|this|the {{PIC}}}} {{mainly|mostly}} {asked}?",
        f"Is {asked} {{a|the|one}} main {{COLOUR}}{{| {{THERE}}}}?",
        f"Is there {{much|a lot of}} {asked}{{| {{THERE}}}}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"{'Yes' if truly else 'No'}, the {_colours(scene)}.", "yes" if truly else "no")


def ask_light(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "Is {it|this|the {PIC}} {dark or bright|bright or dark|light or dark|bright|dark}?",
        "How {bright|dark} is {it|the {PIC}|this {PIC}}?", "How is {it|the {PIC}|the scene} lit?",
        "What is the {light|lighting|brightness} like{| {THERE}}?", "{Describe|Tell me about} the light.",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The photograph is {scene.extra['light']}.", "light")


def ask_content(rng: random.Random, scene: Scene) -> Turn | None:
    noun = rng.choice(_NOUNS)
    question = (
        rng.choice(_CONTENT).replace("PLURAL", plural(noun)).replace("ANOUN", article(noun)).replace("NOUN", noun)
    )
    return Turn(vary(rng, question), _CANNOT_NAME, "cannot tell")


SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_brief, 0.2), (ask_full, 0.22), (ask_colours, 0.16), (ask_mainly, 0.05), (ask_light, 0.09),
    (ask_content, 0.28),
)  # fmt: skip
CAPTION_SKILLS: tuple[tuple[Ask, float], ...] = ((ask_brief, 0.35), (ask_full, 0.5), (ask_colours, 0.15))
