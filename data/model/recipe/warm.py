"""Stage 0: teaches the vision tower to see, by asking each patch what covers it.

No pretrained CLIP of this size exists, so the tower learns from the drawings' own ground truth: the shape and
colour on each patch, where the middle of that shape lies and how large it is, and the background's colours.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .model import PatchHeads
from .pool import Shard
from .scene import SHAPES


def patches_to_keep(rng: np.random.Generator, shard: Shard, rows: np.ndarray, count: int) -> np.ndarray:
    """int64 [B, count]: patches with something on them first, then their neighbours, then any."""
    covered = (shard.shape[rows] < len(SHAPES)).reshape(len(rows), 8, 8)
    padded = np.pad(covered, ((0, 0), (1, 1), (1, 1)))
    near = sum(
        padded[:, 1 + dy : 9 + dy, 1 + dx : 9 + dx].astype(np.float32)
        for dx in (-1, 0, 1)
        for dy in (-1, 0, 1)
    )
    wish = covered * 4 + (near > 0) * 1.5 + rng.random(covered.shape)
    return np.sort(np.argpartition(-wish.reshape(len(rows), -1), count, 1)[:, :count], 1)


def order_loss(
    features: Tensor, heads: PatchHeads, shard: Shard, rows: np.ndarray
) -> tuple[Tensor, dict[str, float]]:
    """The loss of what only the whole picture tells: each thing's place and number from the left, and how many."""
    rank = torch.from_numpy(shard.owner[rows]).long().to(features.device)
    place = torch.from_numpy(shard.place[rows]).long().to(features.device)
    number = torch.from_numpy(shard.number[rows]).to(features.device)
    covered = rank >= 0
    place_logits, rank_logits = heads.place(features[covered]).float(), heads.rank(features[covered]).float()
    number_logits = heads.number(features.mean(1)).float()
    loss = (
        F.cross_entropy(place_logits, place[covered])
        + F.cross_entropy(rank_logits, rank[covered])
        + F.cross_entropy(number_logits, number)
    )
    right = {
        "place": (place_logits.argmax(-1) == place[covered]).float().mean().item(),
        "rank": (rank_logits.argmax(-1) == rank[covered]).float().mean().item(),
        "number": (number_logits.argmax(-1) == number).float().mean().item(),
    }
    return loss, right


def patch_loss(features: Tensor, heads: PatchHeads, shard: Shard, rows: np.ndarray,
               kept: np.ndarray | None = None) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
    """The loss on features [B, P or K, D], and the share of right answers."""

    def labels(values: np.ndarray) -> Tensor:
        chosen = values[rows]
        if kept is not None:
            index = kept if chosen.ndim == 2 else kept[:, :, None]
            chosen = np.take_along_axis(chosen, index, 1)
        return torch.from_numpy(chosen).to(features.device)

    shape, colour = labels(shard.shape).long(), labels(shard.colour).long()
    centre, lies = labels(shard.centre).float(), labels(shard.lies)
    ground = torch.from_numpy(shard.ground[rows]).to(features.device)
    shape_logits, colour_logits = heads.shape(features).float(), heads.colour(features).float()
    centre_logits, lies_guess = heads.centre(features).float().squeeze(-1), heads.lies(features).float()
    ground_logits = heads.ground(features.mean(1)).float()
    covered = shape < len(SHAPES)
    weight = torch.where(covered, 1.0, 0.3)  # a covered patch says more than an empty one
    weight = weight / weight.sum()
    far = F.smooth_l1_loss(lies_guess, lies, reduction="none").mean(-1)
    loss = (
        1.5 * (F.cross_entropy(shape_logits.transpose(1, 2), shape, reduction="none") * weight).sum()
        + (F.cross_entropy(colour_logits.transpose(1, 2), colour, reduction="none") * weight).sum()
        + 2 * (far * covered).sum() / covered.sum().clamp(min=1)
        + 2
        * F.binary_cross_entropy_with_logits(
            centre_logits, centre, pos_weight=torch.tensor(4.0, device=ground.device)
        )
        + 2 * F.binary_cross_entropy_with_logits(ground_logits, ground)
    )
    with torch.no_grad():
        right = {
            "shape": (shape_logits.argmax(-1) == shape)[covered].float().mean().item(),
            "colour": (colour_logits.argmax(-1) == colour)[covered].float().mean().item(),
            "lies": ((far * covered).sum() / covered.sum().clamp(min=1)).item(),
            "count": ((centre_logits > 0).sum(1) == centre.sum(1)).float().mean().item(),
            "ground": ((ground_logits > 0) == (ground > 0)).all(1).float().mean().item(),
        }
    return loss, right
