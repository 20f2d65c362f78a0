"""The model's own byte-level BPE, in the tokenizers library's file format.

Names of things are tokens of their own ("added tokens", as Phi-2's runs of spaces are), however many words they have: to
name what it sees the decoder need not learn to spell two thousand names, only to say what a patch holds.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from . import materials as collection
from .materials import Materials, noun_of
from .pool import pick_scene
from .scene import COLOUR_NAMES, PALE, PLACES, SHAPES
from .talk import talk_about
from .vocabulary import ABSENT
from .wording import plain

END = "<|endoftext|>"


class Words:
    """A tokenizer.json, with the pieces of the prompt format encoded separately."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()
        self.end: int = tokenizer.token_to_id(END)  # type: ignore[assignment]
        added = tokenizer.get_added_tokens_decoder()
        # An entry has one character for each byte; an added token is text.
        self._lengths = {i: len(e) for e, i in tokenizer.get_vocab().items()}
        self._lengths |= {i: len(token.content.encode()) for i, token in added.items()}
        self._encode = lru_cache(1 << 17)(lambda text: tuple(tokenizer.encode(text, add_special_tokens=False).ids))

    @staticmethod
    def load(path: Path) -> Words:
        return Words(Tokenizer.from_file(str(path)))

    def encode(self, text: str) -> tuple[int, ...]:
        return self._encode(text)

    def length(self, token: int) -> int:
        """Bytes of text that a token stands for."""
        return self._lengths[token]

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def corpus(rng: random.Random, materials: Materials, scenes: int) -> Iterator[str]:
    """What is asked and said. Printed texts are left out, so that they stay in letters."""
    for _ in range(scenes):
        scene = pick_scene(rng, materials)
        for _ in range(4):
            for turn in talk_about(rng, scene).turns:
                yield re.sub('"[^"]*"', '""', f"\n{plain(turn.question)} [/INST] ")
                yield re.sub('"[^"]*"', '""', plain(turn.answer))


def words_of(texts: Iterable[str]) -> Counter[str]:
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(text))
    return words


def merges_of(words: Counter[str], count: int) -> list[tuple[str, str]]:
    """The most frequent beginnings of words, each as its last character's merge with the beginning before it.

    Every merge extends a beginning, so that a text within quotes, which has no space before it, is read and written
    letter by letter: that is what a picture shows.
    """
    beginnings: Counter[str] = Counter()
    for word, times in words.items():
        if word[0] in "\u0120ABCDEFGHIJKLMNOPQRSTUVWXYZ" and (word[0] == "\u0120" or times > 100):
            for end in range(2, len(word) + 1):
                beginnings[word[:end]] += times
    kept = sorted(beginnings.items(), key=lambda b: (-b[1], len(b[0]), b[0]))[:count]
    return [(b[:-1], b[-1]) for b, _ in kept]


def names_of(materials: Materials, words: Counter[str]) -> list[str]:
    """Names of things, places and pale colours as they stand in a sentence; WORDS are the corpus's, with their space.

    After "an" a name has the n as well: "a" is said before it is known which name follows.
    """
    names = [*PLACES, *PALE, *ABSENT, *(noun_of(s) for s in materials.sprites)]
    frequent = [word for word, times in words.items() if times > 400]
    spaced = []
    for name in dict.fromkeys(names):
        if all(word in (*SHAPES, *COLOUR_NAMES) for word in name.split()):
            continue  # an emoji that is called "red circle" is one, however it is drawn
        begun = [w for w in frequent if w.startswith("\u0120" + name) and w[len(name) + 1 :] not in ("", "s", "es")]
        if not begun:  # not "can", or "cannot" would fall apart
            spaced.append(" " + name)
    bare = {noun_of(s) for s in materials.sprites if s.article == noun_of(s)}
    upper = [name[0].upper() + name[1:] for name in sorted(bare) if name[0].islower()]
    after_an = {s.article.removeprefix("an") for s in materials.sprites if s.article.startswith("an ")}
    return spaced + upper + ["n" + name for name in spaced if name in after_an]


def train(texts: Iterable[str], materials: Materials, size: int) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = words_of(texts)
    merges = merges_of(words, size - len(alphabet) - 1)
    entries = [END, *alphabet, *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({entry: i for i, entry in enumerate(entries)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    whole = [n for n in names_of(materials, words) if len(tokenizer.encode(n).ids) > 1]
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    tokenizer.add_tokens([AddedToken(name, normalized=False) for name in whole])
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the materials; tokenizer.json is made there"
    )
    parser.add_argument("--size", type=int, default=2048, help="without the names")
    parser.add_argument("--scenes", type=int, default=20000)
    options = parser.parse_args()
    materials = collection.load(options.work / "materials")
    tokenizer = train(corpus(random.Random("tokenizer"), materials, options.scenes), materials, options.size)
    tokenizer.save(str(options.work / "tokenizer.json"))
    print(f"{options.work / 'tokenizer.json'}: {tokenizer.get_vocab_size()} entries")


if __name__ == "__main__":
    main()
