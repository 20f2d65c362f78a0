"""Packs several conversations about one picture into one row, each seeing the picture and itself only.

Every conversation starts at the position after the picture, as if it were alone: one pass over the picture's
tokens teaches several answers, and what is learnt is exactly what inference asks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .model import LlavaPhi
from .questions import Talk, caption, talk_about
from .scene import Scene
from .tokenizer import Words

OPENING = "[INST] "
PICTURE = -1  # segment number of what every conversation sees
BUDGET = 132  # text tokens in a row
NO_LOSS = -100


@dataclass
class Row:
    ids: list[int]
    segments: list[int]
    positions: list[int]
    targets: list[int]  # the next token where it belongs to an answer


def turn_pieces(words: Words, talk: Talk) -> list[tuple[tuple[int, ...], bool]]:
    """The conversation's pieces after the picture (or, without one, all), and which are answers."""
    pieces: list[tuple[tuple[int, ...], bool]] = []
    for i, turn in enumerate(talk.turns):
        start = "\n" if i == 0 and talk.sees_picture else OPENING
        pieces.append((words.encode(f"{start}{turn.question} [/INST] "), False))
        pieces.append((words.encode(turn.answer) + (words.end,), True))
    return pieces


def pack(words: Words, scene: Scene, rng: random.Random, patches: int, captions: bool) -> Row:
    opening = words.encode(OPENING)
    start = len(opening) + patches
    row = Row([*opening] + [words.end] * patches, [PICTURE] * start, list(range(start)), [NO_LOSS] * start)
    number = 0
    while True:
        talk = caption(rng, scene) if captions else talk_about(rng, scene)
        pieces = turn_pieces(words, talk)
        length = sum(len(p) for p, _ in pieces)
        if number and len(row.ids) + length > start + BUDGET:
            return row
        # Without a picture the first piece is the opening itself, at position 0.
        number += 2
        position = start if talk.sees_picture else 0
        for ids, is_answer in pieces:
            row.ids += ids
            row.segments += [number - (0 if talk.sees_picture else 1)] * len(ids)
            row.positions += range(position, position + len(ids))
            if is_answer:
                row.targets[-1] = ids[0]
                row.targets += [*ids[1:], NO_LOSS]
            else:
                row.targets += [NO_LOSS] * len(ids)
            position += len(ids)
        if len(row.ids) > start + BUDGET - 14:
            return row


def collate(rows: list[Row], end: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ids, positions, targets [B, T] and who sees whom: bool [B, 1, T, T]. Odd segments do not see the picture."""
    length = max(len(r.ids) for r in rows)
    ids = np.full((len(rows), length), end, np.int64)
    segments = np.full((len(rows), length), -2, np.int64)
    positions = np.zeros((len(rows), length), np.int64)
    targets = np.full((len(rows), length), NO_LOSS, np.int64)
    for i, row in enumerate(rows):
        n = len(row.ids)
        ids[i, :n], segments[i, :n], positions[i, :n], targets[i, :n] = (
            row.ids,
            row.segments,
            row.positions,
            row.targets,
        )
    s = torch.from_numpy(segments)
    query, key = s[:, :, None], s[:, None, :]
    sees = (query == key) | ((key == PICTURE) & (query >= 0) & (query % 2 == 0))
    sees &= torch.ones(length, length, dtype=torch.bool).tril()
    return torch.from_numpy(ids), torch.from_numpy(positions), torch.from_numpy(targets), sees[:, None]


def answer_loss(model: LlavaPhi, words: Words, features: Tensor, scenes: list[Scene], rng: random.Random,
                captions: bool) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
    """Cross-entropy of the answers' tokens, and the share of answers' tokens that greedy choice has right."""
    rows = [pack(words, scene, rng, features.shape[1], captions) for scene in scenes]
    ids, positions, targets, sees = (t.to(features.device) for t in collate(rows, words.end))
    image = model.projector(features)
    hidden = model.decode(image, ids, len(words.encode(OPENING)), sees, positions)
    asked = targets != NO_LOSS
    logits = model.decoder.lm_head(hidden[asked]).float()
    loss = F.cross_entropy(logits, targets[asked])
    right = (logits.detach().argmax(-1) == targets[asked]).float().mean().item()
    return loss, {"answers": round(loss.item(), 5), "tokens_right": right}
