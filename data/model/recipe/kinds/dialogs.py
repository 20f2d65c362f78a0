"""Dialogs as desktops draw them: a message, perhaps a title and an icon, and one to three buttons."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from ..draw import draw_ground, wear
from ..materials import Materials
from ..scene import Drawn, Rgb, Scene, Thing, pick_ground, place_of
from ..wording import BRIEF, FULL, NUMBERS, Ask, Turn, about, article, join, vary
from . import printing, words

_SMALLEST, _LARGEST = 9.5, 14.0  # of fonts, in pixels that the model sees
_LABELS = (
    "OK", "Cancel", "Yes", "No", "Save", "Discard", "Delete", "Open", "Close", "Retry", "Apply", "Help", "Next",
    "Back", "Quit", "Stop", "Start", "Skip", "Finish", "Continue", "Allow", "Deny", "Install", "Remove", "Replace",
    "Rename", "Reload", "Send", "Print", "Later", "Ignore", "Abort", "Undo", "Copy", "Login", "Exit", "Update",
    "Restart", "Keep", "Done",
)  # fmt: skip
_SETS = (
    ("Cancel", "OK"), ("No", "Yes"), ("Cancel", "Save"), ("Cancel", "Delete"), ("Cancel", "Open"), ("Close",),
    ("OK",), ("Retry", "Cancel"), ("Back", "Next"), ("Yes", "No"), ("OK", "Cancel"), ("Discard", "Save"),
    ("Deny", "Allow"), ("Later", "Restart"), ("Cancel", "Replace"), ("Cancel", "Quit"), ("Cancel", "No", "Yes"),
    ("Yes", "No", "Cancel"), ("OK", "Cancel", "Apply"), ("Help", "Back", "Next"), ("Abort", "Retry", "Ignore"),
    ("Discard", "Cancel", "Save"), ("Skip", "Next"), ("Help", "OK"), ("Cancel", "Install"), ("Done",),
    ("Cancel", "Send"), ("Stop", "Continue"),
)  # fmt: skip
_MESSAGES = (
    "Save changes?", "Delete file?", "Are you sure?", "File not found", "Quit now?", "Update ready", "Disk is full",
    "Continue?", "Connection lost", "Try again?", "Access denied", "Please wait", "Print done", "Replace file?",
    "Empty trash?", "Low battery", "No network", "Wrong password", "Restart now?", "Send report?", "Open file?",
    "Close window?", "All done", "Not enough space", "Log out?", "Shut down?", "Install update?", "File exists",
    "Copy failed", "Printer offline", "Remove user?", "Stop download?", "New version", "Unknown error",
    "Allow access?", "Out of memory", "Page not found", "Discard draft?", "Backup finished", "Time is up",
    "Welcome!", "Error", "Warning", "Failed", "Saved", "Rename folder?", "Reset settings?", "Exit game?",
    "Upload failed", "Message sent", "Invalid name", "Insert disk", "Login failed", "Read only", "Keep file?",
    "Sign in", "Game over", "Paper jam", "Task complete",
)  # fmt: skip
_TITLES = (
    "Warning", "Error", "Question", "Save", "Delete", "Files", "Settings", "Confirm", "Information", "Update",
    "Printer", "Editor", "Notes", "Mail", "Music", "Backup", "Network", "Login", "Help", "Setup", "Message", "Quit",
    "Alert", "Install", "Photos", "Calendar",
)  # fmt: skip
_ICONS = {"exclamation mark": "!", "question mark": "?", "letter i": "i"}
_ICON_RGBS: dict[str, tuple[Rgb, ...]] = {
    "exclamation mark": ((229, 165, 10), (246, 195, 40), (224, 27, 36)),
    "question mark": ((53, 132, 228), (38, 110, 190)),
    "letter i": ((53, 132, 228), (46, 150, 200), (38, 162, 105)),
}
_BLUES: tuple[Rgb, ...] = ((53, 132, 228), (0, 103, 192), (36, 105, 220), (61, 105, 225), (20, 110, 230))
_REDS: tuple[Rgb, ...] = ((192, 28, 40), (224, 27, 36), (211, 47, 47))
_DANGEROUS = ("Delete", "Discard", "Remove", "Quit")


Box = tuple[float, float, float, float]


# --- Pictures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """A desktop's colours and corners."""

    face: Rgb
    ink: Rgb
    bar: Rgb  # behind the title
    bar_ink: Rgb
    button: Rgb
    edge: Rgb
    rounded: bool


def _grey(value: float) -> Rgb:
    v = round(min(255, max(0, value)))
    return v, v, v


def _pick_look(rng: random.Random, is_dark: bool) -> Look:
    rounded = rng.random() < 0.65
    face = rng.uniform(28, 62) if is_dark else rng.uniform(232, 255)
    ink = _grey(rng.uniform(235, 255) if is_dark else rng.uniform(0, 45))
    step = 1 if is_dark else -1
    bar = _grey(face + step * rng.uniform(-6, 22))
    bar_ink = ink
    if rng.random() < 0.2:
        bar, bar_ink = rng.choice(_BLUES), (255, 255, 255)
    button = _grey(face + step * rng.uniform(14, 34))
    return Look(_grey(face), ink, bar, bar_ink, button, _grey(face + step * rng.uniform(40, 90)), rounded)


def _pick_labels(rng: random.Random) -> tuple[str, ...]:
    if rng.random() < 0.55:
        return rng.choice(_SETS)
    return tuple(rng.sample(_LABELS, rng.choices((1, 2, 3), (0.25, 0.45, 0.3))[0]))


def _pick_message(rng: random.Random) -> str:
    if rng.random() < 0.65:
        return rng.choice(_MESSAGES)
    texts = [rng.choice(words.COMMON) for _ in range(rng.choice((1, 2, 2, 3)))]
    texts[0] = texts[0].capitalize()
    return " ".join(texts) + rng.choice(("", "?", ""))


@dataclass(frozen=True)
class Type:
    """The one font of a dialog; most lengths are told in its size."""

    path: str
    size: int

    def width(self, text: str) -> float:
        return printing.load_font(self.path, self.size).getlength(text)


@dataclass(frozen=True)
class Frame:
    """The window's edges, and the height of its title bar."""

    left: float
    top: float
    right: float
    bottom: float
    bar: float


def _pick_texts(rng: random.Random, type_: Type, room: float) -> tuple[tuple[str, ...], str] | None:
    """Labels and a message that fit in a line each; None after a few tries."""
    for _ in range(12):
        labels, message = _pick_labels(rng), _pick_message(rng)
        needed = sum(type_.width(label) + 1.3 * type_.size for label in labels) + 0.5 * type_.size * (len(labels) - 1)
        if needed <= room and type_.width(message) <= room:
            return labels, message
    return None


def _button_spans(
    rng: random.Random, type_: Type, labels: tuple[str, ...], left: float, right: float
) -> list[tuple[float, float]]:
    """Left and right of each button: at the right, in the middle, or sharing the whole width."""
    gap = 0.5 * type_.size
    widths = [type_.width(label) + 1.2 * type_.size for label in labels]
    style = rng.choice(("right", "right", "middle", "share"))
    each = (right - left + gap) / len(widths) - gap
    if style == "share" and each >= max(widths):
        return [(left + i * (each + gap), left + i * (each + gap) + each) for i in range(len(widths))]
    total = sum(widths) + gap * (len(widths) - 1)
    x = right - total if style == "right" else (left + right - total) / 2
    spans = []
    for width in widths:
        spans.append((x, x + width))
        x += width + gap
    return spans


def _thing(kind: str, text: str, x: float, y: float, wide: float, canvas: tuple[int, int]) -> Thing:
    noun = "button" if kind == "button" else "text"
    return Thing(kind, text, noun, f'the {noun} "{text}"', "", x, y, wide / 2, place_of(x / canvas[0], y / canvas[1]))


def _buttons_and_boxes(
    rng: random.Random, type_: Type, labels: tuple[str, ...], frame: Frame, canvas: tuple[int, int]
) -> tuple[list[Thing], list[Box]]:
    margin, tall = 0.6 * type_.size, type_.size * rng.uniform(1.7, 2.0)
    spans = _button_spans(rng, type_, labels, frame.left + margin, frame.right - margin)
    bottom = frame.bottom - margin
    things = [
        _thing("button", label, (x0 + x1) / 2, bottom - tall / 2, x1 - x0, canvas)
        for label, (x0, x1) in zip(labels, spans)
    ]
    return things, [(x0, bottom - tall, x1, bottom) for x0, x1 in spans]


def _message_and_icon(
    rng: random.Random, type_: Type, message: str, icon: str, body: Box, canvas: tuple[int, int]
) -> tuple[Thing, Box | None]:
    """The message's line, and the box of an icon before it if there is room."""
    left, top, right, bottom = body
    middle, wide = (top + bottom) / 2, type_.width(message)
    side = min(1.9 * type_.size, 0.8 * (bottom - top)) if icon else 0
    gap = 0.6 * type_.size if icon else 0
    if wide + side + gap > right - left:
        side = gap = 0
    start = left if rng.random() < 0.5 else (left + right - wide - side - gap) / 2
    box = (start, middle - side / 2, start + side, middle + side / 2)
    return _thing("word", message, start + side + gap + wide / 2, middle, wide, canvas), box if side else None


def _title(rng: random.Random, type_: Type, title: str, frame: Frame, canvas: tuple[int, int]) -> Thing:
    wide = type_.width(title)
    start = frame.left + 0.6 * type_.size
    x = rng.choice(((frame.left + frame.right) / 2, start + wide / 2))
    return _thing("word", title, x, frame.top + frame.bar / 2, wide, canvas)


def _pick_lit(rng: random.Random, labels: tuple[str, ...]) -> tuple[int, Rgb, str]:
    """The number of the highlighted button or -1, and its colour."""
    if rng.random() < 0.4:
        return -1, (0, 0, 0), ""
    i = len(labels) - 1 if rng.random() < 0.6 else rng.randrange(len(labels))
    is_red = labels[i] in _DANGEROUS and rng.random() < 0.7
    return i, rng.choice(_REDS if is_red else _BLUES), "red" if is_red else "blue"


def _pick_type(rng: random.Random, fonts: list[Path], seen: float, room: float) -> tuple[Type, tuple[str, ...], str]:
    """A font with the labels and the message that fit at its size."""
    for attempt in range(20):
        largest = _LARGEST if attempt < 10 else _SMALLEST
        type_ = Type(str(rng.choice(fonts)), round(seen * rng.uniform(_SMALLEST, largest)))
        if texts := _pick_texts(rng, type_, room):
            return type_, *texts
    return type_, ("OK",), "Error"


def _pick_title(rng: random.Random, type_: Type, room: float, message: str) -> str | None:
    """None: there is no title bar; empty: there is one without a title."""
    if rng.random() < 0.3:
        return None
    title = rng.choice(_TITLES) if rng.random() < 0.85 else ""
    return title if type_.width(title) <= 0.6 * room and title != message else ""


def pick(rng: random.Random, materials: Materials, held_out: bool) -> Scene:
    canvas = width, height = printing.pick_size(rng, 0.95, 1.7)
    fonts = materials.held_out_fonts if held_out else materials.fonts
    room = 0.84 * width
    type_, labels, message = _pick_type(rng, fonts, printing.seen_scale(width, height), room)
    title = _pick_title(rng, type_, room, message)
    inset_x, inset_y = width * rng.uniform(0.02, 0.045), height * rng.uniform(0.03, 0.1)
    bar = 0 if title is None else 2.0 * type_.size
    frame = Frame(inset_x, inset_y, width - inset_x, height - inset_y, bar)

    things, boxes = _buttons_and_boxes(rng, type_, labels, frame, canvas)
    lit, rgb, colour = _pick_lit(rng, labels)
    if lit >= 0:
        things[lit] = replace(things[lit], colour=colour, rgb=rgb)
    icon = rng.choice(tuple(_ICONS)) if rng.random() < 0.5 else ""
    margin = 0.6 * type_.size
    body = (frame.left + margin, frame.top + bar, frame.right - margin, boxes[0][1])
    text, icon_box = _message_and_icon(rng, type_, message, icon, body, canvas)
    things.append(text)
    if title:
        things.append(_title(rng, type_, title, frame, canvas))

    is_dark = rng.random() < 0.4
    extra: dict[str, Any] = {
        "font": type_.path, "size": type_.size, "frame": vars(frame), "boxes": boxes, "lit": lit,
        "title": title or "", "icon": icon if icon_box else "", "icon_box": icon_box,
        "icon_rgb": rng.choice(_ICON_RGBS[icon]) if icon else None, "dark": is_dark,
        "look": vars(_pick_look(rng, is_dark)), "close": rng.random() < 0.8,
    }  # fmt: skip
    return Scene("dialog", width, height, pick_ground(rng), tuple(things), extra)


def _draw_window(pen: ImageDraw.ImageDraw, scene: Scene, look: Look) -> None:
    """The frame, its title bar and the cross that closes it."""
    frame, size = Frame(**scene.extra["frame"]), scene.extra["size"]
    left, top, right, bottom, bar = frame.left, frame.top, frame.right, frame.bottom, frame.bar
    radius = 0.7 * size if look.rounded else 0
    pen.rounded_rectangle((left, top, right, bottom), radius, fill=look.face, outline=look.edge)
    if not bar:
        return
    pen.rounded_rectangle((left, top, right, top + bar), radius, fill=look.bar, corners=(True, True, False, False))
    if scene.extra["close"]:
        x, y, r = right - bar / 2, top + bar / 2, 0.28 * size
        line = max(1, round(size / 8))
        pen.line((x - r, y - r, x + r, y + r), fill=look.bar_ink, width=line)
        pen.line((x - r, y + r, x + r, y - r), fill=look.bar_ink, width=line)


def _draw_icon(image: Image.Image, scene: Scene) -> None:
    if not scene.extra["icon"]:
        return
    x0, y0, x1, y1 = scene.extra["icon_box"]
    ImageDraw.Draw(image).ellipse((x0, y0, x1, y1), fill=tuple(scene.extra["icon_rgb"]))
    size = max(6, round(0.8 * (x1 - x0)))
    mark = _ICONS[scene.extra["icon"]]
    printing.draw_text(image, mark, scene.extra["font"], size, ((x0 + x1) / 2, (y0 + y1) / 2), (255, 255, 255))


def draw(rng: random.Random, scene: Scene, materials: Materials, worn: bool = True) -> Drawn:
    image = draw_ground(rng, scene.ground, scene.width, scene.height, materials)
    drawn = Drawn(image, Image.new("L", image.size))
    pen, owner = ImageDraw.Draw(image), ImageDraw.Draw(drawn.owner)
    colours: dict[str, Any] = {k: tuple(v) if k != "rounded" else v for k, v in scene.extra["look"].items()}
    look = Look(**colours)
    path, size, boxes = scene.extra["font"], scene.extra["size"], scene.extra["boxes"]
    _draw_window(pen, scene, look)
    _draw_icon(image, scene)
    for i, t in enumerate(scene.things):
        ink = look.ink
        if t.kind == "button":
            face, ink = (t.rgb, (255, 255, 255)) if i == scene.extra["lit"] else (look.button, look.ink)
            pen.rounded_rectangle(boxes[i], 0.4 * size if look.rounded else 0, fill=face, outline=look.edge)
            owner.rectangle(boxes[i], fill=i + 1)
        elif i == len(boxes) + 1:
            ink = look.bar_ink
        letters, box = printing.draw_text(image, t.name, path, size, (t.x, t.y), ink)
        drawn.letters += letters
        if t.kind != "button":
            owner.polygon(box, fill=i + 1)
    if worn:
        drawn.image = wear(rng, image)
    return drawn


# --- Questions -----------------------------------------------------------------------------------------------


def _quoted(scene: Scene, i: int) -> str:
    return f'"{about(i, scene.things[i].name)}"'


def _buttons(scene: Scene) -> list[int]:
    return [i for i, t in enumerate(scene.things) if t.kind == "button"]


def _counted(scene: Scene) -> str:
    n = len(_buttons(scene))
    return "one button" if n == 1 else f"{NUMBERS[n]} buttons"


def _all_buttons(scene: Scene) -> str:
    found = _buttons(scene)
    verb = "button is" if len(found) == 1 else "buttons are"
    return f"The {verb} {join([_quoted(scene, i) for i in found])}"


def _message(scene: Scene) -> str:
    return f"It says {_quoted(scene, len(_buttons(scene)))}."


def _asked_button(rng: random.Random, label: str) -> str:
    return rng.choice((f'"{label}" button', f"{label} button", f"{label} button", f'button {{that says |}}"{label}"'))


def ask_brief(rng: random.Random, scene: Scene) -> Turn | None:
    found = _buttons(scene)
    noun = "button" if len(found) == 1 else "buttons"
    answer = (
        f"A dialog that says {_quoted(scene, len(found))}, with the {noun} {join([_quoted(scene, i) for i in found])}."
    )
    return Turn(vary(rng, rng.choice(BRIEF)), answer, "describe briefly")


def ask_full(rng: random.Random, scene: Scene) -> Turn | None:
    light = "dark" if scene.extra["dark"] else "light"
    title = f" with the title {_quoted(scene, len(scene.things) - 1)}" if scene.extra["title"] else ""
    lit = scene.extra["lit"]
    highlighted = f", and {_quoted(scene, lit)} is highlighted" if lit >= 0 else ""
    answer = f"The picture shows a {light} dialog{title}. {_message(scene)} {_all_buttons(scene)}{highlighted}."
    return Turn(vary(rng, rng.choice(FULL)), answer, "describe")


def ask_what(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "What {kind|type|sort} of {window|screen|screenshot|thing} is {this|it|that|shown}?",
        "What window is {this|it}?", "Is {this|it} a {window|dialog}?",
        "What kind of {user interface|interface|widget} is {this|it|shown}?",
        "What {is this|do you see}: a {chart or a dialog|dialog or a drawing}?",
    ))  # fmt: skip
    yes = "Yes, it" if question.startswith("Is") else "It"
    return Turn(vary(rng, question), f"{yes} is a dialog with {_counted(scene)}.", "dialog")


def ask_number(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "How many buttons {are there|do you see|can you see|are} {THERE}?", "How many buttons{| are there}?",
        "Count the buttons{| {THERE}}.", "How many buttons does {it|the dialog|this {window|dialog}} have?",
        "What is the number of buttons?", "How many {choices|options} {are there|do I have}?",
    ))  # fmt: skip
    verb = "is" if len(_buttons(scene)) == 1 else "are"
    return Turn(vary(rng, question), f"There {verb} {_counted(scene)}.", "number")


def ask_buttons(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "{What|Which} buttons {are there|do you see|can you see|are} {THERE}?",
        "{What|Which} buttons does {it|the dialog|the window} have?",
        "{List|Name|Read} {all |}the buttons{| {THERE}}.", "What {can|could} I {click|press|choose|tap}{| {THERE}}?",
        "What do the buttons say?", "{What|Which} {choices|options} {are there|do I have}{| {THERE}}?",
        "Which button is there?",
    ))  # fmt: skip
    return Turn(vary(rng, question), _all_buttons(scene) + ".", "buttons")


def ask_lit(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "Which button is {highlighted|the default|active|coloured|colored|emphasised|suggested|marked}?",
        "{What|Which} button {stands out|is highlighted}{| {THERE}}?",
        "Is {a|any} button {highlighted|coloured|marked}?", "What is the {highlighted|default|active} button?",
    ))  # fmt: skip
    lit = scene.extra["lit"]
    answer = f"The {_quoted(scene, lit)} button is highlighted." if lit >= 0 else "No button is highlighted."
    return Turn(vary(rng, question), answer, "highlighted")


def ask_colour(rng: random.Random, scene: Scene) -> Turn | None:
    lit = scene.extra["lit"]
    if lit < 0:
        return None
    t = scene.things[lit]
    if rng.random() < 0.5:
        asked = _asked_button(rng, t.name)
        question = rng.choice(
            (f"{{What|Which}} {{COLOUR}} {{is|has}} the {asked}?", f"What is the {{COLOUR}} of the {asked}?")
        )
    else:
        question = f"Which button is {t.colour}?"
    return Turn(vary(rng, question), f"The {_quoted(scene, lit)} button is {about(lit, t.colour)}.", "colour")


def ask_presence(rng: random.Random, scene: Scene) -> Turn | None:
    found = _buttons(scene)
    i, truly = rng.choice(found), rng.random() < 0.5
    present = [scene.things[j].name for j in found]
    label = scene.things[i].name if truly else rng.choice([name for name in _LABELS if name not in present])
    asked = _asked_button(rng, label)
    question = rng.choice((
        f"Is there {article(asked.lstrip(chr(34)))}{{| {{THERE}}}}?".replace(asked.lstrip('"'), asked),
        f"{{Do|Can}} you see a {asked}?", f"Does {{it|the dialog|the window}} have a {asked}?",
        f"Can I {{click|press|choose}} {label}?",
    ))  # fmt: skip
    if not truly:
        return Turn(vary(rng, question), f'No, there is no "{label}" button.', "no")
    before = article(label).removesuffix(label)
    return Turn(vary(rng, question), f"Yes, there is {before}{_quoted(scene, i)} button.", "yes")


def ask_message(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "What does {it|the dialog|the window|the {PIC}|this|the message} say?",
        "{Read|What is} the message{| {THERE}}.", "What is {the message|the text|written}{| {THERE}}?",
        "Read {it|the text|this|the dialog|the {PIC}|what it says}.",
        "What {text|message} {is shown|does it show|do you see}{| {THERE}}?", "What does it ask{| me}?",
        "What is {this|it|the dialog} about?", "{Transcribe|Copy|Extract} the text.",
    ))  # fmt: skip
    return Turn(vary(rng, question), _message(scene), "read")


def ask_title(rng: random.Random, scene: Scene) -> Turn | None:
    if not scene.extra["title"] and rng.random() < 0.6:
        return None
    question = rng.choice((
        "What is {the|its} title{| {THERE}}?", "Read the title{| bar}.", "What does the title{| bar} say?",
        "What is the {dialog|window} called?", "{Which|What} title {has it|does it have|does the window have}?",
        "What is the title of {the|this} {dialog|window}?",
    ))  # fmt: skip
    answer = (
        f"The title is {_quoted(scene, len(scene.things) - 1)}." if scene.extra["title"] else "The dialog has no title."
    )
    return Turn(vary(rng, question), answer, "read")


def ask_side(rng: random.Random, scene: Scene) -> Turn | None:
    found = _buttons(scene)
    if len(found) < 2:
        return None
    i = rng.choice(found)
    side = ("left", "right") if len(found) == 2 else ("left", "middle", "right")
    preposition = "in the middle" if side[i] == "middle" else f"on the {side[i]}"
    if rng.random() < 0.5:
        asked = _asked_button(rng, scene.things[i].name)
        question = rng.choice(
            (
                f"Where is the {asked}?",
                f"Where {{can I find|do you see}} the {asked}?",
                f"What is the {{place|position}} of the {asked}?",
            )
        )
    else:
        question = rng.choice(
            (
                f"{{Which|What}} button is {preposition}?",
                f"What does the {side[i]} button say?",
                f"What is the {side[i]} button?",
            )
        )
    return Turn(vary(rng, question), f"The {side[i]} button is {_quoted(scene, i)}.", "place")


def ask_icon(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "Is there an icon{| {THERE}}?", "{What|Which} icon {is there|do you see|is shown|does it have}{| {THERE}}?",
        "What does the icon {show|look like}?", "{What|Which} {symbol|sign} {is there|do you see|is shown}?",
        "Describe the icon.",
    ))  # fmt: skip
    icon = scene.extra["icon"]
    if not icon:
        return Turn(vary(rng, question), "There is no icon.", "icon")
    return Turn(
        vary(rng, question),
        f"The icon shows {article(icon) if icon != 'letter i' else 'the letter i'}.",
        "icon",
    )


def ask_light(rng: random.Random, scene: Scene) -> Turn | None:
    question = rng.choice((
        "Is {it|the dialog|this|the window} {light or dark|dark or light|dark|light}?",
        "Does it use a {dark|light} {theme|style|mode}?", "{What|Which} {theme|style|mode} {is it|does it use}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The dialog is {'dark' if scene.extra['dark'] else 'light'}.", "light")


SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_brief, 0.12), (ask_full, 0.18), (ask_message, 0.16), (ask_buttons, 0.14), (ask_number, 0.08),
    (ask_what, 0.04), (ask_lit, 0.05), (ask_colour, 0.03), (ask_presence, 0.08), (ask_title, 0.05), (ask_side, 0.05),
    (ask_icon, 0.03), (ask_light, 0.02),
)  # fmt: skip
CAPTION_SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_brief, 0.35),
    (ask_full, 0.45),
    (ask_message, 0.1),
    (ask_buttons, 0.1),
)
