"""Stage 0: teaches the vision tower to see, by asking each patch what covers it.

No pretrained CLIP of this size exists, so the tower learns from the drawings' own ground truth: which thing is on
each patch, its colour, where its middle lies, which letters stand there, or the background's colour; and of the whole
picture, its kind, its background's kind and colours, and how many things it has. The answers are read off by linear
heads that are thrown away.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .draw import CELLS
from .kinds.printing import CHARACTERS, LONGEST, QUESTIONS, RESTS
from .pool import GROUND_KINDS, GROUNDS, KINDS, NONE, OUTSIDE, SIZES, Shard
from .scene import COLOUR_NAMES, MOST_THINGS, PATCHES, PLACES

COUNTING = 3.0  # weight of the questions that go beyond one thing: the slowest to be learnt
SHARES = 2.0  # of the colours' shares in a photograph
GROUND = 4.0  # and of the background's colours, which are also a photograph's
# The questions with one answer, by their names in Heads and Shard: of a thing's patches, and of the whole picture.
PATCH_WEIGHTS = {"colour": 0.7, "place": 0.5, "size": 0.5} | dict.fromkeys(
    ("rank", "same", "alike", "group", "hue", "hues"), COUNTING
)
PICTURE_WEIGHTS = {"number": COUNTING, "groups": COUNTING, "kind": 0.3, "ground_kind": 0.5}
LETTER_WEIGHTS = dict(zip(QUESTIONS, (1.5, 0.7, 1.0, 0.3), strict=True))


class Heads(nn.Module):
    """What is asked of each patch, of each thing and of the whole picture."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.label = nn.Linear(width, classes + 1)  # the last one: nothing
        self.colour = nn.Linear(width, len(COLOUR_NAMES))
        self.lies = nn.Linear(width, 3)
        self.place = nn.Linear(width, len(PLACES))
        self.size = nn.Linear(width, len(SIZES))
        self.rank = nn.Linear(width, MOST_THINGS)
        self.same = nn.Linear(width, MOST_THINGS + 1)
        self.alike = nn.Linear(width, MOST_THINGS + 1)
        self.group = nn.Linear(width, MOST_THINGS)
        self.hue = nn.Linear(width, MOST_THINGS)
        self.hues = nn.Linear(width, MOST_THINGS + 1)
        self.character = nn.Linear(width, CELLS * (len(CHARACTERS) + 1))  # the last of each: none
        self.before = nn.Linear(width, CELLS * (len(CHARACTERS) + 1))
        self.order = nn.Linear(width, CELLS * LONGEST)
        self.rest = nn.Linear(width, CELLS * RESTS)
        self.backdrop = nn.Linear(width, OUTSIDE + 1)
        self.ground = nn.Linear(width, len(GROUNDS))
        self.ground_kind = nn.Linear(width, len(GROUND_KINDS))
        self.shares = nn.Linear(width, len(COLOUR_NAMES))
        self.number = nn.Linear(width, MOST_THINGS + 1)
        self.groups = nn.Linear(width, MOST_THINGS + 1)
        self.kind = nn.Linear(width, len(KINDS))


def patches_to_keep(rng: np.random.Generator, shard: Shard, rows: np.ndarray, count: int) -> np.ndarray:
    """int64 [B, count]: patches with something on them first, then their neighbours, then any."""
    covered = (shard.owner[rows] != NONE) | (shard.letter[rows, :, :, 0] != NONE).any(2)
    covered = covered.reshape(len(rows), PATCHES, PATCHES)
    padded = np.pad(covered, ((0, 0), (1, 1), (1, 1))).astype(np.float32)
    near = sum(
        padded[:, 1 + dy : 1 + dy + PATCHES, 1 + dx : 1 + dx + PATCHES] for dx in (-1, 0, 1) for dy in (-1, 0, 1)
    )
    wish = covered * 2.5 + (near > 0) * 1.5 + 2 * rng.random(covered.shape)
    return np.sort(np.argpartition(-wish.reshape(len(rows), -1), count, 1)[:, :count], 1)


def _right(logits: Tensor, wanted: Tensor) -> float:
    asked = wanted != NONE
    return (logits.argmax(-1) == wanted)[asked].float().mean().item() if asked.any() else float("nan")


class Questions:
    """Asks the heads about features [B, P or K, D], collecting losses and the share of right answers."""

    def __init__(self, features: Tensor, heads: Heads, shard: Shard, rows: np.ndarray, kept: np.ndarray | None) -> None:
        self.features, self.heads, self.shard, self.rows, self.kept = features, heads, shard, rows, kept
        self.loss = torch.zeros((), device=features.device)
        self.right: dict[str, float] = {}

    def labels(self, values: np.ndarray) -> Tensor:
        """Of each patch that is seen; VALUES are the whole shard's."""
        return self.of_kept(values[self.rows])

    def of_kept(self, values: np.ndarray) -> Tensor:
        if self.kept is not None:
            index = self.kept.reshape(self.kept.shape + (1,) * (values.ndim - 2))
            values = np.take_along_axis(values, index, 1)
        return torch.from_numpy(values).to(self.features.device)

    def choose(self, name: str, logits: Tensor, wanted: Tensor, weight: float) -> None:
        """One of several, wherever wanted is not NONE."""
        if (wanted != NONE).any():
            loss = F.cross_entropy(logits.flatten(0, -2).float(), wanted.flatten(), ignore_index=NONE)
            self.loss = self.loss + weight * loss
        self.right[name] = _right(logits.detach(), wanted)

    def ask_patches(self) -> None:
        owner = self.labels(self.shard.owner).long()
        label = self.labels(self.shard.label).long()
        covered = owner != NONE
        logits = self.heads.label(self.features)
        nothing = logits.shape[-1] - 1
        empty_too = torch.where(covered, label, nothing)
        sparse = covered | (torch.rand(covered.shape, device=covered.device) < 0.15)  # of the empty ones, a few will do
        self.choose("label", logits[sparse], empty_too[sparse], 0.7)
        self.choose("backdrop", self.heads.backdrop(self.features), self.labels(self.shard.backdrop).long(), 0.7)
        seen = self.features[covered]
        for name, weight in PATCH_WEIGHTS.items():
            wanted = self.labels(getattr(self.shard, name)).long()[covered]
            self.choose(name, getattr(self.heads, name)(seen), wanted, weight)
        if covered.any():
            lies = self.labels(self.shard.lies)[covered]
            self.loss = self.loss + F.smooth_l1_loss(self.heads.lies(seen).float(), lies)
        self._ask_things(owner, label)

    def _ask_things(self, owner: Tensor, label: Tensor) -> None:
        """Of all of a thing's patches together, what it is."""
        if not (owner != NONE).any():
            return
        member = F.one_hot(owner + 1)[:, :, 1:].to(self.features.dtype)  # [B, P, things]
        pooled = member.transpose(1, 2) @ self.features / member.sum(1).clamp(min=1)[:, :, None]
        wanted = torch.where(member > 0, label[:, :, None], NONE).amax(1)  # [B, things]
        there = wanted != NONE
        self.choose("thing", self.heads.label(pooled[there]), wanted[there], 1.0)

    def ask_letters(self) -> None:
        letter = self.labels(self.shard.letter).long()
        has_text = (letter[..., 0] != NONE).any(-1)
        sparse = has_text | (torch.rand(has_text.shape, device=has_text.device) < 0.03)
        seen, letter = self.features[sparse], letter[sparse]
        for question, (name, weight) in enumerate(LETTER_WEIGHTS.items()):
            logits = getattr(self.heads, name)(seen).unflatten(-1, (CELLS, -1))
            self.choose(name, logits, letter[..., question], weight)
            if name == "character":
                none = logits.shape[-1] - 1
                self.choose("no_letter", logits, torch.where(letter[..., question] == NONE, none, NONE), 0.2)

    def ask_photographs(self) -> None:
        """The colours' shares of each patch, and of the whole."""
        shares = self.shard.photo_shares(self.rows)
        seen = self.of_kept(shares)
        there = seen.sum(-1) > 0
        if not there.any():
            return
        logits = self.heads.backdrop(self.features[there]).float()
        self.loss = self.loss + 0.7 * F.cross_entropy(logits, F.pad(seen[there], (0, logits.shape[1] - seen.shape[2])))
        whole = torch.from_numpy(shares).to(seen.device).sum(1)[there.any(1)]
        mean = self.heads.shares(self.features.mean(1)[there.any(1)]).float()
        self.loss = self.loss + SHARES * F.cross_entropy(mean, whole / whole.sum(1, keepdim=True))

    def ask_picture(self) -> None:
        mean = self.features.mean(1)
        for name, weight in PICTURE_WEIGHTS.items():
            wanted = torch.from_numpy(getattr(self.shard, name)[self.rows])
            self.choose(name, getattr(self.heads, name)(mean), wanted.to(mean.device), weight)
        ground = torch.from_numpy(self.shard.ground[self.rows]).to(mean.device)
        logits = self.heads.ground(mean).float()
        self.loss = self.loss + GROUND * F.binary_cross_entropy_with_logits(logits, ground)
        right = ((logits > 0) == (ground > 0)).all(1).float()
        self.right["ground"] = right.mean().item()
        self.right["photo"] = right[ground[:, -1] > 0].mean().item()  # without one it is NaN, which the log leaves out


def tower_loss(
    features: Tensor, heads: Heads, shard: Shard, rows: np.ndarray, kept: np.ndarray | None = None
) -> tuple[Tensor, dict[str, float]]:
    """The loss on features [B, P or K, D] (K: the patches kept), and the share of right answers."""
    asked = Questions(features, heads, shard, rows, kept)
    asked.ask_letters()
    if shard.is_of("page"):
        return asked.loss, asked.right
    asked.ask_patches()
    asked.ask_picture()
    asked.ask_photographs()
    return asked.loss, asked.right
