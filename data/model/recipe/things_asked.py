"""Questions about shapes, emoji, flags and drawings, and their right answers."""

from __future__ import annotations

import random
from collections import Counter

from .scene import COLOUR_NAMES, SHAPES, Scene, Thing
from .vocabulary import ABSENT, GROUPS
from .wording import (  # fmt: skip
    BRIEF,
    FULL,
    NUMBERS,
    Ask,
    Turn,
    about,
    article,
    decisive,
    ground_words,
    join,
    nothing_there,
    on_ground,
    place_words,
    plural,
    sentence,
    vary,
)

# --- How things are called ---------------------------------------------------------------------------------------


def kind(thing: Thing) -> str:
    return f"{thing.colour} {thing.name}" if thing.kind == "shape" else thing.noun


def is_one(thing: Thing, noun: str) -> bool:
    """Whether "circle", "red circle", "red shape" or "banana" may mean this thing."""
    if thing.kind != "shape":
        return noun == thing.noun
    return noun in (thing.name, f"{thing.colour} {thing.name}", f"{thing.colour} shape", "shape")


def names_of(scene: Scene, thing: Thing) -> list[str]:
    """The names that mean this thing and no other of the picture."""
    if thing.kind != "shape":
        options = [thing.noun]
    else:
        options = [f"{thing.colour} {thing.name}", thing.name, thing.name, f"{thing.colour} shape"]
    return [o for o in options if sum(is_one(t, o) for t in scene.things) == 1]


def is_are(noun_or_count: str | int) -> str:
    many = (
        noun_or_count != 1
        if isinstance(noun_or_count, int)
        else noun_or_count.endswith("s") and " " not in noun_or_count
    )
    return "are" if many else "is"


def counted(count: int, noun: str, phrase: str = "") -> str:
    """ "a red circle", "two red circles", "no red circles"."""
    if count == 1:
        return phrase or article(noun)
    return f"{NUMBERS[count]} {plural(noun)}"


def groups(scene: Scene) -> list[str]:
    """The kinds of things in the order in which one reads, each with its number."""
    counts = Counter(kind(t) for t in scene.things)
    first = {kind(t): i for i, t in reversed(list(enumerate(scene.things)))}
    return [about(first[k], counted(n, k, scene.things[first[k]].phrase)) for k, n in counts.items()]


def things_word(scene: Scene) -> str:
    return "shape" if all(t.kind == "shape" for t in scene.things) else "thing"


# --- Descriptions ------------------------------------------------------------------------------------------------


def ask_brief(rng: random.Random, scene: Scene) -> Turn:
    question = vary(rng, rng.choice(BRIEF))
    if not scene.things:
        return Turn(question, f"There is nothing, only a background that {ground_words(scene)}.", "describe briefly")
    return Turn(question, sentence(f"{join(groups(scene))} {on_ground(scene)}."), "describe briefly")


def _full_one(scene: Scene) -> str:
    t = scene.things[0]
    head, _, rest = t.phrase.partition(" ")
    phrase = f"{article(t.size + ' ' + rest)}" if t.size and head in ("a", "an") else t.phrase
    text = f"The picture shows {about(0, phrase + ' ' + place_words(t.place))}, {on_ground(scene)}."
    if t.kind == "shape":
        return text
    return f"{text} It is mainly {about(0, join(list(t.colours)))}."


def full_answer(scene: Scene) -> str:
    if not scene.things:
        return f"The picture shows nothing, only a background that {ground_words(scene)}."
    if len(scene.things) == 1:
        return _full_one(scene)
    word = things_word(scene) + "s"
    if len(scene.things) <= 3:
        parts = [about(i, f"{t.phrase} {place_words(t.place)}") for i, t in enumerate(scene.things)]
        return f"The picture shows {decisive(NUMBERS[len(parts)])} {word} {on_ground(scene)}: {join(parts)}."
    if len(groups(scene)) == 1:
        return f"The picture shows {groups(scene)[0]} {on_ground(scene)}."
    number = decisive(NUMBERS[len(scene.things)])
    return f"The picture shows {number} {word} {on_ground(scene)}: {join(groups(scene))}{decisive('.')}"


def ask_full(rng: random.Random, scene: Scene) -> Turn:
    return Turn(vary(rng, rng.choice(FULL)), full_answer(scene), "describe")


# --- Questions about one thing -----------------------------------------------------------------------------------

_WHAT = {
    "shape": ("{What|Which} {kind of |}{shape|figure|form} is {this|it|that|shown|in the {PIC}}{| {THERE}}?",
              "What {shape|figure} {do you see|can you see|is there}?", "What is the {shape|figure}{| {THERE}}?", "Name the shape.",
              "{What|Which} shape does the {PIC} show?", "What shape is the {object|thing|figure}?"),
    "emoji": ("{What|Which} emoji is {this|it|that|shown}?", "What does the emoji {show|mean}?", "Name {the|this} emoji.",
              "{What|Which} {object|thing|symbol} is {this|it|shown|in the {PIC}}?", "What is the {object|symbol|thing}{| {THERE}}?"),
    "flag": ("{What|Which} flag is {this|it|that|shown}?", "{What|Which} country's flag is {this|it|that}?", "Whose flag is {this|it}?",
             "{What|Which} country does {this|the} flag {belong to|stand for}?", "Name {the|this} flag.", "Which country is {this|it}?"),
    "drawing": ("{What|Which} {kind of |}{object|thing} is {this|it|that|shown|in the {PIC}}?", "What is the {object|thing}{| {THERE}}?",
                "Name the {object|thing}.", "What does the {drawing|clip art} show?", "What {object|thing} {do you see|can you see}?"),
}  # fmt: skip


def ask_name(rng: random.Random, scene: Scene) -> Turn | None:
    """What is it? What is at the top left?"""
    if len(scene.things) == 1 and rng.random() < 0.8:
        t = scene.things[0]
        phrase = article(t.name) if t.kind == "shape" else t.phrase
        question = rng.choice((*_WHAT[t.kind], "What is it?", "What is this called?"))
        return Turn(vary(rng, question), f"It is {about(0, phrase)}.", "shape" if t.kind == "shape" else t.kind)
    options = [(i, t) for i, t in enumerate(scene.things) if sum(o.place == t.place for o in scene.things) == 1]
    if not options:
        return None
    i, t = rng.choice(options)
    where = place_words(t.place)
    question = rng.choice((
        f"What is {where}{{| of the {{PIC}}}}?", f"What {{do|can}} you see {where}?", f"{{Which|What}} {{THING}} is {where}?",
        f"What is there {where}?", f"Name the {{THING}} {where}.",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"{sentence(where)} there is {about(i, t.phrase)}.", "what is there")


def ask_shape_of_colour(rng: random.Random, scene: Scene) -> Turn | None:
    options = [
        (i, t) for i, t in enumerate(scene.things) if t.kind == "shape" and f"{t.colour} shape" in names_of(scene, t)
    ]
    if not options or things_word(scene) != "shape":
        return None
    i, t = rng.choice(options)
    question = rng.choice((
        f"{{What|Which}} {{kind of |}}shape {{is|has}} the {t.colour} {{object|thing|one|figure}}{{| {{THERE}}}}?",
        f"What is the {t.colour} {{thing|object|one|shape|figure}}{{| {{THERE}}}}?", f"Which shape is {t.colour}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {t.colour} shape is {about(i, article(t.name))}.", "shape")


def _called(rng: random.Random, name: str) -> str:
    return name.replace(" shape", " " + vary(rng, "{THING}").lower()) if name.endswith(" shape") else name


def _colours(things: list[tuple[int, Thing]]) -> str:
    """Each of their colours once; THINGS with their numbers."""
    first: dict[str, int] = {}
    for i, t in things:
        first.setdefault(t.colour, i)
    return join([about(i, colour) for colour, i in first.items()])


def ask_colour(rng: random.Random, scene: Scene) -> Turn | None:
    if not scene.things:
        return None
    if rng.random() < 0.06:
        noun = _absent(rng, scene)
        return Turn(vary(rng, f"What {{COLOUR}} is the {noun}{{| {{THERE}}}}?"), nothing_there(noun), "no such thing")
    i, t = rng.choice(list(enumerate(scene.things)))
    if t.kind != "shape":
        if names_of(scene, t) == []:
            return None
        noun = t.noun
        question = rng.choice((f"What {{COLOUR}} {is_are(noun)} the {noun}?", f"What {{COLOUR}}s {'do' if is_are(noun) == 'are' else 'does'} the {noun} have?",
                               f"What are the {{COLOUR}}s of the {noun}?", f"Which {{COLOUR}} {is_are(noun)} the {noun}{{| {{THERE}}}}?"))  # fmt: skip
        if len(scene.things) == 1 and rng.random() < 0.5:
            question = rng.choice(
                (
                    "What {COLOUR} is {it|this|that|the {THING}}?",
                    "Which {COLOUR}s does it have?",
                    "What are its {COLOUR}s?",
                )
            )
        return Turn(
            vary(rng, question), f"The {noun} {is_are(noun)} mainly {about(i, join(list(t.colours)))}.", "main colours"
        )
    if len(scene.things) == 1 and rng.random() < 0.4:
        question = rng.choice((
            "What {COLOUR} is {it|this|that|the {THING}}{| {THERE}}?", "Which {COLOUR} {is it|has it|does it have}?",
            "What is {its|the} {COLOUR}{| of the {THING}}?", "What {COLOUR}?", "Name the {COLOUR} of the {THING}.",
        ))  # fmt: skip
        return Turn(vary(rng, question), f"The {t.name} is {about(i, t.colour)}.", "colour")
    found = [(j, o) for j, o in enumerate(scene.things) if o.name == t.name]
    verb, noun = ("are", plural(t.name)) if len(found) > 1 else ("is", t.name)
    question = rng.choice((
        f"What {{COLOUR}} {verb} the {noun}{{| {{THERE}}}}?", f"Which {{COLOUR}} {verb} the {noun}?",
        f"What is the {{COLOUR}} of the {noun}?", f"The {noun}: what {{COLOUR}}?",
        f"Tell me the {{COLOUR}} of the {noun}.",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The {noun} {verb} {_colours(found)}{decisive('.')}", "colour")


def ask_place(rng: random.Random, scene: Scene) -> Turn | None:
    if rng.random() < 0.04:
        noun = _absent(rng, scene)
        return Turn(vary(rng, f"Where is the {noun}{{| {{THERE}}}}?"), nothing_there(noun), "no such thing")
    options = [(i, t) for i, t in enumerate(scene.things) if names_of(scene, t)]
    if not options:
        return None
    i, t = rng.choice(options)
    name = rng.choice(names_of(scene, t))
    verb = is_are(name)
    answer = f"The {name} {verb} {about(i, place_words(t.place))}."
    if len(scene.things) == 1 and rng.random() < 0.3:
        question = rng.choice((
            "Where is {it|the {THING}}{| {THERE}}?", "In {what|which} part of the {PIC} is it?", "Where{| exactly}?",
            "What is its {place|position}?", "Where {can I find it|does it lie|is it placed}?",
        ))  # fmt: skip
        noun = t.name if t.kind == "shape" else t.noun
        return Turn(vary(rng, question), f"The {noun} {is_are(noun)} {about(i, place_words(t.place))}.", "place")
    called = _called(rng, name)
    question = rng.choice((
        f"Where {verb} the {called}{{| {{THERE}}}}?", f"Where {{can I find|do you see}} the {called}?",
        f"In {{what|which}} part of the {{PIC}} {verb} the {called}?", f"What is the {{place|position|location}} of the {called}?",
        f"Where in the {{PIC}} {verb} the {called}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), answer, "place")


# --- Questions about several -------------------------------------------------------------------------------------


def _absent(rng: random.Random, scene: Scene) -> str:
    """A name that means nothing in the picture, though perhaps nearly something."""
    while True:
        noun = rng.choice(ABSENT)
        shapes = [t for t in scene.things if t.kind == "shape"]
        if shapes and rng.random() < 0.75 or not scene.things and rng.random() < 0.5:
            colour, shape = rng.choice(COLOUR_NAMES), rng.choice(SHAPES)
            if shapes and rng.random() < 0.6:  # one half right
                t = rng.choice(shapes)
                colour, shape = (t.colour, shape) if rng.random() < 0.5 else (colour, t.name)
            noun = rng.choice((shape, f"{colour} {shape}", f"{colour} {shape}", f"{colour} shape"))
        if not any(
            is_one(t, noun) or (t.kind != "shape" and set(noun.split()) & set(t.noun.split())) for t in scene.things
        ):
            return noun


def _present(rng: random.Random, scene: Scene) -> str:
    t = rng.choice(scene.things)
    if t.kind != "shape":
        return t.noun
    return rng.choice((t.name, t.name, f"{t.colour} {t.name}", f"{t.colour} {t.name}", f"{t.colour} shape"))


def _marked_count(scene: Scene, noun: str) -> tuple[int, int]:
    """How many there are of a name, and the first one's number."""
    found = [i for i, t in enumerate(scene.things) if is_one(t, noun)]
    return len(found), found[0] if found else -1


def ask_number(rng: random.Random, scene: Scene) -> Turn | None:
    if rng.random() < 0.45 or not scene.things:
        word = rng.choice(("shape", "object", "thing") if things_word(scene) == "shape" else ("object", "thing"))
        noun, n, first = things_word(scene), len(scene.things), -1
        question = f"How many {word}s {{are there|do you see|can you see|are}} {{THERE}}?|How many {word}s{{| are there}}?|Count the {word}s{{| {{THERE}}}}."
    else:
        noun = _absent(rng, scene) if rng.random() < 0.12 else _present(rng, scene)
        n, first = _marked_count(scene, noun)
        many = plural(noun)
        question = f"How many {many} {{are there|do you see|can you see|are}} {{THERE}}?|How many {many}{{| are there}}?|Count the {many}{{| {{THERE}}}}.|What is the number of {many}{{| {{THERE}}}}?|How many {many} does the {{PIC}} show?"
    asked = vary(rng, rng.choice(_split(question)))
    number = about(first, NUMBERS[n]) if first >= 0 else decisive(NUMBERS[n])
    return Turn(asked, f"There {is_are(n)} {number} {noun if n == 1 else plural(noun)}.", "number")


def _split(templates: str) -> list[str]:
    """Templates between bars that are not within braces."""
    parts, depth = [""], 0
    for character in templates:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _ask_there(rng: random.Random, one: str, many: str) -> str:
    """Asks whether there is ONE; of MANY only where they can be spoken of."""
    asked = [
        f"Is there {one}{{| {{THERE}}}}?", f"Is there {one}{{| {{THERE}}}}?", f"{{Do|Can}} you see {one}{{| {{THERE}}}}?",
        f"Does the {{PIC}} {{show|contain|have}} {one}?", f"Is {one} in the {{PIC}}?",
    ]  # fmt: skip
    if many:
        asked += [f"Are there {{any |}}{many}{{| {{THERE}}}}?", f"Does {{this|the}} {{PIC}} {{show|contain|have}} {{any |}}{many}?"]  # fmt: skip
    return vary(rng, rng.choice(asked))


def ask_presence(rng: random.Random, scene: Scene) -> Turn | None:
    present = bool(scene.things) and rng.random() < 0.5
    noun = _present(rng, scene) if present else _absent(rng, scene)
    n, first = _marked_count(scene, noun)
    phrase = scene.things[first].phrase if n and scene.things[first].kind != "shape" else article(noun)
    if noun.startswith("flag of"):
        phrase = "the " + noun
    question = _ask_there(rng, phrase, plural(noun) if phrase.startswith("a") else "")
    if not n:
        return Turn(question, f"{decisive('No')}, there is no {noun}.", "no")
    what = phrase if n == 1 else counted(n, noun)
    verb = is_are(n) if n > 1 else "are" if phrase == noun and noun.endswith("s") else "is"
    return Turn(question, f"{about(first, 'Yes')}, there {verb} {about(first, what)}.", "yes")


def ask_group(rng: random.Random, scene: Scene) -> Turn | None:
    """Is there an animal?"""
    there = {t.group: i for i, t in reversed(list(enumerate(scene.things))) if t.group in GROUPS}
    if there and rng.random() < 0.5:
        group, i = rng.choice(list(there.items()))
        question = _ask_there(rng, GROUPS[group][0], GROUPS[group][1])
        return Turn(question, f"{about(i, 'Yes')}, there is {about(i, scene.things[i].phrase)}.", "yes")
    group = rng.choice([g for g in GROUPS if g not in there])
    if any(t.group in GROUPS[group][2:] for t in scene.things):
        return None
    one, many = GROUPS[group][:2]
    return Turn(_ask_there(rng, one, many), f"{decisive('No')}, there is no {one.partition(' ')[2] or one}.", "no")


def ask_whether(rng: random.Random, scene: Scene) -> Turn | None:
    """Is it a star? Is the star red?"""
    if not scene.things:
        return None
    truly = rng.random() < 0.5
    answer = "Yes" if truly else "No"
    t = scene.things[0]
    if len(scene.things) == 1 and (t.kind != "shape" or rng.random() < 0.5):
        if t.kind == "shape":
            phrase, wrong = article(t.name), article(rng.choice([s for s in SHAPES if s != t.name]))
        else:
            other = _absent(rng, scene)
            phrase, wrong = t.phrase, ("the " + other if other.startswith("flag of") else article(other))
        question = f"Is {{this|it|that|the {{THING}}}} {phrase if truly else wrong}?"
        return Turn(vary(rng, question), f"{about(0, answer)}, it is {about(0, phrase)}.", answer.lower())
    options = [(i, t) for i, t in enumerate(scene.things) if t.kind == "shape" and t.name in names_of(scene, t)]
    if not options:
        return None
    i, t = rng.choice(options)
    colour = t.colour if truly else rng.choice([c for c in COLOUR_NAMES if c != t.colour])
    subject = "{it|the SHAPE|the SHAPE}" if len(scene.things) == 1 else "the SHAPE"
    question = f"Is {subject} {colour}?".replace("SHAPE", t.name)
    return Turn(vary(rng, question), f"{about(i, answer)}, the {t.name} is {about(i, t.colour)}.", answer.lower())


def ask_ground(rng: random.Random, scene: Scene) -> Turn:
    question = rng.choice((
        "What {COLOUR} is the {background|backdrop}?", "What is the background{| like}?", "Describe the background.",
        "{What|Which} {COLOUR} {has|is} the background{| of the {PIC}}?", "What is the {COLOUR} of the background?",
        "What is behind {it|the {THINGS}}?", "What about the background?", "What {COLOUR} is behind {it|them}?",
    ))  # fmt: skip
    return Turn(vary(rng, question), f"The background {ground_words(scene)}.", "background")


def ask_all(rng: random.Random, scene: Scene) -> Turn | None:
    if len(scene.things) < 2:
        return None
    question = rng.choice((
        "{What|Which} {shapes|objects|figures|things} {are there|do you see|can you see|are} {THERE}?",
        "List {all |}the {THINGS}{| {THERE}}.", "Name {all |}the {THINGS}.", "What are {the {THINGS}|these|they}?",
    ))  # fmt: skip
    listed = groups(scene)
    first = scene.things[0]
    verb = "is" if sum(kind(t) == kind(first) for t in scene.things) == 1 else "are"
    return Turn(vary(rng, question), f"There {verb} {join(listed)}{decisive('.')}", "list")


def ask_all_colours(rng: random.Random, scene: Scene) -> Turn | None:
    if not scene.things or things_word(scene) != "shape":
        return None
    question = rng.choice((
        "{What|Which} {COLOUR}s {are there|do you see|can you see|are used} {THERE}?", "Name the {COLOUR}s.",
        "What {COLOUR}s {are|have} the {THINGS}?", "{What|Which} {COLOUR}s are the {THINGS}?",
    ))  # fmt: skip
    subject = f"The {scene.things[0].name} is" if len(scene.things) == 1 else "The shapes are"
    return Turn(
        vary(rng, question),
        f"{subject} {_colours(list(enumerate(scene.things)))}, and the background {ground_words(scene)}.",
        "colours",
    )


# --- Comparing two -----------------------------------------------------------------------------------------------

_OPPOSITE = {
    "to the left of": "to the right of",
    "to the right of": "to the left of",
    "above": "below",
    "below": "above",
}


def _pick_two(rng: random.Random, scene: Scene) -> tuple[int, str, int, str] | None:
    named = [
        (i, rng.choice(n))
        for i, t in enumerate(scene.things)
        if (n := [x for x in names_of(scene, t) if not x.endswith(" shape")])
    ]
    if len(named) < 2:
        return None
    (i, a), (j, b) = rng.sample(named, 2)
    return i, a, j, b


def ask_relation(rng: random.Random, scene: Scene) -> Turn | None:
    pair = _pick_two(rng, scene)
    if pair is None:
        return None
    i, a, j, b = pair
    dx = (scene.things[i].x - scene.things[j].x) / scene.width
    dy = (scene.things[i].y - scene.things[j].y) / scene.height
    words = [
        w for w, d in (("to the left of", -dx), ("to the right of", dx), ("above", -dy), ("below", dy)) if abs(d) > 0.2
    ]
    if not words:
        return None
    told = rng.choice(words)
    true = {"to the left of": dx < 0, "to the right of": dx > 0, "above": dy < 0, "below": dy > 0}[told]
    asked = told.replace("to the ", "{|to the }")
    verdict, relation = ("Yes", told) if true else ("No", _OPPOSITE[told])
    answer = f"{about(i, verdict)}, the {about(i, a)} is {relation} the {about(j, b)}."
    return Turn(vary(rng, f"Is the {about(i, a)} {asked} the {about(j, b)}?"), answer, "relation")


def ask_larger(rng: random.Random, scene: Scene) -> Turn | None:
    pair = _pick_two(rng, scene)
    if pair is None:
        return None
    i, a, j, b = pair
    ratio = scene.things[i].radius / scene.things[j].radius
    if 0.75 < ratio < 1.33:
        return None
    wants_larger = rng.random() < 0.6
    is_so = (ratio > 1) == wants_larger
    asked = "{larger|bigger}" if wants_larger else "smaller"
    first, second = about(i, a), about(j, b)
    if rng.random() < 0.35:
        verdict, truth = "Yes" if is_so else "No", "larger" if ratio > 1 else "smaller"
        answer = f"{about(i, verdict)}, the {first} is {decisive(truth)} than the {second}."
        return Turn(vary(rng, f"Is the {first} {asked} than the {second}?"), answer, "compare")
    name = a if is_so else b
    word = "larger" if wants_larger else "smaller"
    question = rng.choice(
        (
            f"Which is {asked}, the {first} or the {second}?",
            f"{{Which|What}} is {asked}: the {first} or the {second}?",
            f"Is the {first} or the {second} {asked}?",
        )
    )
    winner = decisive(name)  # its name is in the question: to find the thing again would come too late
    return Turn(vary(rng, question), f"The {winner} is {word}.", "compare")


def ask_same_colour(rng: random.Random, scene: Scene) -> Turn | None:
    if len(scene.things) != 2 or things_word(scene) != "shape" or scene.things[0].name == scene.things[1].name:
        return None
    a, b = scene.things
    question = rng.choice(
        (
            "{Are|Do} {they|the {THINGS}|both} {have |of }the same {COLOUR}?",
            f"Are the {about(0, a.name)} and the {about(1, b.name)} {{of |}}the same {{COLOUR}}?",
        )
    )
    if a.colour == b.colour:
        return Turn(vary(rng, question), f"Yes, both are {about(0, a.colour)}.", "yes")
    return Turn(
        vary(rng, question), f"No, the {a.name} is {about(0, a.colour)} and the {b.name} is {about(1, b.colour)}.", "no"
    )


# --- Following up ------------------------------------------------------------------------------------------------


def follow_ups(rng: random.Random, scene: Scene) -> tuple[Turn, ...] | None:
    """A thing is spoken of, then referred back to as "it", then another one."""
    named = [
        (i, t, rng.choice(n))
        for i, t in enumerate(scene.things)
        if (n := [x for x in names_of(scene, t) if not x.endswith(" shape")])
    ]
    if not named:
        return None
    i, t, name = rng.choice(named)
    verb = is_are(name)

    def place(index: int, noun: str) -> str:
        return f"The {noun} {is_are(noun)} {about(index, place_words(scene.things[index].place))}."

    def colour(index: int, noun: str) -> str:
        o = scene.things[index]
        told = about(index, o.colour) if o.kind == "shape" else "mainly " + about(index, join(list(o.colours)))
        return f"The {noun} {is_are(noun)} {told}."

    phrase = article(name) if t.kind == "shape" else t.phrase
    first = rng.choice((
        (f"Is there {phrase}?|Do you see {phrase}?|Is there {phrase} in the picture?", f"Yes, there {'are' if phrase == name and verb == 'are' else 'is'} {about(i, phrase)}."),
        (f"Where {verb} the {name}?", place(i, name)),
        (f"What colour {verb} the {name}?|What color {verb} the {name}?", colour(i, name)),
    ))  # fmt: skip
    rest = [
        ("What {COLOUR} is it?|Which {COLOUR} is it?|Its {COLOUR}?", colour),
        ("Where is it?|Where?|Where is it placed?|In which part of the picture is it?", place),
    ]
    rng.shuffle(rest)
    turns = [Turn(vary(rng, rng.choice(_split(first[0]))), first[1], "follow-up")]
    last = place
    for question, answer in rest:
        if answer(i, name) == first[1]:
            continue
        words = vary(rng, rng.choice(_split(question)))
        if rng.random() < 0.5:
            words = "And " + words[0].lower() + words[1:]
        turns.append(Turn(words, answer(i, name), "follow-up"))
        last = answer
    others = [(j, n) for j, o, n in named if j != i]
    if others and rng.random() < 0.7:
        j, other = rng.choice(others)
        question = f"{{And|What about|And what about|How about}} the {other}?"
        if len(scene.things) == 2 and rng.random() < 0.5:
            question = "{And|What about|And what about|How about} the other {one|{THING}}?"
        turns.append(Turn(vary(rng, question), last(j, other), "follow-up"))
    return tuple(turns)


SKILLS: tuple[tuple[Ask, float], ...] = (
    (ask_brief, 0.10), (ask_full, 0.14), (ask_name, 0.14), (ask_shape_of_colour, 0.04), (ask_colour, 0.14), (ask_place, 0.13),
    (ask_number, 0.14), (ask_presence, 0.12), (ask_group, 0.02), (ask_whether, 0.05), (ask_ground, 0.05), (ask_all, 0.05),
    (ask_all_colours, 0.02), (ask_relation, 0.08), (ask_larger, 0.16), (ask_same_colour, 0.02),
)  # fmt: skip
CAPTION_SKILLS: tuple[tuple[Ask, float], ...] = ((ask_brief, 0.35), (ask_full, 0.4), (ask_all, 0.1), (ask_name, 0.15))
