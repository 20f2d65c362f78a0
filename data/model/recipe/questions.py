"""What people ask about a scene, and the right answers: questions vary widely, answers hardly."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .scene import COLOUR_NAMES, PLACES, SHAPES, Scene, Thing, pick_scene

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
PLURALS = {s: s + "s" for s in SHAPES} | {"cross": "crosses"}
CANNOT_TELL = "I cannot tell. I only know simple shapes, their colours, places and number."
NO_PICTURE = "There is no picture yet. Add one, and I will describe its shapes."


@dataclass(frozen=True)
class Turn:
    question: str
    answer: str
    skill: str = ""  # what evaluate.py counts it under


@dataclass(frozen=True)
class Talk:
    """A conversation about the picture, or one without any."""

    turns: tuple[Turn, ...]
    sees_picture: bool = True


# --- Wording ---------------------------------------------------------------------------------------------------


def article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def place_words(place: str) -> str:
    preposition = "in" if place == "centre" else "on" if place in ("left", "right") else "at"
    return f"{preposition} the {place}"


def join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def kind(thing: Thing) -> str:
    return f"{thing.colour} {thing.shape}"


def counted(count: int, colour: str, shape: str) -> str:
    """ "a red circle", "two red circles", "no red circles"; colour or shape may be empty."""
    noun = shape or "shape"
    words = f"{colour} {noun}".strip()
    if count == 1:
        return article(words)
    return f"{NUMBERS[count]} {colour} {PLURALS.get(noun, 'shapes')}".replace("  ", " ")


def ground_words(scene: Scene) -> str:
    g = scene.ground
    return (
        f"fades from {g.colours[0]} to {g.colours[1]}"
        if g.kind == "gradient"
        else f"is {g.kind} {g.colours[0]}"
    )


def on_ground(scene: Scene) -> str:
    g = scene.ground
    if g.kind == "gradient":
        return f"on a background that fades from {g.colours[0]} to {g.colours[1]}"
    return f"on {article(g.kind + ' ' + g.colours[0])} background"


def groups(scene: Scene) -> list[str]:
    """The kinds of things from left to right, each with its number."""
    counts = Counter((t.colour, t.shape) for t in scene.things)
    return [counted(n, *colour_shape) for colour_shape, n in counts.items()]


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


# --- Descriptions ----------------------------------------------------------------------------------------------

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


def brief_answer(scene: Scene) -> str:
    if not scene.things:
        return f"There are no shapes, only a background that {ground_words(scene)}."
    text = f"{join(groups(scene))} {on_ground(scene)}."
    return text[0].upper() + text[1:]


def full_answer(scene: Scene) -> str:
    if not scene.things:
        return f"The picture shows no shapes, only a background that {ground_words(scene)}."
    if len(scene.things) == 1:
        t = scene.things[0]
        return f"The picture shows {article((t.size + ' ' + kind(t)).strip())} {place_words(t.place)}, {on_ground(scene)}."
    if len(scene.things) <= 3:
        parts = [f"{article(kind(t))} {place_words(t.place)}" for t in scene.things]
        return f"The picture shows {NUMBERS[len(parts)]} shapes {on_ground(scene)}: {join(parts)}."
    if len(groups(scene)) == 1:
        return f"The picture shows {groups(scene)[0]} {on_ground(scene)}."
    return f"The picture shows {NUMBERS[len(scene.things)]} shapes {on_ground(scene)}: {join(groups(scene))}."


def ask_brief(rng: random.Random, scene: Scene) -> Turn:
    return Turn(vary(rng, rng.choice(BRIEF)), brief_answer(scene), "describe briefly")


def ask_full(rng: random.Random, scene: Scene) -> Turn:
    return Turn(vary(rng, rng.choice(FULL)), full_answer(scene), "describe")


# --- Questions about one thing ---------------------------------------------------------------------------------


def _names(scene: Scene, thing: Thing) -> list[tuple[str, str]]:
    """The (colour, shape) pairs, either possibly empty, that mean this thing and no other."""
    options = [(thing.colour, thing.shape), ("", thing.shape), (thing.colour, "")]
    return [
        (c, s) for c, s in options
        if sum((not c or t.colour == c) and (not s or t.shape == s) for t in scene.things) == 1
    ]  # fmt: skip


def _called(rng: random.Random, colour: str, shape: str) -> str:
    return f"{colour} {shape or vary(rng, '{THING}').lower()}".strip()


def ask_shape(rng: random.Random, scene: Scene) -> Turn | None:
    if len(scene.things) == 1 and rng.random() < 0.7:
        question = rng.choice((
            "{What|Which} {kind of |}{shape|figure|form} is {this|it|that|shown|in the {PIC}}{| {THERE}}?",
            "What {shape|figure} {do you see|can you see|is there}?",
            "What is the {shape|figure}{| {THERE}}?", "Name the shape.",
            "{What|Which} shape does the {PIC} show?", "What shape is the {object|thing|figure}?",
        ))  # fmt: skip
        return Turn(vary(rng, question), f"It is {article(scene.things[0].shape)}.", "shape")
    things = [t for t in scene.things if any(not s for _, s in _names(scene, t))]
    if not things:
        return None
    t = rng.choice(things)
    question = rng.choice((
        f"{{What|Which}} {{kind of |}}shape {{is|has}} the {t.colour} {{object|thing|one|figure}}{{| {{THERE}}}}?",
        f"What is the {t.colour} {{thing|object|one|shape|figure}}{{| {{THERE}}}}?", f"Which shape is {t.colour}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {t.colour} shape is {article(t.shape)}.", "shape")


def ask_colour(rng: random.Random, scene: Scene) -> Turn | None:
    if not scene.things:
        return None
    if len(scene.things) == 1 and rng.random() < 0.4:
        t = scene.things[0]
        question = rng.choice((
            "What {COLOUR} is {it|this|that|the {THING}}{| {THERE}}?", "Which {COLOUR} {is it|has it|does it have}?",
            "What is {its|the} {COLOUR}{| of the {THING}}?", "What {COLOUR}?", "Name the {COLOUR} of the {THING}.",
        ))  # fmt: skip
        return Turn(vary(rng, question), f"The {t.shape} is {t.colour}.", "colour")
    shape = rng.choice(SHAPES) if rng.random() < 0.06 else rng.choice(scene.things).shape
    found = [t for t in scene.things if t.shape == shape]
    verb, noun = ("are", PLURALS[shape]) if len(found) > 1 else ("is", shape)
    question = rng.choice((
        f"What {{COLOUR}} {verb} the {noun}{{| {{THERE}}}}?", f"Which {{COLOUR}} {verb} the {noun}?",
        f"What is the {{COLOUR}} of the {noun}?", f"The {noun}: what {{COLOUR}}?",
        f"Tell me the {{COLOUR}} of the {noun}.",
    ))  # fmt: skip
    if not found:
        return Turn(vary(rng, question), f"There is no {shape} in the picture.", "no such thing")
    colours = join(list(dict.fromkeys(t.colour for t in found)))
    return Turn(vary(rng, question), f"The {noun} {verb} {colours}.", "colour")


def ask_place(rng: random.Random, scene: Scene) -> Turn | None:
    things = [t for t in scene.things if _names(scene, t)]
    if not things:
        return None
    t = rng.choice(things)
    if len(scene.things) == 1 and rng.random() < 0.35:
        question = rng.choice((
            "Where is {it|the {THING}}{| {THERE}}?", "In {what|which} part of the {PIC} is it?", "Where{| exactly}?",
            "What is its {place|position}?", "Where {can I find it|does it lie|is it placed}?",
        ))  # fmt: skip
        return Turn(vary(rng, question), f"The {t.shape} is {place_words(t.place)}.", "place")
    colour, shape = rng.choice(_names(scene, t))
    called = _called(rng, colour, shape)
    question = rng.choice((
        f"Where is the {called}{{| {{THERE}}}}?", f"Where {{can I find|do you see}} the {called}?",
        f"In {{what|which}} part of the {{PIC}} is the {called}?", f"What is the {{place|position|location}} of the {called}?",
        f"Where in the {{PIC}} is the {called}?",
    ))  # fmt: skip
    called_thing = f"{colour} {shape or 'shape'}".strip()
    return Turn(vary(rng, question), f"The {called_thing} is {place_words(t.place)}.", "place")


# --- Questions about several -----------------------------------------------------------------------------------


def _kind_to_ask(rng: random.Random, scene: Scene, absent: bool) -> tuple[str, str] | None:
    """A (colour, shape) pair, either possibly empty, that is in the picture or, nearly, is not."""
    present = {(t.colour, t.shape) for t in scene.things}
    for _ in range(12):
        colour, shape = rng.choice(COLOUR_NAMES), rng.choice(SHAPES)
        if scene.things:
            t = rng.choice(scene.things)
            if not absent:
                colour, shape = t.colour, t.shape
            elif rng.random() < 0.7:  # one half right
                colour, shape = (t.colour, shape) if rng.random() < 0.5 else (colour, t.shape)
        drop = rng.random()
        asked = ("", shape) if drop < 0.4 else (colour, "") if drop < 0.55 else (colour, shape)
        found = any((not asked[0] or asked[0] == c) and (not asked[1] or asked[1] == s) for c, s in present)
        if found != absent:
            return asked
    return None


def _count(scene: Scene, colour: str, shape: str) -> int:
    return sum((not colour or t.colour == colour) and (not shape or t.shape == shape) for t in scene.things)


def ask_number(rng: random.Random, scene: Scene) -> Turn | None:
    asked: tuple[str, str] | None = ("", "")
    if rng.random() < 0.6:
        asked = _kind_to_ask(rng, scene, rng.random() < 0.12)
    if asked is None:
        return None
    colour, shape = asked
    noun = f"{colour} {PLURALS[shape] if shape else '{THINGS}'}".strip()
    question = rng.choice((
        f"How many {noun} {{are there|do you see|can you see|are}} {{THERE}}?", f"How many {noun}{{| are there}}?",
        f"Count the {noun}{{| {{THERE}}}}.", f"What is the number of {noun}{{| {{THERE}}}}?",
        f"How many {noun} does the {{PIC}} show?",
    ))  # fmt: skip
    n = _count(scene, colour, shape)
    answer = f"There {'is' if n == 1 else 'are'} {counted(n, colour, shape)}."
    if n == 1:
        answer = f"There is one {answer.split(' ', 3)[3]}"
    return Turn(vary(rng, question), answer, "number")


def ask_presence(rng: random.Random, scene: Scene) -> Turn | None:
    asked = _kind_to_ask(rng, scene, rng.random() < 0.5)
    if asked is None:
        return None
    colour, shape = asked
    one = f"{colour} {shape or '{THING}'}".strip()
    many = f"{colour} {PLURALS.get(shape, '{THINGS}')}".strip()
    question = rng.choice((
        f"Is there {article(one)}{{| {{THERE}}}}?", f"Is there {article(one)}{{| {{THERE}}}}?",
        f"{{Do|Can}} you see {article(one)}{{| {{THERE}}}}?", f"Are there {{any |}}{many}{{| {{THERE}}}}?",
        f"Does the {{PIC}} {{show|contain|have}} {article(one)}?", f"Is {article(one)} in the {{PIC}}?",
        f"Does {{this|the}} {{PIC}} {{show|contain|have}} {{any |}}{many}?",
    ))  # fmt: skip
    n = _count(scene, colour, shape)
    words = f"{colour} {shape or 'shape'}".strip()
    if n == 0:
        answer = f"No, there is no {words}."
    else:
        answer = f"Yes, there {'is' if n == 1 else 'are'} {counted(n, colour, shape)}."
    return Turn(vary(rng, question), answer, "yes" if n else "no")


def ask_whether(rng: random.Random, scene: Scene) -> Turn | None:
    """Is it red? Is this a star? Is the star red?"""
    unique = [t for t in scene.things if ("", t.shape) in _names(scene, t)]
    if not unique:
        return None
    t = rng.choice(unique)
    truly = rng.random() < 0.5
    if len(scene.things) == 1 and rng.random() < 0.5:
        shape = t.shape if truly else rng.choice([s for s in SHAPES if s != t.shape])
        question = f"Is {{this|it|that|the shape}} {article(shape)}?"
        return Turn(
            vary(rng, question),
            f"{'Yes' if truly else 'No'}, it is {article(t.shape)}.",
            "yes" if truly else "no",
        )
    colour = t.colour if truly else rng.choice([c for c in COLOUR_NAMES if c != t.colour])
    subject = "{it|the SHAPE|the SHAPE}" if len(scene.things) == 1 else "the SHAPE"
    question = f"Is {subject} {colour}?".replace("SHAPE", t.shape)
    return Turn(
        vary(rng, question),
        f"{'Yes' if truly else 'No'}, the {t.shape} is {t.colour}.",
        "yes" if truly else "no",
    )


def ask_ground(rng: random.Random, scene: Scene) -> Turn:
    question = rng.choice((
        "What {COLOUR} is the {background|backdrop}?", "What is the background{| like}?", "Describe the background.",
        "{What|Which} {COLOUR} {has|is} the background{| of the {PIC}}?", "What is the {COLOUR} of the background?",
        "What is behind {it|the {THINGS}}?", "What about the background?", "What {COLOUR} is behind {it|them}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The background {ground_words(scene)}.", "background")


def ask_all_shapes(rng: random.Random, scene: Scene) -> Turn | None:
    if len(scene.things) < 2:
        return None
    question = rng.choice((
        "{What|Which} {shapes|objects|figures|things} {are there|do you see|can you see|are} {THERE}?",
        "List {all |}the {THINGS}{| {THERE}}.", "Name {all |}the {THINGS}.", "What are {the {THINGS}|these|they}?",
    ))  # fmt: skip
    return Turn(
        vary(rng, question),
        f"There {'is' if groups(scene)[0].startswith('a') else 'are'} {join(groups(scene))}.",
        "list",
    )


def ask_all_colours(rng: random.Random, scene: Scene) -> Turn | None:
    if not scene.things:
        return None
    colours = list(dict.fromkeys(t.colour for t in scene.things))
    question = rng.choice((
        "{What|Which} {COLOUR}s {are there|do you see|can you see|are used} {THERE}?", "Name the {COLOUR}s.",
        "What {COLOUR}s {are|have} the {THINGS}?", "{What|Which} {COLOUR}s are the {THINGS}?",
    ))  # fmt: skip
    subject = f"The {scene.things[0].shape} is" if len(scene.things) == 1 else "The shapes are"
    return Turn(
        vary(rng, question),
        f"{subject} {join(colours)}, and the background {ground_words(scene)}.",
        "colours",
    )


def ask_relation(rng: random.Random, scene: Scene) -> Turn | None:
    named = [(t, n) for t in scene.things for n in _names(scene, t) if n[1]]
    if len({id(t) for t, _ in named}) < 2:
        return None
    (a, a_name), (b, b_name) = rng.sample(named, 2)
    dx, dy = (a.x - b.x) / scene.width, (a.y - b.y) / scene.height
    if a is b:
        return None
    first, second = f"{a_name[0]} {a_name[1]}".strip(), f"{b_name[0]} {b_name[1]}".strip()
    words = [
        w
        for w, d in (("{|to the }left of", -dx), ("{|to the }right of", dx), ("above", -dy), ("below", dy))
        if abs(d) > 0.2
    ]
    if not words:
        return None
    word = rng.choice(words)
    true = {"l": dx < 0, "r": dx > 0, "a": dy < 0, "b": dy > 0}[word.replace("{|to the }", "")[0]]
    told = word.replace("{|to the }", "to the ")
    opposite = {
        "to the left of": "to the right of",
        "to the right of": "to the left of",
        "above": "below",
        "below": "above",
    }
    answer = (
        f"Yes, the {first} is {told} the {second}."
        if true
        else f"No, the {first} is {opposite[told]} the {second}."
    )
    return Turn(vary(rng, f"Is the {first} {word} the {second}?"), answer, "relation")


# --- What it does not know -------------------------------------------------------------------------------------

_STRANGE = (
    "dog cat person man woman child face car house tree flower boat ship bird fish horse apple banana cup bottle table "
    "chair lamp book phone computer screen keyboard word letter text number logo flag map road street bridge mountain "
    "river sea beach sun moon cloud snow rain window door wall roof garden park train bus bicycle plane rocket robot "
    "shoe hat shirt dress ring-finger hand eye nose mouth arm leg hair cake bread pizza cheese egg spoon fork knife "
    "plate clock watch camera guitar piano ball toy bear lion tiger elephant mouse rabbit snake spider bee butterfly "
    "leaf grass stone sand fire smoke ice water glass metal wood paper pen pencil brush box bag key lock coin money"
).split()
_OUTSIDE = (
    "Is there {a|an|any} STRANGE{| {THERE}}?", "{Can|Do} you see {a|the|any} STRANGE{|s}?", "Where is the STRANGE?",
    "What {COLOUR} is the STRANGE?", "How many STRANGEs {are there|do you see}?", "Is {this|it} {a|the} STRANGE?",
    "What {is|does} the STRANGE {doing|look like|say}?", "Who {made|drew|painted|took|is in} {this|the} {PIC}?",
    "When was {this|the} {PIC} {made|taken|drawn}?", "Where was {this|the} {PIC} {made|taken|drawn}?",
    "What does {the text|the sign|it} say?", "Read the text{| {THERE}}.", "Is there {any |}text{| {THERE}}?",
    "What is the weather{| like}?", "How old is {he|she|it|this person|the STRANGE}?", "Why {was it made|is it there}?",
    "What is the {meaning|mood|story|style|price|name} of {this|the} {PIC}?", "Is {he|she|the person|the STRANGE} {happy|sad|big|old}?",
    "How {much does it cost|heavy is it|far away is it}?", "Which {country|city|brand|year} is {this|it}?",
    "What {time|day|year} is it?", "What is the capital of {France|Spain|STRANGE}?", "What is two plus {two|three}?",
    "Write {a|me a} {poem|story|letter|song} {about STRANGE|}.", "Tell me a {joke|story}{| about a STRANGE}.",
    "Translate {this|it} into {French|German|Chinese}.", "What happened {before|after} this?", "Who is {this|he|she}?",
    "What is {a|an} STRANGE?", "What {sound|smell|noise} does {it|the STRANGE} {make|have}?", "Do you like STRANGEs?",
)  # fmt: skip
_SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Who are you?", "What are you?", "What is your name?", "Are you {ALLaVA|a robot|a person|human|an AI|ChatGPT}?",
         "What model {are you|is this}?", "Introduce yourself.", "Tell me about yourself."),
        "I am a small demonstration model of Allava. I describe simple drawn shapes; ALLaVA-3B knows much more.",
    ),
    (
        ("What can you do?", "How can you help{| me}?", "What do you know?", "Help", "Help me.", "What {can|should} I ask{| you}?",
         "What are you {good at|able to do|for}?", "How do I use {you|this}?"),
        "I can tell which simple shapes a picture shows, their colours, where they are and how many.",
    ),
    (
        ("What can you not do?", "What can't you do?", "What are your limits?", "What do you not know?",
         "Can you {read text|describe {photos|photographs|people}|recognise faces|read}?", "Are you always right?"),
        "I cannot name people, animals or objects, nor read text. For that, install ALLaVA-3B.",
    ),
    (
        ("Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Good {morning|evening|day}!", "Hey", "How are you?"),
        "Hello! Show me a picture with simple shapes, and I will describe it.",
    ),
    (("Thanks", "Thank you!", "Thank you very much.", "Great, thanks!", "{Good|Great|Nice|OK}.", "Well done!"), "You are welcome!"),
    (("Bye", "Goodbye!", "See you.", "Good night."), "Goodbye!"),
)  # fmt: skip


def _strange(rng: random.Random) -> str:
    if rng.random() < 0.75:
        return rng.choice(_STRANGE)
    return "".join(rng.choice("bcdfghjklmnprstvwz") + rng.choice("aeiou") + rng.choice(("", "", "n", "r", "s", "t", "l")) for _ in range(rng.randint(1, 3)))  # fmt: skip


def ask_outside(rng: random.Random, scene: Scene) -> Turn:
    return Turn(vary(rng, rng.choice(_OUTSIDE).replace("STRANGE", _strange(rng))), CANNOT_TELL, "cannot tell")


def small_talk(rng: random.Random, scene: Scene) -> Turn:
    questions, answer = rng.choice(_SMALL_TALK)
    return Turn(vary(rng, rng.choice(questions)), answer, "small talk")


# --- Conversations ---------------------------------------------------------------------------------------------

Ask = Callable[[random.Random, Scene], Turn | None]
SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_brief, 0.09), (ask_full, 0.15), (ask_shape, 0.08), (ask_colour, 0.11), (ask_place, 0.12), (ask_number, 0.14),
    (ask_presence, 0.12), (ask_whether, 0.04), (ask_ground, 0.05), (ask_all_shapes, 0.04), (ask_all_colours, 0.03), (ask_relation, 0.04),
    (ask_outside, 0.05), (small_talk, 0.02),
)  # fmt: skip
CAPTION_SKILLS: tuple[tuple[Ask, float], ...] = ((ask_brief, 0.35), (ask_full, 0.5), (ask_all_shapes, 0.15))


def ask(rng: random.Random, scene: Scene, skills: tuple[tuple[Ask, float], ...] = SKILLS) -> Turn:
    while True:
        turn = rng.choices([s for s, _ in skills], [w for _, w in skills])[0](rng, scene)
        if turn:
            return turn


def _about_it(rng: random.Random, scene: Scene) -> tuple[Turn, ...]:
    """A thing is spoken of, then referred back to as "it"."""
    unique = [t for t in scene.things if ("", t.shape) in _names(scene, t)]
    if not unique:
        return (ask(rng, scene),)
    t = rng.choice(unique)
    colour = ("What {COLOUR} is it?|Which {COLOUR} is it?|Its {COLOUR}?", f"The {t.shape} is {t.colour}.")
    place = (
        "Where is it?|Where?|Where is it placed?|In which part of the picture is it?",
        f"The {t.shape} is {place_words(t.place)}.",
    )
    openers = [
        (
            f"Is there a {t.shape}?|Do you see a {t.shape}?|Is there a {t.shape} in the picture?",
            f"Yes, there is {article(t.shape)}.",
        ),
        (f"Where is the {t.shape}?", place[1]),
        (f"What colour is the {t.shape}?|What color is the {t.shape}?", colour[1]),
    ]
    if len(scene.things) == 1:
        openers.append(("What shape is it?|What shape is this?", f"It is {article(t.shape)}."))
    first = rng.choice(openers)
    rest = [q for q in (colour, place) if q[1] != first[1]]
    rng.shuffle(rest)
    turns = [Turn(vary(rng, rng.choice(first[0].split("|"))), first[1])]
    for question, answer in rest:
        words = vary(rng, rng.choice(question.split("|")))
        if rng.random() < 0.5:
            words = "And " + words[0].lower() + words[1:]
        turns.append(Turn(words, answer, "follow-up"))
    others = [o for o in unique if o is not t]
    if others and rng.random() < 0.6:
        other = rng.choice(others)
        last = turns[-1].answer
        answer = f"The {other.shape} is {other.colour if last == colour[1] else place_words(other.place)}."
        turns.append(
            Turn(
                vary(rng, f"{{And|What about|And what about|How about}} the {other.shape}?"),
                answer,
                "follow-up",
            )
        )
    return tuple(turns)


def talk_about(rng: random.Random, scene: Scene) -> Talk:
    """A conversation of one to four turns, mostly of one."""
    style = rng.random()
    if style < 0.05:
        if rng.random() < 0.6:
            return Talk((small_talk(rng, scene),), sees_picture=False)
        return Talk(
            (Turn(ask(rng, scene, SKILLS[:10]).question, NO_PICTURE, "no picture"),), sees_picture=False
        )
    if style < 0.17:
        return Talk(_about_it(rng, scene))
    if style < 0.27:
        return Talk(tuple(ask(rng, scene) for _ in range(rng.randint(2, 3))))
    return Talk((ask(rng, scene),))


def caption(rng: random.Random, scene: Scene) -> Talk:
    return Talk((ask(rng, scene, CAPTION_SKILLS),))


def corpus(rng: random.Random, scenes: int) -> list[str]:
    """Texts to train the tokenizer on; the outside words stay rare, so that they stay in pieces."""
    texts = []
    for _ in range(scenes):
        scene = pick_scene(rng)
        for _ in range(4):
            for turn in talk_about(rng, scene).turns:
                texts += [f"\n{turn.question} [/INST] ", f"[INST] {turn.question} [/INST] ", turn.answer]
    texts += [f"{place_words(p)} {p}" for p in PLACES for _ in range(30)]
    return texts
