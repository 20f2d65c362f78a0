"""The model's own byte-level BPE, in the tokenizers library's file format."""

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
from .materials import Materials
from .pool import pick_scene
from .talk import talk_about
from .wording import plain

END = "<|endoftext|>"


class Words:
    """A tokenizer.json, with the pieces of the prompt format encoded separately."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()
        self.end: int = tokenizer.token_to_id(END)  # type: ignore[assignment]
        entries = tokenizer.get_vocab()
        self._lengths = {i: len(entry) for entry, i in entries.items()}  # an entry has one character for each byte
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
                yield re.sub('"[^"]*"', '""', f"\n{turn.question} [/INST] ")
                yield re.sub('"[^"]*"', '""', plain(turn.answer))
    for sprite in materials.sprites:
        yield from [" " + sprite.article] * 60


def merges_of(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    """The most frequent beginnings of words, each as its last character's merge with the beginning before it.

    Every merge extends a beginning, so that a text within quotes, which has no space before it, is read and written
    letter by letter: that is what a picture shows.
    """
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(text))
    beginnings: Counter[str] = Counter()
    for word, times in words.items():
        if word[0] in "\u0120ABCDEFGHIJKLMNOPQRSTUVWXYZ" and (word[0] == "\u0120" or times > 100):
            for end in range(2, len(word) + 1):
                beginnings[word[:end]] += times
    kept = sorted(beginnings.items(), key=lambda b: (-b[1], len(b[0]), b[0]))[:count]
    return [(b[:-1], b[-1]) for b, _ in kept]


def train(texts: Iterable[str], size: int) -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = merges_of(texts, size - len(alphabet) - 1)
    entries = [END, *alphabet, *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({entry: i for i, entry in enumerate(entries)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(END, special=True, normalized=False)])
    return tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of the materials; tokenizer.json is made there"
    )
    parser.add_argument("--size", type=int, default=3584)
    parser.add_argument("--scenes", type=int, default=20000)
    options = parser.parse_args()
    materials = collection.load(options.work / "materials")
    tokenizer = train(corpus(random.Random("tokenizer"), materials, options.scenes), options.size)
    tokenizer.save(str(options.work / "tokenizer.json"))
    print(f"{options.work / 'tokenizer.json'}: {tokenizer.get_vocab_size()} entries")


if __name__ == "__main__":
    main()
