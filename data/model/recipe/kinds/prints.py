"""Printed words and numbers, to be read."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from ..draw import draw_ground, wear
from ..materials import Materials
from ..scene import PLACES, Drawn, Ground, Scene, Thing, pick_ground, pick_rgb, place_of
from ..wording import (
    BRIEF,
    FULL,
    NUMBERS,
    Ask,
    Turn,
    about,
    decisive,
    join,
    nothing_there,
    on_ground,
    place_words,
    spelt,
    vary,
)
from . import photos, printing, words

_SMALLEST = 10  # of a font, in pixels that the model sees
_SMALLEST_READ = 16  # likewise; what is smaller is far more often misread than read
_PHOTO_INKS = ("white", "black", "yellow", "red")


# --- Pictures ------------------------------------------------------------------------------------------------


def _fitting_size(rng: random.Random, path: str, text: str, width: int, height: int, count: int) -> int:
    """Log-uniform; 0 where the text is too long for the picture."""
    wide = printing.measure(printing.load_font(path, 100), text).width / 100
    low = max(height / 12, _SMALLEST * printing.seen_scale(width, height))
    high = min(height / (2.5 if count == 1 else 3.5), 0.92 * width / max(wide, 0.1))
    return round(math.exp(rng.uniform(math.log(low), math.log(high)))) if high > low else 0


def _overlaps(thing: Thing, box: tuple[float, float], others: list[tuple[Thing, tuple[float, float]]]) -> bool:
    return any(
        abs(thing.x - o.x) < (box[0] + b[0]) * 0.53 and abs(thing.y - o.y) < (box[1] + b[1]) * 0.56 for o, b in others
    )


def ink(
    rng: random.Random, ground: Ground, behind: Image.Image | None, thing: Thing, box: tuple[float, float]
) -> Thing | None:
    """The text in a colour that is seen where it stands."""
    if behind is None:
        ink = printing.pick_ink(rng, ground)
        return replace(thing, colour=ink[0], rgb=ink[1]) if ink else None
    x, y, reach_x, reach_y = (int(v / photos.SHRUNK) for v in (thing.x, thing.y, box[0] / 2, box[1] / 2))
    grey = np.asarray(behind.convert("L"), np.float32)[
        max(0, y - reach_y) : y + reach_y + 1, max(0, x - reach_x) : x + reach_x + 1
    ]
    name = rng.choice(_PHOTO_INKS)
    rgb = pick_rgb(rng, name)
    if np.abs(grey - printing.luminance(rgb)).min() < 60:
        return None
    return replace(thing, colour=name, rgb=rgb)


def _place(
    rng: random.Random,
    text: str,
    path: str,
    size: int,
    canvas: tuple[int, int],
    others: list[tuple[Thing, tuple[float, float]]],
) -> tuple[Thing, tuple[float, float]] | None:
    """A text somewhere in the picture, clear of the others, and the size of the upright box around it."""
    width, height = canvas
    cells = printing.measure(printing.load_font(path, size), text)
    angle = rng.uniform(-12, 12) if rng.random() < 0.25 else 0.0
    box = printing.turned_size(cells.width, cells.height, angle)
    spare_x, spare_y = 0.97 * width - box[0], 0.97 * height - box[1]
    if spare_x < 0 or spare_y < 0:
        return None
    for _ in range(12):
        x = width / 2 + spare_x * rng.uniform(-0.5, 0.5)
        y = height / 2 + spare_y * rng.uniform(-0.5, 0.5)
        place = place_of(x / width, y / height)
        noun = noun_for(text)
        radius = math.hypot(cells.width, cells.height) / 2
        thing = Thing(noun, text, noun, f'the {noun} "{text}"', "", x, y, radius, place, angle=angle)
        if place and all(place != o.place for o, _ in others) and not _overlaps(thing, box, others):
            return thing, box
    return None


def pick_backdrop(
    rng: random.Random, materials: Materials, held_out: bool, width: int, height: int
) -> tuple[Ground, Image.Image | None]:
    """What texts stand on, and where it is a photograph, a small rendering of it."""
    ground = pick_ground(rng)
    return photos.photo_ground(rng, materials, held_out, width, height) if rng.random() < 0.12 else (ground, None)


def pick_text(rng: random.Random) -> str:
    return words.pick_number(rng) if rng.random() < 0.32 else words.pick_word(rng)


def is_small(scene: Scene) -> bool:
    """Whether it has a text that is too small to be read."""
    smallest: int = min(scene.extra["sizes"])
    return smallest < _SMALLEST_READ * printing.seen_scale(scene.width, scene.height)


def seen_height(scene: Scene, i: int) -> float:
    """From the top of a text's highest letter to the bottom of its lowest, as a share of the picture's height."""
    font = printing.load_font(scene.extra["fonts"][i], scene.extra["sizes"][i])
    return printing.measure(font, scene.things[i].name).height / scene.height


def noun_for(text: str) -> str:
    return "number" if text[-1] == "%" or text[-1].isdigit() else "word"


def _attempt(rng: random.Random, materials: Materials, held_out: bool) -> Scene | None:
    width, height = printing.pick_size(rng)
    ground, behind = pick_backdrop(rng, materials, held_out, width, height)
    count = rng.choices((1, 2, 3), (0.7, 0.25, 0.05))[0]
    placed: list[tuple[Thing, tuple[float, float]]] = []
    prints: dict[str, tuple[str, int]] = {}
    for _ in range(4 * count):
        text = pick_text(rng)
        path = printing.pick_font(rng, materials.held_out_fonts if held_out else materials.fonts, text)
        size = _fitting_size(rng, path, text, width, height, count)
        spot = _place(rng, text, path, size, (width, height), placed) if size else None
        inked = ink(rng, ground, behind, *spot) if spot else None
        if spot and inked and text not in prints:
            placed.append((inked, spot[1]))
            prints[text] = (path, size)
        if len(placed) == count:
            break
    if not placed:
        return None
    things = tuple(sorted((t for t, _ in placed), key=lambda t: PLACES.index(t.place)))
    extra = {"fonts": [prints[t.name][0] for t in things], "sizes": [prints[t.name][1] for t in things]}
    return Scene("print", width, height, ground, things, extra)


def _plainest(materials: Materials, held_out: bool) -> Scene:
    path = str((materials.held_out_fonts if held_out else materials.fonts)[0])
    ground = Ground("plain", ("white",), ((255, 255, 255),), 0)
    thing = Thing("word", "hello", "word", 'the word "hello"', "black", 120, 120, 60, "centre")
    return Scene("print", 240, 240, ground, (thing,), {"fonts": [path], "sizes": [36]})


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    for _ in range(20):
        if scene := _attempt(rng, materials, held_out):
            return scene
    return _plainest(materials, held_out)


def draw(rng: random.Random, scene: Scene, materials: Materials, worn: bool = True) -> Drawn:
    image = draw_ground(rng, scene.ground, scene.width, scene.height, materials)
    drawn = Drawn(image, Image.new("L", image.size))
    pen = ImageDraw.Draw(drawn.owner)
    for i, t in enumerate(scene.things):
        path, size = scene.extra["fonts"][i], scene.extra["sizes"][i]
        letters, box = printing.draw_text(image, t.name, path, size, (t.x, t.y), t.rgb, t.angle)
        drawn.letters += letters
        pen.polygon(box, fill=i + 1)
    if worn:
        drawn.image = wear(rng, image)
    return drawn


# --- Questions -----------------------------------------------------------------------------------------------


def _quoted(scene: Scene, i: int) -> str:
    return f'"{spelt(i, scene.things[i].name)}"'


def _called(scene: Scene, i: int) -> str:
    """The word "HELLO"."""
    return f"the {scene.things[i].kind} {_quoted(scene, i)}"


def _in_colour(scene: Scene, i: int) -> str:
    return "in " + about(i, scene.things[i].colour)


def _at(scene: Scene, i: int) -> str:
    return about(i, place_words(scene.things[i].place))


def _asked(rng: random.Random, scene: Scene, i: int) -> str:
    """As a question names one of the texts."""
    t = scene.things[i]
    forms = [f'the {t.kind} "{t.name}"', f'"{t.name}"', f'the text "{t.name}"', f"the {t.kind} {t.name}"]
    if len(scene.things) == 1:
        forms += ["the text", "the text", "the writing", f"the {t.kind}", "it"]
    return rng.choice(forms)


def _all(scene: Scene) -> str:
    """What they say, as a sentence."""
    if len(scene.things) == 1:
        return f"it says {_quoted(scene, 0)}."
    texts = join([f"{_quoted(scene, i)} {_at(scene, i)}" for i in range(len(scene.things))])
    return f"there are {NUMBERS[len(scene.things)]} texts: {texts}."


def ask_brief(rng: random.Random, scene: Scene) -> Turn | None:
    n = len(scene.things)
    if n == 1:
        answer = f"T{_called(scene, 0)[1:]} {_in_colour(scene, 0)} {on_ground(scene)}."
    else:
        answer = f"{NUMBERS[n].capitalize()} texts {on_ground(scene)}: {join([_quoted(scene, i) for i in range(n)])}."
    return Turn(vary(rng, rng.choice(BRIEF)), answer, "describe briefly")


def ask_full(rng: random.Random, scene: Scene) -> Turn | None:
    n = len(scene.things)
    if n == 1:
        answer = f"The picture shows {_called(scene, 0)} {_in_colour(scene, 0)} {_at(scene, 0)}, {on_ground(scene)}."
    else:
        parts = [f"{_quoted(scene, i)} {_in_colour(scene, i)} {_at(scene, i)}" for i in range(n)]
        answer = f"The picture shows {NUMBERS[n]} texts {on_ground(scene)}: {join(parts)}."
    return Turn(vary(rng, rng.choice(FULL)), answer, "describe")


_READ = (
    "What does {it|the text|this|the {PIC}|the sign|the writing|that} say?",
    "What does {it|the {PIC}|this {PIC}} say?",
    "Read {the text|it|this|the writing|the words|this text|what it says}{| {THERE}}.",
    "What is written{| {THERE}}?", "What {text|writing} {is|do you see|can you see|can you read} {THERE}?",
    "{Read|Read aloud|Read out} {the|this} {PIC}.",
    "{Transcribe|Copy|Extract|Write down|Recognise|Recognize|OCR} {the|all the|any} text{| in the {PIC}| of the {PIC}|}.",
    "What can you read{| {THERE}}?", "What is {the|this} text{| {THERE}}?",
    "{Can|Could} you read {it|this|the text}?", "What's written{| {THERE}}?",
    "What text does {the|this} {PIC} {show|contain|have}?", "Text?", "What {does it|do they} read?",
)  # fmt: skip


def ask_read(rng: random.Random, scene: Scene) -> Turn:
    answer = _all(scene)
    return Turn(vary(rng, rng.choice(_READ)), answer[0].upper() + answer[1:], "read")


def ask_kind(rng: random.Random, scene: Scene) -> Turn | None:
    """What is the number?"""
    kind = rng.choice(("word", "number"))
    found = [i for i, t in enumerate(scene.things) if t.kind == kind]
    if len(found) > 1 or (not found and rng.random() < 0.8):
        return None
    question = rng.choice((
        f"{{What|Which}} {kind} {{is this|is it|is shown|is there|is written|do you see|can you read}}{{| {{THERE}}}}?",
        f"What is the {kind}{{| {{THERE}}}}?", f"{{Read|Tell me|Name}} the {kind}{{| {{THERE}}}}.",
        f"{{What|Which}} {kind} does {{the|this}} {{PIC}} show?",
    ))  # fmt: skip
    answer = f"The {kind} is {_quoted(scene, found[0])}." if found else nothing_there(kind)
    return Turn(vary(rng, question), answer, "read" if found else "no such thing")


def ask_at(rng: random.Random, scene: Scene) -> Turn | None:
    """What the text at one place, or of one colour, says."""
    if len(scene.things) < 2:
        return None
    i = rng.randrange(len(scene.things))
    t = scene.things[i]
    if rng.random() < 0.6:
        where = place_words(t.place)
        asked, answer = (
            f"the {{text|writing|word|one}} {where}",
            f"The text {_at(scene, i)} says {_quoted(scene, i)}.",
        )
    elif sum(o.colour == t.colour for o in scene.things) == 1:
        asked = f"the {t.colour} {{text|writing|one|word}}"
        answer = f"The {about(i, t.colour)} text says {_quoted(scene, i)}."
    else:
        return None
    question = rng.choice((f"What does {asked} say?", f"Read {asked}.", f"What is {asked}?"))
    return Turn(vary(rng, question), answer, "read")


def ask_colour(rng: random.Random, scene: Scene) -> Turn | None:
    i = rng.randrange(len(scene.things))
    asked = _asked(rng, scene, i)
    question = rng.choice((
        f"{{What|Which}} {{COLOUR}} {{is|has}} {asked}{{| {{THERE}}}}?", f"What is the {{COLOUR}} of {asked}?",
        f"In {{what|which}} {{COLOUR}} is {asked}{{| written| printed}}?", f"Tell me the {{COLOUR}} of {asked}.",
    ))  # fmt: skip
    answer = f"The {scene.things[i].kind} {_quoted(scene, i)} is {about(i, scene.things[i].colour)}."
    return Turn(vary(rng, question), answer, "colour")


def ask_place(rng: random.Random, scene: Scene) -> Turn | None:
    i = rng.randrange(len(scene.things))
    asked = _asked(rng, scene, i)
    question = rng.choice((
        f"Where is {asked}{{| {{THERE}}}}?", f"Where is {asked}?", f"Where {{can I find|do you see}} {asked}?",
        f"In {{what|which}} part of the {{PIC}} is {asked}?", f"What is the {{place|position|location}} of {asked}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {scene.things[i].kind} {_quoted(scene, i)} is {_at(scene, i)}.", "place")


def ask_number(rng: random.Random, scene: Scene) -> Turn | None:
    kind = rng.choices(("text", "word", "number"), (0.4, 0.4, 0.2))[0]
    n = sum(kind in ("text", t.kind) for t in scene.things)
    question = rng.choice((
        f"How many {kind}s {{are there|do you see|can you see|can you read|are}} {{THERE}}?",
        f"How many {kind}s{{| are there}}?", f"Count the {kind}s{{| {{THERE}}}}.",
        f"How many {kind}s does the {{PIC}} {{show|contain}}?",
    ))  # fmt: skip
    answer = f"There is one {kind}." if n == 1 else f"There are {NUMBERS[n]} {kind}s."
    return Turn(vary(rng, question), answer, "number")


_ANY = (
    "Is there {any |some |}{text|writing}{| {THERE}}?",
    "{Can|Do} you see {any |some |}{text|writing}{| {THERE}}?",
    "Does {this|the} {PIC} {contain|have|show} {any |}{text|writing|words or numbers}?",
    "Is {something|anything} written {THERE}?", "Can you read {something|anything}{| {THERE}}?",
)  # fmt: skip


def ask_any(rng: random.Random, scene: Scene) -> Turn | None:
    return Turn(vary(rng, rng.choice(_ANY)), f"Yes, {_all(scene)}", "yes")


def _whether_it_says(text: str) -> tuple[str, ...]:
    return (
        f'Does {{it|the text|the {{PIC}}|this}} say "{text}"?', f'Is {{the word|it|the text}} "{text}"?',
        f'Is "{text}" {{written|to be read|printed}} {{THERE}}?',
        f'{{Can|Do}} you {{read|see}} {{the text |}}"{text}"{{| {{THERE}}}}?', f"Does it say {text}?",
    )  # fmt: skip


def ask_whether(rng: random.Random, scene: Scene) -> Turn | None:
    """Does it say this?"""
    i = rng.randrange(len(scene.things))
    truly = rng.random() < 0.5
    text = scene.things[i].name if truly else words.nearly(rng, scene.things[i].name)
    if not truly and any(t.name == text for t in scene.things):
        return None
    question = rng.choice(_whether_it_says(text))
    if len(scene.things) == 1:
        answer = f"{'Yes' if truly else 'No'}, it says {_quoted(scene, 0)}."
    elif truly:
        answer = f"Yes, the text {_at(scene, i)} says {_quoted(scene, i)}."
    else:
        answer = f"No, the texts are {join([_quoted(scene, j) for j in range(len(scene.things))])}."
    return Turn(vary(rng, question), answer, "yes" if truly else "no")


def ask_none(rng: random.Random, scene: Scene) -> Turn:
    """Asked of a picture in which nothing is written."""
    if rng.random() < 0.6:
        return Turn(vary(rng, rng.choice(_READ)), nothing_there("text"), "no text")
    question = rng.choice((rng.choice(_ANY), rng.choice(_whether_it_says(pick_text(rng)))))
    return Turn(vary(rng, question), f"{decisive('No')}, there is no text in the picture.", "no")


def ask_spelling(rng: random.Random, scene: Scene) -> Turn | None:
    i = rng.randrange(len(scene.things))
    t = scene.things[i]
    if t.kind != "word" or (len(scene.things) > 1 and sum(o.kind == "word" for o in scene.things) > 1):
        return None
    question = rng.choice((
        "Spell {it|the word|it out|the text|the word {THERE}}.",
        "How is {it|the word|the text} {spelled|spelt|written}?",
        "{What|Which} letters {are there|do you see|can you see|are {THERE}}?",
        "Spell {it|it out|the word|out the word} letter by letter.", "Read the {letters|word} one by one.",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The letters are {about(i, ', '.join(t.name))}.", "spell")


SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_read, 0.34), (ask_brief, 0.08), (ask_full, 0.14), (ask_kind, 0.07), (ask_at, 0.06), (ask_colour, 0.07),
    (ask_place, 0.05), (ask_number, 0.04), (ask_any, 0.03), (ask_whether, 0.08), (ask_spelling, 0.04),
)  # fmt: skip
CAPTION_SKILLS: tuple[tuple[Ask, float], ...] = ((ask_read, 0.5), (ask_brief, 0.2), (ask_full, 0.3))
