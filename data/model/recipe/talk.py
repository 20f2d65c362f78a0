"""Conversations about a picture of any kind, small talk, and what it does not know."""

from __future__ import annotations

import random
from dataclasses import replace

from .kinds import charts, dialogs, photos, prints, things
from .scene import Scene
from .things_asked import follow_ups
from .vocabulary import LETTERED
from .wording import NUMBERS, Ask, Talk, Turn, on_ground, vary

CANNOT_TELL = "I cannot tell that from this picture."
READS = ("print",)  # kinds of pictures whose texts are read out: those of dialogs are too small
CANNOT_READ = "There is text in the picture, but I cannot read it."
NO_PICTURE = "There is no picture yet. Add one, and I will describe it."

_OUTSIDE = (
    "Who {made|drew|painted|took|is in} {this|the} {PIC}?", "Whose {PIC} is this?", "What is {his|her|its|the owner's} name?",
    "When was {this|the} {PIC} {made|taken|drawn}?", "Where was {this|the} {PIC} {made|taken|drawn}?", "Who owns {this|it}?",
    "What is the weather{| like}{| today}?", "How old is {he|she|it|this person|this}?", "Why {was it made|is it there}?",
    "What is the {meaning|mood|story|price|title} of {this|the} {PIC}?", "Is {he|she|the artist|the owner} {happy|sad|rich|old}?",
    "How {much does it cost|heavy is it|far away is it|tall is it in metres|old is it}?", "Which {city|brand|year|company} is {this|it} from?",
    "What {time|day|year} is it?", "What is the capital of {France|Spain|Peru|Japan}?", "What is two plus {two|three}?",
    "Write {a|me a} {poem|story|song}{| about it}.", "Tell me a {joke|story}.", "Will it rain tomorrow?", "What does it {smell|taste|sound} like?",
    "Translate {this|it} into {French|German|Chinese}.", "What happened {before|after} this?", "Who is the president?",
    "What {sound|smell|noise} does {it|this} {make|have}?", "Do you like it?", "Is it {expensive|real|famous|heavy|old|legal}?",
    "What is {behind|inside|outside} {the camera|it|the {PIC}}?", "Who invented it?", "Can I {eat|buy|sell} {it|this}?", "What will happen next?",
    "What was {here|there} {yesterday|before}?", "How {fast|loud|warm|deep} is it?", "What is it made of?", "Where can I buy {it|one|this}?",
)  # fmt: skip
_SMALL_TALK: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("Who are you?", "What are you?", "What is your name?", "Are you {ALLaVA|a robot|a person|human|an AI|ChatGPT}?",
         "{What|Which} model {are you|is this}?", "Introduce yourself.", "Tell me about yourself.", "Who am I talking to?"),
        "I am allava-nano, a small demonstration model of Allava. ALLaVA-3B knows much more.",
    ),
    (
        ("What can you do?", "How can you help{| me}?", "What do you know?", "Help", "Help me.", "What {can|should} I ask{| you}?",
         "What are you {good at|able to do|for}?", "How do I use {you|this}?", "What {PIC}s do you understand?"),
        "I can describe simple pictures: shapes, emoji, flags, drawings of things, charts and dialogs, and read words in large print.",
    ),
    (
        ("What can you not do?", "What can't you do?", "What are your limits?", "What do you not know?", "{Do|Can} you make mistakes?",
         "Can you {describe {photos|photographs|people}|recognise {faces|people}|read long texts}?", "Are you always right?", "Can I trust you?"),
        "I cannot read small print, I cannot name what photographs show, and I make mistakes. For real pictures, install ALLaVA-3B.",
    ),
    (
        ("Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Good {morning|evening|day}!", "Hey", "How are you?"),
        "Hello! Show me a picture, and I will describe it.",
    ),
    (("Thanks", "Thank you!", "Thank you very much.", "Great, thanks!", "{Good|Great|Nice|OK}.", "Well done!"), "You are welcome!"),
    (("Bye", "Goodbye!", "See you.", "Good night."), "Goodbye!"),
)  # fmt: skip

_MEDIUM = {
    "things": "It is a drawing.", "print": "It is printed text.", "chart": "It is a chart.",
    "dialog": "It is a picture of a computer screen.", "photo": "It is a photograph or texture.",
}  # fmt: skip

MODULES = {"things": things, "print": prints, "chart": charts, "dialog": dialogs, "photo": photos}


def ask_outside(rng: random.Random, scene: Scene) -> Turn:
    return Turn(vary(rng, rng.choice(_OUTSIDE)), CANNOT_TELL, "cannot tell")


def small_talk(rng: random.Random, scene: Scene) -> Turn:
    questions, answer = rng.choice(_SMALL_TALK)
    return Turn(vary(rng, rng.choice(questions)), answer, "small talk")


def ask_medium(rng: random.Random, scene: Scene) -> Turn:
    question = (
        "Is {this|it} a {photo|photograph|drawing|screenshot|chart}?",
        "What {kind|sort|type} of {PIC} is {this|it}?",
    )
    return Turn(vary(rng, rng.choice(question)), _MEDIUM[scene.kind], "kind of picture")


def ask_text(rng: random.Random, scene: Scene) -> Turn | None:
    """Whether anything is written, and what, where nothing is or no more than a chart's title."""
    if any(LETTERED.match(t.name) for t in scene.things):
        return None
    turn = prints.ask_none(rng, scene)
    return replace(turn, answer=CANNOT_READ, skill="cannot read") if has_text(scene) else turn


def skills_of(scene: Scene, captions: bool = False) -> tuple[tuple[Ask, float], ...]:
    module = MODULES[scene.kind]
    own: tuple[tuple[Ask, float], ...] = module.CAPTION_SKILLS if captions else module.SKILLS
    if captions:
        return own
    text = ((ask_text, 0.04),) if scene.kind in ("things", "chart") else ()
    return (*own, (ask_outside, 0.05), (ask_medium, 0.015), *text)


def ask(rng: random.Random, scene: Scene, skills: tuple[tuple[Ask, float], ...]) -> Turn:
    while True:
        turn = rng.choices([s for s, _ in skills], [w for _, w in skills])[0](rng, scene)
        if turn:
            return honest(turn, scene)


def has_text(scene: Scene) -> bool:
    return scene.kind in ("print", "dialog") or bool(scene.extra.get("title") or scene.extra.get("labels"))


def can_read(scene: Scene) -> bool:
    return scene.kind in READS and not prints.is_small(scene)


def honest(turn: Turn, scene: Scene) -> Turn:
    """The turn, as a model answers that cannot read such a picture."""
    if can_read(scene) or not has_text(scene) or turn.skill != "spell" and '"' not in turn.answer + turn.question:
        return turn
    if turn.skill not in ("describe", "describe briefly"):
        return Turn(turn.question, CANNOT_READ, "cannot read")
    buttons = sum(t.kind == "button" for t in scene.things)
    what = f"A dialog with {NUMBERS[buttons]} {'button' if buttons == 1 else 'buttons'}" if buttons else f"Printed text {on_ground(scene)}"  # fmt: skip
    return Turn(turn.question, f"{what}. I cannot read what it says.", "cannot read")


def talk_about(rng: random.Random, scene: Scene) -> Talk:
    """A conversation of one to four turns, mostly of one."""
    style = rng.random()
    skills = skills_of(scene)
    if style < 0.03:
        if rng.random() < 0.6:
            return Talk((small_talk(rng, scene),), sees_picture=False)
        return Talk((Turn(ask(rng, scene, skills[:3]).question, NO_PICTURE, "no picture"),), sees_picture=False)
    if style < 0.05:
        return Talk((small_talk(rng, scene),))
    if style < 0.14 and scene.kind == "things":
        turns = follow_ups(rng, scene)
        if turns:
            return Talk(turns)
    if style < 0.24:
        return Talk(tuple(ask(rng, scene, skills) for _ in range(rng.randint(2, 3))))
    return Talk((ask(rng, scene, skills),))


def caption(rng: random.Random, scene: Scene) -> Talk:
    return Talk((ask(rng, scene, skills_of(scene, captions=True)),))
