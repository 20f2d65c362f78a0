"""The model's own byte-level BPE, in the tokenizers library's file format."""

from __future__ import annotations

import argparse
import random
from functools import lru_cache
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END = "<|endoftext|>"


class Words:
    """A tokenizer.json, with the pieces of the prompt format encoded separately."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.size = tokenizer.get_vocab_size()
        self.end: int = tokenizer.token_to_id(END)  # type: ignore[assignment]
        self._encode = lru_cache(1 << 17)(
            lambda text: tuple(tokenizer.encode(text, add_special_tokens=False).ids)
        )

    @staticmethod
    def load(path: Path) -> Words:
        return Words(Tokenizer.from_file(str(path)))

    def encode(self, text: str) -> tuple[int, ...]:
        return self._encode(text)

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def train(texts: list[str], size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=20,
            special_tokens=[AddedToken(END, special=True, normalized=False)],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def main() -> None:
    from .questions import corpus

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="tokenizer.json")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--scenes", type=int, default=6000)
    options = parser.parse_args()
    tokenizer = train(corpus(random.Random("tokenizer"), options.scenes), options.size)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(options.out))
    print(f"{options.out}: {tokenizer.get_vocab_size()} entries")


if __name__ == "__main__":
    main()
