"""How questions and answers are worded, whatever they are about: questions vary widely, answers hardly."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from .scene import Scene

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Turn:
    question: str  # like the answer, it may hold about()'s marks
    answer: str
    skill: str = ""  # what evaluate.py counts it under


@dataclass(frozen=True)
class Talk:
    """A conversation about the picture, or one without any."""

    turns: tuple[Turn, ...]
    sees_picture: bool = True


Ask = Callable[[random.Random, Scene], Turn | None]

# --- Marks: which thing a part of a turn is about -----------------------------------------------------------

_OPEN, _SPELT, _CLOSE = "\x02", "\x04", "\x03"
NO_THING = 9  # more than there ever are


def about(index: int, text: str) -> str:
    """Text that is about one of the scene's things: training shows the decoder where to look for it."""
    return f"{_OPEN}{index}{text}{_CLOSE}"


def spelt(index: int, text: str) -> str:
    """A text that one of the scene's things bears: it is said letter by letter, each time with a look at that letter."""
    return f"{_OPEN}{index}{_SPELT}{text}{_CLOSE}"


def decisive(text: str) -> str:
    """Text that is about no one thing, and yet what the question is for: it counts like what is about one."""
    return about(NO_THING, text)


def plain(text: str) -> str:
    """The text as it is read, without marks."""
    return re.sub(f"{_OPEN}[0-9]{_SPELT}?|{_CLOSE}", "", text)


def marked_pieces(marked: str) -> list[tuple[str, int, bool]]:
    """The text in pieces, each with the number of the thing that it is about, or -1, and whether it is spelt."""
    pieces: list[tuple[str, int, bool]] = []
    for part in re.split(f"({_OPEN}[0-9][^{_CLOSE}]*{_CLOSE})", marked):
        if part.startswith(_OPEN):
            text = part[2:-1]
            pieces.append((text.removeprefix(_SPELT), int(part[1]), text.startswith(_SPELT)))
        elif part:
            pieces.append((part, -1, False))
    return pieces


# --- Words ---------------------------------------------------------------------------------------------------


_AN = re.compile(r"(?:[aeiouAEIOUÅ8]|hour|heir|honest|x-ray|SOS|NG|MP3|X-ray)")
_NOT_AN = re.compile(r"(?:[Uu]ni(?!n)|use|uku|ukelele|[Ee]u|ewe|one\b|UFO|US)")


def article(words: str) -> str:
    return ("an " if _AN.match(words) and not _NOT_AN.match(words) else "a ") + words


def nothing_there(noun: str) -> str:
    return f"There is no {noun} in the picture."


def place_words(place: str) -> str:
    preposition = "in" if place == "centre" else "on" if place in ("left", "right") else "at"
    return f"{preposition} the {place}"


def join(parts: list[str]) -> str:
    """ "a, b and c". A comma or "and" says that there is one more, and so shares the mark of what follows it."""
    between = [*[", "] * (len(parts) - 2), " and "]
    return parts[0] + "".join(map(_led_by, between, parts[1:]))


def _led_by(words: str, part: str) -> str:
    return part[:2] + words + part[2:] if part.startswith(_OPEN) else words + part


def ground_words(scene: Scene) -> str:
    g = scene.ground
    if g.kind == "gradient":
        return f"{decisive('fades')} from {decisive(g.colours[0])} to {decisive(g.colours[1])}"
    return f"is a {decisive('photograph')}" if g.kind == "photo" else f"is {decisive(g.kind + ' ' + g.colours[0])}"


def on_ground(scene: Scene) -> str:
    g = scene.ground
    if g.kind == "gradient":
        return f"on a background that {ground_words(scene)}"
    return (
        f"on a {decisive('photograph')}"
        if g.kind == "photo"
        else f"on a {decisive(g.kind + ' ' + g.colours[0])} background"
    )


def sentence(text: str) -> str:
    """With a capital first letter, marks or not."""
    match = re.match(f"({_OPEN}[0-9])?(.)(.*)", text, re.DOTALL)
    assert match
    return (match[1] or "") + match[2].upper() + match[3]


def plural(noun: str) -> str:
    head, of, rest = noun.partition(" of ")
    if head.endswith(("s", "x", "ch", "sh")):
        return head + "es" + of + rest
    if head.endswith("y") and head[-2:-1] not in "aeiou":
        return head[:-1] + "ies" + of + rest
    return head + "s" + of + rest


_CHOICE = re.compile(r"\{([^{}]*)\}")
_COMMON = {
    "PIC": "picture|image|picture|image|drawing|photo",
    "THING": "shape|object|shape|thing|figure",
    "THINGS": "shapes|objects|shapes|things|figures",
    "COLOUR": "colour|color",
    "THERE": "in the {PIC}|in this {PIC}|here|there|",
}


def vary(rng: random.Random, template: str) -> str:
    """One of the wordings that a template such as "{Describe|Explain} this {PIC}" stands for."""
    while match := _CHOICE.search(template):
        choices = _COMMON.get(match[1], match[1]).split("|")
        template = template[: match.start()] + rng.choice(choices) + template[match.end() :]
    text = re.sub(r" +([?.,]|$)", r"\1", re.sub(r"  +", " ", template)).strip()
    if rng.random() < 0.06:
        text = (
            rng.choice(("Please ", "Can you tell me: ", "Tell me, ", "Hello! ", "OK, ", "So, ", "Look: "))
            + text[0].lower()
            + text[1:]
        )
    if rng.random() < 0.12:
        text = text[0].lower() + text[1:]
    if rng.random() < 0.12:
        text = text.rstrip("?.")
    return text


# --- The ways in which any picture is asked for --------------------------------------------------------------

BRIEF = (
    "What is {this|that|it|shown|shown here}?",
    "What is in {this|the} {PIC}?",
    "What's in {this|the} {PIC}?",
    "What's this?",
    "What {do you see|can you see|can be seen}{| {THERE}}?",
    "What does {this|the} {PIC} show?",
    "{Describe|Summarise|Summarize|Caption} {this|the} {PIC} {briefly|shortly|in one sentence|in a few words|in short}.",
    "{Briefly|Shortly|In one sentence,} {describe|summarise|caption} {this|the} {PIC}.",
    "{Write|Give|Give me|Suggest} {a |}{short |brief |}{caption|title|alt text|alternative text}{| for {this|the} {PIC}}.",
    "Write alt text for {this|the} {PIC}.",
    "{Give|Write} {a|one} {short|brief|one-sentence} description{| of {this|the} {PIC}}.",
    "Caption this.",
)
FULL = (
    "Describe {this|the} {PIC}.",
    "Describe {this|the} {PIC}.",
    "Please describe {this|the} {PIC}.",
    "{Can|Could} you {please |}describe {this|the} {PIC}?",
    "Describe {this|it|what you see|what is shown}.",
    "Describe {this|the} {PIC} in {detail|full|full detail|as much detail as you can}.",
    "Describe {this|the} {PIC} {in detail |}for {someone|a person} who cannot see {it|the {PIC}}.",
    "Describe {this|the} {PIC} {in detail |}{to|for} {a blind person|someone who is blind|someone blind|me}.",
    "{Give|Write} {a|me a} {detailed|full|long|complete|careful} description{| of {this|the} {PIC}}.",
    "{Explain|Tell me about|Tell me what is in|Tell me everything about} {this|the} {PIC}.",
    "{Provide|Generate} a detailed {description|caption} of {this|the} {PIC}.",
    "What is in {this|the} {PIC} and where{| is it| is everything}?",
    "{I cannot see it|I am blind}. What does {this|the} {PIC} show?",
    "What do you see? {Describe it|Be exact|Give details}.",
)
