"""Bar and pie charts, whose bars and slices are told apart by their colours."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw

from ..draw import draw_ground, wear
from ..materials import Materials
from ..scene import COLOUR_NAMES, Drawn, Ground, Rgb, Scene, Thing, is_far, pick_ground, pick_rgb, place_of
from ..wording import BRIEF, FULL, NUMBERS, Ask, Turn, about, article, join, on_ground, vary
from . import printing

_LEAST_SHARE, _SHARE_STEP = 0.08, 0.05  # of a slice, and between any two
_LEVELS = 10  # of bars' lengths
_TITLES = (
    "Sales", "Results", "Votes", "Budget", "Income", "Visitors", "Rainfall", "Costs", "Survey", "Users", "Traffic",
    "Profit", "Growth", "Exports", "Points", "Energy", "Population", "Scores", "Orders", "Time spent",
)  # fmt: skip
_LABELS = (
    ("A", "B", "C", "D", "E", "F"),
    ("1", "2", "3", "4", "5", "6"),
    ("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
)

Box = tuple[float, float, float, float]


# --- Pictures ------------------------------------------------------------------------------------------------


def _pick_colours(rng: random.Random, ground: Ground, count: int) -> list[tuple[str, Rgb]]:
    """Colours that differ from each other and from the background; perhaps fewer than asked for."""
    found: list[tuple[str, Rgb]] = []
    for name in rng.sample(COLOUR_NAMES, len(COLOUR_NAMES)):
        rgb = pick_rgb(rng, name)
        if name not in ground.colours and all(is_far(rgb, other) for other in (*ground.rgbs, *(c for _, c in found))):
            found.append((name, rgb))
        if len(found) == count:
            break
    return found


def _pick_ground(rng: random.Random) -> Ground:
    if rng.random() < 0.5:
        return Ground("plain", ("white",), (pick_rgb(rng, "white", True),), 0)
    ground = pick_ground(rng)
    return Ground("plain", ground.colours[:1], ground.rgbs[:1], 0)


def _pick_lengths(rng: random.Random, count: int) -> list[float]:
    levels = rng.sample(range(_LEVELS), count)
    scale = 1 / (max(levels) + 1.5)  # the longest nearly fills the chart
    return [(level + 1.2 + rng.uniform(-0.12, 0.12)) * scale for level in levels]


def _pick_shares(rng: random.Random, count: int) -> list[float]:
    """At least _LEAST_SHARE each, and _SHARE_STEP apart: what remains is given to the larger ones at random."""
    spare = 1 - count * _LEAST_SHARE - _SHARE_STEP * count * (count - 1) / 2
    cuts = sorted(rng.random() for _ in range(count - 1))
    gifts = [spare * (b - a) for a, b in zip((0, *cuts), (*cuts, 1))]
    shares, raised = [], 0.0
    for i in range(count):
        raised += gifts[i] / (count - i)
        shares.append(_LEAST_SHARE + _SHARE_STEP * i + raised)
    rng.shuffle(shares)
    return shares


def _bar_boxes(rng: random.Random, lengths: list[float], area: Box, across: bool) -> list[Box]:
    """The bars' boxes; across: they lie, and are told from the top."""
    left, top, right, bottom = area
    room = (bottom - top if across else right - left) / len(lengths)
    thick = room * rng.uniform(0.5, 0.86)
    boxes = []
    for i, length in enumerate(lengths):
        start = (top if across else left) + room * (i + 0.5) - thick / 2
        if across:
            boxes.append((left, start, left + length * (right - left), start + thick))
        else:
            boxes.append((start, bottom - length * (bottom - top), start + thick, bottom))
    return boxes


def _pick_extra(rng: random.Random, materials: Materials, held_out: bool, ground: Ground) -> dict[str, Any]:
    """How the chart is furnished."""
    fonts = materials.held_out_fonts if held_out else materials.fonts
    ink = (40, 40, 40) if printing.luminance(ground.rgbs[0]) > 120 else (235, 235, 235)
    return {
        "ink": ink,
        "font": str(rng.choice(fonts)),
        "title": rng.choice(_TITLES) if rng.random() < 0.3 else "",
        "labels": rng.choice(_LABELS) if rng.random() < 0.35 else (),
        "grid": rng.random() < 0.35,
        "axes": rng.choice(("both", "both", "base", "none")),
        "edge": rng.random() < 0.2,
    }


def _area(rng: random.Random, width: int, height: int, extra: dict[str, Any]) -> Box:
    left, right = width * rng.uniform(0.07, 0.16), width * (1 - rng.uniform(0.04, 0.12))
    top = height * (0.19 if extra["title"] else rng.uniform(0.05, 0.14))
    return left, top, right, height * (1 - (0.14 if extra["labels"] else rng.uniform(0.05, 0.13)))


def _bars(
    rng: random.Random, colours: list[tuple[str, Rgb]], area: Box, width: int, height: int
) -> tuple[list[Thing], dict[str, Any]]:
    across = rng.random() < 0.35
    lengths = _pick_lengths(rng, len(colours))
    boxes = _bar_boxes(rng, lengths, area, across)
    things = []
    for (name, rgb), (x0, y0, x1, y1) in zip(colours, boxes):
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        place = place_of(x / width, y / height)
        radius = math.hypot(x1 - x0, y1 - y0) / 2
        things.append(Thing("bar", "", "bar", article(f"{name} bar"), name, x, y, radius, place, rgb=rgb))
    return things, {"chart": "bar", "across": across, "values": lengths, "boxes": boxes, "area": area}


def _slices(
    rng: random.Random, colours: list[tuple[str, Rgb]], area: Box, width: int, height: int
) -> tuple[list[Thing], dict[str, Any]]:
    shares = _pick_shares(rng, len(colours))
    left, top, right, bottom = area
    radius = min(right - left, bottom - top) / 2 * rng.uniform(0.86, 1)
    cx, cy = (left + right) / 2, (top + bottom) / 2
    things, start = [], 0.0
    for (name, rgb), share in zip(colours, shares):
        middle = 2 * math.pi * (start + share / 2)
        x, y = cx + 0.6 * radius * math.sin(middle), cy - 0.6 * radius * math.cos(middle)
        place = place_of(x / width, y / height)
        things.append(Thing("slice", "", "slice", article(f"{name} slice"), name, x, y, radius * 0.6, place, rgb=rgb))
        start += share
    hole = rng.uniform(0.3, 0.55) if rng.random() < 0.2 else 0
    extra = {
        "chart": "pie",
        "values": shares,
        "disc": (cx, cy, radius),
        "hole": hole,
        "area": area,
        "labels": (),
    }
    return things, extra


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    width, height = printing.pick_size(rng, 0.65, 1.7)
    ground = _pick_ground(rng)
    extra = _pick_extra(rng, materials, held_out, ground)
    is_bar = rng.random() < 0.58
    colours = _pick_colours(rng, ground, rng.randint(2, 6 if is_bar else 5))
    area = _area(rng, width, height, extra)
    things, more = (_bars if is_bar else _slices)(rng, colours, area, width, height)
    return Scene("chart", width, height, ground, tuple(things), extra | more)


def _draw_frame(pen: ImageDraw.ImageDraw, scene: Scene) -> None:
    """Axes and grid."""
    left, top, right, bottom = scene.extra["area"]
    ink = tuple(scene.extra["ink"])
    line = max(1, round(max(scene.width, scene.height) / 160))
    if scene.extra["grid"]:
        pale = tuple((a + 3 * b) // 4 for a, b in zip(ink, scene.ground.rgbs[0]))
        for i in range(1, 5):
            x, y = left + (right - left) * i / 4, bottom - (bottom - top) * i / 4
            pen.line((x, top, x, bottom) if scene.extra["across"] else (left, y, right, y), fill=pale)
    if scene.extra["axes"] == "both" or scene.extra["across"]:
        pen.line((left, top, left, bottom), fill=ink, width=line)
    if scene.extra["axes"] == "both" or (scene.extra["axes"] == "base" and not scene.extra["across"]):
        pen.line((left, bottom, right, bottom), fill=ink, width=line)


def _draw_words(image: Image.Image, scene: Scene) -> None:
    """A title, and labels on the bars' axis."""
    left, top, right, bottom = scene.extra["area"]
    path, ink = scene.extra["font"], tuple(scene.extra["ink"])
    if scene.extra["title"]:
        size = max(8, round(top * 0.55))
        printing.draw_text(image, scene.extra["title"], path, size, ((left + right) / 2, top * 0.5), ink)
    room = 0.8 * (right - left) / len(scene.things)
    for label, t in zip(scene.extra["labels"], scene.things):
        if scene.extra["across"]:
            printing.draw_text(image, label, path, max(7, round(left * 0.45)), (left * 0.5, t.y), ink)
        else:
            size = max(6, round(min((scene.height - bottom) * 0.55, room / max(2, len(label)) * 1.6)))
            printing.draw_text(image, label, path, size, (t.x, (bottom + scene.height) / 2), ink)


def _draw_bars(pen: ImageDraw.ImageDraw, scene: Scene, fills: Sequence[Rgb | int], edge: Rgb | None) -> None:
    for box, fill in zip(scene.extra["boxes"], fills):
        pen.rectangle(tuple(box), fill=fill, outline=edge)


def _pie(scene: Scene, ground: Rgb | int, fills: Sequence[Rgb | int], edge: Rgb | None, fine: int) -> Image.Image:
    """The pie in its square, so many times finer."""
    mode = "RGB" if isinstance(ground, tuple) else "L"
    radius = scene.extra["disc"][2] * fine
    side = 2 * math.ceil(scene.extra["disc"][2]) * fine
    pie = Image.new(mode, (side, side), ground)
    pen = ImageDraw.Draw(pie)

    def around(r: float) -> Box:
        return side / 2 - r, side / 2 - r, side / 2 + r, side / 2 + r

    start = -90.0
    for share, fill in zip(scene.extra["values"], fills):
        pen.pieslice(around(radius), start, start + 360 * share, fill=fill, outline=edge, width=fine)
        start += 360 * share
    if scene.extra["hole"]:
        pen.ellipse(around(radius * scene.extra["hole"]), fill=ground)
    return pie


def _draw_pie(drawn: Drawn, scene: Scene, numbers: list[int], edge: Rgb | None) -> None:
    x, y, radius = scene.extra["disc"]
    corner = round(x - math.ceil(radius)), round(y - math.ceil(radius))
    mask = _pie(scene, 0, [255] * len(numbers), None, 3).reduce(3)
    drawn.image.paste(_pie(scene, scene.ground.rgbs[0], [t.rgb for t in scene.things], edge, 3).reduce(3), corner, mask)
    owner = _pie(scene, 0, numbers, None, 1)
    drawn.owner.paste(owner, corner)


def draw(rng: random.Random, scene: Scene, materials: Materials, worn: bool = True) -> Drawn:
    image = draw_ground(rng, scene.ground, scene.width, scene.height, materials)
    drawn = Drawn(image, Image.new("L", image.size))
    numbers = list(range(1, len(scene.things) + 1))
    edge = tuple(scene.extra["ink"]) if scene.extra["edge"] else None
    if scene.extra["chart"] == "bar":
        pen = ImageDraw.Draw(image)
        _draw_frame(pen, scene)
        _draw_bars(pen, scene, [t.rgb for t in scene.things], edge)
        _draw_bars(ImageDraw.Draw(drawn.owner), scene, numbers, None)
    else:
        _draw_pie(drawn, scene, numbers, edge)
    _draw_words(image, scene)
    if worn:
        drawn.image = wear(rng, image)
    return drawn


# --- Questions -----------------------------------------------------------------------------------------------


def _noun(scene: Scene) -> str:
    return scene.things[0].noun


def _degrees(scene: Scene) -> tuple[str, str, str, str]:
    """More, less, most and least."""
    if scene.extra["chart"] == "pie":
        return "larger", "smaller", "largest", "smallest"
    return (
        ("longer", "shorter", "longest", "shortest")
        if scene.extra["across"]
        else ("taller", "shorter", "tallest", "shortest")
    )


def _counted(scene: Scene) -> str:
    return f"{NUMBERS[len(scene.things)]} {_noun(scene)}s"


def _colour(scene: Scene, i: int) -> str:
    return about(i, scene.things[i].colour)


def _colours(scene: Scene) -> str:
    return join([_colour(scene, i) for i in range(len(scene.things))])


def _order(scene: Scene) -> str:
    if scene.extra["chart"] == "pie":
        return "clockwise from the top"
    return "from top to bottom" if scene.extra["across"] else "from left to right"


def _extreme(scene: Scene, most: bool) -> int:
    values: list[float] = scene.extra["values"]
    return values.index(max(values) if most else min(values))


def ask_brief(rng: random.Random, scene: Scene) -> Turn | None:
    answer = f"A {scene.extra['chart']} chart with {_counted(scene)}: {_colours(scene)}."
    return Turn(vary(rng, rng.choice(BRIEF)), answer, "describe briefly")


def ask_full(rng: random.Random, scene: Scene) -> Turn | None:
    answer = (
        f"The picture shows a {scene.extra['chart']} chart with {_counted(scene)} {on_ground(scene)}: {_colours(scene)} "
        f"{_order(scene)}. The {_degrees(scene)[2]} {_noun(scene)} is {_colour(scene, _extreme(scene, True))}."
    )
    return Turn(vary(rng, rng.choice(FULL)), answer, "describe")


def ask_what(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "What {kind|type|sort} of {chart|diagram|graph|plot} is {this|it|that|shown}?",
        "Which {kind of |type of |}{chart|diagram|graph} is {this|it}?",
        "What {chart|diagram|graph} {is this|do you see}?", "Is {this|it} a {bar|pie} chart or a {pie|bar} chart?",
        "What kind of {PIC} is this?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"It is a {scene.extra['chart']} chart with {_counted(scene)}.", "chart")


def ask_whether_chart(rng: random.Random, scene: Scene) -> Turn | None:
    asked = rng.choice(("bar", "pie"))
    question = rng.choice(
        (f"Is {{this|it|that}} a {asked} {{chart|graph|diagram}}?", f"Does the {{PIC}} show a {asked} chart?")
    )
    truly = asked == scene.extra["chart"]
    return Turn(
        vary(rng, question),
        f"{'Yes' if truly else 'No'}, it is a {scene.extra['chart']} chart.",
        "yes" if truly else "no",
    )


def ask_number(rng: random.Random, scene: Scene) -> Turn | None:
    nouns = f"{_noun(scene)}s" if scene.extra["chart"] == "bar" else "{slices|slices|parts|sectors|pieces}"
    question = rng.choice((
        f"How many {nouns} {{are there|do you see|can you see|are}} {{THERE}}?", f"How many {nouns}{{| are there}}?",
        f"Count the {nouns}{{| {{THERE}}}}.", f"How many {nouns} does the {{{{PIC}}|chart|diagram}} {{show|have}}?",
        f"What is the number of {nouns}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"There are {_counted(scene)}.", "number")


def ask_extreme(rng: random.Random, scene: Scene) -> Turn | None:
    most = rng.random() < 0.55
    told = _degrees(scene)[2 if most else 3]
    larger, smaller = (
        ("{largest|biggest|highest}", "{smallest|lowest}")
        if scene.extra["chart"] == "bar"
        else ("{largest|biggest}", "smallest")
    )
    word = told if rng.random() < 0.65 else larger if most else smaller
    noun = _noun(scene)
    question = rng.choice((
        f"{{What|Which}} {{COLOUR}} is the {word} {noun}{{| {{THERE}}}}?", f"Which {noun} is {{the |}}{word}?",
        f"Which is the {word} {noun}?", f"What is the {{COLOUR}} of the {word} {noun}?",
        f"Which {{COLOUR}} {{is|has}} the {word}{{| {noun}}}?", f"What is the {word} {noun}?",
        f"Which {noun} {{has|shows}} the {{{'largest|highest|most|greatest' if most else 'smallest|lowest|least'}}} {{value|number}}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {told} {noun} is {_colour(scene, _extreme(scene, most))}.", "compare")


def ask_compare(rng: random.Random, scene: Scene) -> Turn | None:
    i, j = rng.sample(range(len(scene.things)), 2)
    a, b, noun = scene.things[i].colour, scene.things[j].colour, _noun(scene)
    asked = rng.randrange(2)  # more or less
    words = _degrees(scene)
    loose = ("{bigger|higher|larger}", "{smaller|lower}") if scene.extra["chart"] == "bar" else ("bigger", "smaller")
    word = words[asked] if rng.random() < 0.7 else loose[asked]
    question = rng.choice((
        f"Is the {a} {noun} {word} than the {b} {{one|{noun}}}?", f"Is the {a} {noun} {word} than the {b} one?",
        f"Is {a} {word} than {b}?",
    ))  # fmt: skip
    is_more = scene.extra["values"][i] > scene.extra["values"][j]
    truly = is_more == (asked == 0)
    told = words[0 if is_more else 1]
    answer = (
        f"{'Yes' if truly else 'No'}, the {_colour(scene, i)} {noun} is {told} than the {_colour(scene, j)} {noun}."
    )
    return Turn(vary(rng, question), answer, "compare")


def ask_which_more(rng: random.Random, scene: Scene) -> Turn | None:
    i, j = rng.sample(range(len(scene.things)), 2)
    a, b, noun = scene.things[i].colour, scene.things[j].colour, _noun(scene)
    more, less = _degrees(scene)[:2]
    asked = rng.randrange(2)
    question = rng.choice((
        f"Which is {(more, less)[asked]}, the {a} {noun} or the {b} {{one|{noun}}}?",
        f"Which {noun} is {(more, less)[asked]}: {a} or {b}?",
        f"Compare the {a} {noun} {{with|and|to}} the {b} {{one|{noun}}}.",
    ))  # fmt: skip
    is_more = scene.extra["values"][i] > scene.extra["values"][j]
    if question.startswith("Compare"):
        told = (more, less)[0 if is_more else 1]
    else:
        told = (more, less)[asked]
        if is_more != (asked == 0):
            i, j = j, i
    return Turn(
        vary(rng, question),
        f"The {_colour(scene, i)} {noun} is {told} than the {_colour(scene, j)} {noun}.",
        "compare",
    )


def ask_colours(rng: random.Random, scene: Scene) -> Turn | None:
    nouns = f"{_noun(scene)}s"
    question = rng.choice((
        f"{{What|Which}} {{COLOUR}}s {{are|have}} the {nouns}?",
        "{What|Which} {COLOUR}s {are there|do you see|are used} {THERE}?",
        f"{{List|Name}} the {{COLOUR}}s{{| of the {nouns}| in order}}.",
        f"{{List|Name|Tell me}} the {nouns}{{| {_order(scene)}| in order}}.", f"Which {nouns} are there?",
        f"What {{COLOUR}} are the {nouns} {_order(scene)}?",
    ))  # fmt: skip
    order = _order(scene)
    return Turn(vary(rng, question), f"{order[0].upper()}{order[1:]}, the {nouns} are {_colours(scene)}.", "colours")


def ask_nth(rng: random.Random, scene: Scene) -> Turn | None:
    if scene.extra["chart"] == "pie":
        return None
    i = rng.randrange(len(scene.things))
    nth = ("first", "second", "third", "fourth", "fifth", "sixth")[i]
    if i == len(scene.things) - 1 and rng.random() < 0.7:
        nth = "last"
    side = "top" if scene.extra["across"] else "left"
    end = "" if nth == "last" else f"{{|| from the {side}}}"
    question = rng.choice((
        f"{{What|Which}} {{COLOUR}} {{is|has}} the {nth} bar{end}?",
        f"What is the {{COLOUR}} of the {nth} bar{end}?", f"The {nth} bar: what {{COLOUR}}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {nth} bar is {_colour(scene, i)}.", "colour")


def ask_presence(rng: random.Random, scene: Scene) -> Turn | None:
    truly, noun = rng.random() < 0.5, _noun(scene)
    present = [t.colour for t in scene.things]
    colour = rng.choice(present if truly else [c for c in COLOUR_NAMES if c not in present])
    question = rng.choice((
        f"Is there {article(colour)} {noun}{{| {{THERE}}}}?", f"{{Do|Can}} you see {article(colour)} {noun}?",
        f"Is one of the {noun}s {colour}?",
        f"Does the {{chart|diagram|{{PIC}}}} {{have|show|contain}} {article(colour)} {noun}?",
        f"Is any {noun} {colour}?",
    ))  # fmt: skip
    if not truly:
        return Turn(vary(rng, question), f"No, there is no {colour} {noun}.", "no")
    return Turn(
        vary(rng, question),
        f"Yes, there is a{'n' if colour[0] in 'aeiou' else ''} {_colour(scene, present.index(colour))} {noun}.",
        "yes",
    )


def ask_half(rng: random.Random, scene: Scene) -> Turn | None:
    i = rng.randrange(len(scene.things))
    if rng.random() < 0.5:
        i = _extreme(scene, True)
    share = scene.extra["values"][i]
    if scene.extra["chart"] == "bar" or 0.44 < share < 0.56:
        return None
    colour = scene.things[i].colour
    question = rng.choice((
        f"Is the {colour} {{slice|part}} more than {{half|a half|half of the {{pie|chart}}}}?",
        f"Is the {colour} slice {{larger|bigger}} than half{{| the pie}}?",
        f"Does {{the {colour} slice|{colour}}} {{fill|cover|take|make up}} more than half{{| of the {{pie|chart}}}}?",
    ))  # fmt: skip
    truly = share > 0.5
    told = "more" if truly else "less"
    return Turn(
        vary(rng, question),
        f"{'Yes' if truly else 'No'}, the {_colour(scene, i)} slice is {told} than half.",
        "compare",
    )


def ask_value(rng: random.Random, scene: Scene) -> Turn | None:
    noun, colour = _noun(scene), rng.choice(scene.things).colour
    question = rng.choice((
        f"{{What value|Which value|What number}} does the {colour} {noun} {{show|have|stand for}}?",
        f"How {{much|many}} is the {colour} {noun}?", f"What is the {{exact |}}value of the {colour} {noun}?",
        "What are the {exact |}{values|numbers}?", f"What does the {colour} {noun} {{mean|stand for|represent}}?",
        "What {percentage|share} is it?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"I cannot tell. I can compare the {noun}s, but I read no values.", "cannot tell")


SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_brief, 0.1), (ask_full, 0.17), (ask_number, 0.12), (ask_what, 0.06), (ask_whether_chart, 0.03),
    (ask_extreme, 0.18), (ask_compare, 0.1), (ask_which_more, 0.04), (ask_colours, 0.08), (ask_nth, 0.04),
    (ask_presence, 0.06), (ask_half, 0.03), (ask_value, 0.015),
)  # fmt: skip
CAPTION_SKILLS: tuple[tuple[Ask, float], ...] = ((ask_brief, 0.35), (ask_full, 0.5), (ask_extreme, 0.15))
