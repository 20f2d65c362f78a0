"""Packs several conversations about one picture into one row, each seeing the picture and itself only.

Every conversation starts at the position after the picture, as if it were alone: one pass over the picture's
tokens teaches several answers, and what is learnt is exactly what inference asks.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from dataclasses import fields as fields_of
from itertools import groupby

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .kinds.printing import QUESTIONS
from .model import GAZED, LlavaPhi
from .pool import Shard
from .scene import Scene
from .talk import caption, talk_about
from .tokenizer import Words
from .wording import NO_THING, Talk, article, marked_pieces

OPENING = "[INST] "
PICTURE = -1  # segment number of what every conversation sees
NOTHING = -2  # and of what fills a bin up
BINS, BIN = 2, 120  # bins of text tokens in a row: conversations in one do not even look at those in another
GAZING_HEADS = 3
NO_LOSS = -100
SHARPNESS = 40  # a patch has a name, a colour, a place, a size and a number, and so is but half alike to each


@dataclass
class Row:
    ids: list[int]
    segments: list[int]
    positions: list[int]
    targets: list[int]  # the next token where it belongs to an answer
    about: list[int]  # and what that token is about, or a question's name that ends here: see wording.about; or -1
    letter: list[int]  # and which letter of a text, or -1

    @staticmethod
    def empty() -> Row:
        return Row([], [], [], [], [], [])

    def extend(self, other: Row) -> None:
        for field in fields_of(self):
            getattr(self, field.name).extend(getattr(other, field.name))


@dataclass(frozen=True)
class Piece:
    ids: tuple[int, ...]
    about: tuple[int, ...]  # what each token is about, or -1
    letter: tuple[int, ...]
    is_answer: bool


Encoded = list[tuple[int, int, int]]  # tokens, each with the number of what it is about and of its letter, or -1


def _encode_pieces(words: Words, pieces: list[tuple[str, int, bool]]) -> Encoded:
    """Of pieces none of which is spelt."""
    owners: list[int] = []
    for text, thing, _ in pieces:
        owners += [thing] * len(text.encode())
    at, encoded = 0, []
    for token in words.encode("".join(p[0] for p in pieces)):
        encoded.append((token, owners[min(at + words.length(token), len(owners)) - 1], -1))  # where its last byte lies
        at += words.length(token)
    return encoded


def encode_marked(words: Words, marked: str) -> Encoded:
    """A spelt text is one token to a letter, and what ends it is told by a look at its last letter."""
    encoded: Encoded = []
    ending: tuple[int, int] | None = None
    for is_spelt, group in groupby(marked_pieces(marked), lambda piece: piece[2]):
        pieces = list(group)
        if not is_spelt:
            between = _encode_pieces(words, pieces)
            if ending:
                between[0] = (between[0][0], *ending)
            encoded += between
        for text, thing, _ in pieces if is_spelt else ():
            encoded += [(token, thing, i) for i, character in enumerate(text) for token in words.encode(character)]
            ending = (thing, len(text) - 1)
    return encoded


def turn_pieces(words: Words, talk: Talk) -> list[Piece]:
    """The conversation's pieces after the picture (or, without one, all)."""
    pieces: list[Piece] = []
    for i, turn in enumerate(talk.turns):
        start = "\n" if i == 0 and talk.sees_picture else OPENING
        ids, about, letter = zip(*encode_marked(words, f"{start}{turn.question} [/INST] "), strict=True)
        following = (*about[1:], -1)  # of a name only the last token is marked: it has been read whole then
        ends = tuple(a if a != b else -1 for a, b in zip(about, following, strict=True))
        pieces.append(Piece(ids, ends, letter, False))
        ids, about, letter = zip(*encode_marked(words, turn.answer), strict=True)
        pieces.append(Piece((*ids, words.end), (*about, -1), (*letter, -1), True))
    return pieces


def pack_talk(words: Words, talk: Talk, number: int, start: int) -> Row:
    """One conversation, after a picture that ends at START; without a picture, its first piece opens at position 0."""
    row = Row.empty()
    segment = number - (0 if talk.sees_picture else 1)
    for piece in turn_pieces(words, talk):
        if piece.is_answer:
            row.targets[-1], row.about[-1], row.letter[-1] = piece.ids[0], piece.about[0], piece.letter[0]
            row.targets += [*piece.ids[1:], NO_LOSS]
            row.about += [*piece.about[1:], -1]
            row.letter += [*piece.letter[1:], -1]
        else:
            row.targets += [NO_LOSS] * len(piece.ids)
            row.about += piece.about
            row.letter += piece.letter
        row.ids += piece.ids
    row.segments += [segment] * len(row.ids)
    first = start if talk.sees_picture else 0
    row.positions += range(first, first + len(row.ids))
    return row


def pack(words: Words, scene: Scene, rng: random.Random, patches: int, captions: bool) -> Row:
    """The picture, then BINS bins of BIN tokens, each filled with conversations until the next one has no room."""
    opening = words.encode(OPENING)
    start = len(opening) + patches
    nothing = [-1] * start
    ids = [*opening] + [words.end] * patches
    row = Row(ids, [PICTURE] * start, list(range(start)), [NO_LOSS] * start, nothing, nothing.copy())
    bins = [Row.empty() for _ in range(BINS)]
    number = 0
    while True:
        number += 2
        talk = caption(rng, scene) if captions else talk_about(rng, scene)
        packed = pack_talk(words, talk, number, start)
        room = [b for b in bins if len(b.ids) + len(packed.ids) <= BIN]
        if room:
            room[0].extend(packed)
        elif len(packed.ids) <= BIN:
            break
    for each in bins:
        rest = BIN - len(each.ids)
        row.extend(each)
        nothing = [-1] * rest
        row.extend(Row([words.end] * rest, [NOTHING] * rest, [0] * rest, [NO_LOSS] * rest, nothing, nothing))
    return row


def collate(rows: list[Row], start: int) -> tuple[Tensor, ...]:
    """ids, positions, targets, about, letter [B, T], and what each bin's tokens see of picture and bin: bool [B, BINS, BIN, START + BIN].

    Odd segments do not see the picture.
    """
    fields = ([getattr(r, f.name) for r in rows] for f in fields_of(Row))
    ids, segments, positions, targets, about, letter = (torch.tensor(f) for f in fields)
    text = segments[:, start:].unflatten(1, (BINS, BIN))
    query, key = text[..., :, None], text[..., None, :]
    beside = (query == key) & torch.ones(BIN, BIN, dtype=torch.bool).tril()
    above = ((query >= 0) & (query % 2 == 0)).expand(-1, -1, -1, start)
    return ids, positions, targets, about, letter, torch.cat((above, beside), -1)


class Names:
    """Word lists, each name as the mean of its tokens' embeddings: as it stands alone, or after "a" or "an"."""

    def __init__(self, words: Words, names: list[str], after_article: bool = False) -> None:
        pieces = [words.encode(" " + article(n))[1:] if after_article else words.encode(" " + n) for n in names]
        self._ids = torch.tensor([i for p in pieces for i in p])
        self._starts = torch.tensor([0, *np.cumsum([len(p) for p in pieces])[:-1]])

    def vectors(self, table: Tensor) -> Tensor:
        """[names, H], of length one."""
        ids, starts = self._ids.to(table.device), self._starts.to(table.device)
        return F.normalize(F.embedding_bag(ids, table, starts, mode="mean").float(), dim=-1)


def naming_loss(model: LlavaPhi, wanted: list[tuple[Names, Tensor, Tensor]]) -> tuple[Tensor, float]:
    """Draws embeddings of a picture towards names, read and said; and the share of the first list's that are nearest.

    WANTED: lists of names, embeddings [..., H], and which of the names each has, [...], or -1; or each name's share of
    it, [..., names], all 0 where there is nothing to learn. A name of several tokens counts as their mean, so that the
    decoder can learn once and for all to spell out what a patch holds.
    """
    losses, right = [], 0.0
    tables = (model.decoder.model.embed_tokens.weight, model.decoder.lm_head.weight)
    for number, (names, image, labels) in enumerate(wanted):
        labels = labels.to(image.device)
        covered = labels.sum(-1) > 0 if labels.is_floating_point() else labels >= 0
        if not covered.any():
            continue
        shown = F.normalize(image[covered].float(), dim=-1)
        for table in tables:
            logits = SHARPNESS * shown @ names.vectors(table).T
            losses.append(F.cross_entropy(logits.float(), labels[covered]))
        if number == 0:
            right = (logits.argmax(-1) == labels[covered]).float().mean().item()
    return torch.stack(losses).mean(), right


def gaze_loss(
    model: LlavaPhi, positions: Tensor, about: Tensor, letter: Tensor, owner: Tensor, order: Tensor, image_at: int
) -> Tensor:
    """Shows some heads where to look: while a word about a thing is to be said, at that thing's patches.

    OWNER [B, P] says which thing each patch belongs to, NO_THING being a photograph, which is to be looked at all over, and
    ORDER [B, P, CELLS] which letters of its text it shows; ABOUT [B, T] which thing the next token is about, and LETTER
    [B, T] which letter of its text.
    """
    asking = (about >= 0).nonzero()
    rows, tokens = asking.unbind(1)
    mine = owner[rows] == about[rows, tokens][:, None]  # [N, P]
    wanted = letter[rows, tokens]
    mine &= (order[rows] == wanted[:, None, None]).any(2) | (wanted < 0)[:, None]
    asking, mine = asking[mine.any(1)], mine[mine.any(1)][:, None]
    is_whole = (about[asking[:, 0], asking[:, 1]] == NO_THING)[:, None]
    losses = []
    for layer in GAZED:
        looks = model.gaze(layer, GAZING_HEADS, asking, positions, image_at, owner.shape[1])
        within = looks.masked_fill(~mine, -1e4).logsumexp(-1)
        evenly = (looks * mine).sum(-1) / mine.sum(-1) + mine.sum(-1).log()
        losses.append(-torch.where(is_whole, evenly, within).mean())
    return torch.stack(losses).mean()


def answer_loss(
    model: LlavaPhi, words: Words, image: Tensor, shard: Shard, rows: np.ndarray, rng: random.Random, captions: bool
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Cross-entropy of the answers' tokens, double where they are marked; the gaze's; the share of tokens right."""
    packed = [pack(words, shard.scenes[i], rng, image.shape[1], captions) for i in rows]
    image_at = len(words.encode(OPENING))
    ids, positions, targets, about, letter, sees = (
        t.to(image.device) for t in collate(packed, image_at + image.shape[1])
    )
    hidden = model.decode(image, ids, image_at, sees, positions)
    asked = targets != NO_LOSS
    logits = model.decoder.lm_head(hidden[asked]).float()
    each = F.cross_entropy(logits, targets[asked], reduction="none")
    pointed = about[asked] >= 0
    loss = (each * (1 + pointed)).mean()
    right = logits.detach().argmax(-1) == targets[asked]
    told = {"answers": round(each.mean().item(), 5), "tokens_right": right.float().mean().item()}
    told["about_right"] = right[pointed].float().mean().item()
    owner = np.where(shard.is_photograph(rows), NO_THING, shard.owner[rows])
    order = torch.from_numpy(shard.letter[rows, :, :, QUESTIONS.index("order")]).to(image.device)
    gaze = gaze_loss(model, positions, about, letter, torch.from_numpy(owner).to(image.device), order, image_at)
    return loss, gaze, told | {"gaze": gaze.item()}
