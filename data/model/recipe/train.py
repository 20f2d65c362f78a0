"""Trains the model: `python -m recipe.train tower|captions|answers --work DIR`, in this order.

Each stage goes on from its own checkpoint if it was interrupted, else from the stage before.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from .batch import Names, answer_loss, naming_loss
from .model import LlavaPhi, Sizes, describe_sizes
from .pool import SIZES, Pool, Shard, pixels_of
from .scene import COLOUR_NAMES, PLACES
from .tokenizer import Words
from .tower import Heads, patches_to_keep, tower_loss
from .wording import NUMBERS


@dataclass(frozen=True)
class Stage:
    name: str
    after: str | None
    steps: int
    batch: int
    rate: float  # AdamW's highest learning rate
    matrix_rate: float  # Muon's

    @property
    def is_vision(self) -> bool:
        return self.name == "tower"


STAGES = {
    s.name: s
    for s in (
        Stage("tower", None, 12000, 64, 1.5e-3, 1.0e-2),  # vision tower
        Stage("names", "tower", 900, 1, 3.0e-3, 1.0e-2),  # projector and embeddings
        Stage("captions", "names", 250, 24, 2.0e-3, 1.0e-2),  # projector and decoder, as in the next
        Stage("answers", "captions", 10000, 24, 1.5e-3, 8.0e-3),
    )
}
WARM_UP = 60
PARTIAL_SHARE = 0.75  # of the tower's training, in which it sees only PARTIAL patches, those that matter
# Shares of collages and of pages among the tower's batches in its first half, for names and letters, and its second.
PACKED_SHARES = ((0.5, 0.25), (0.15, 0.25))
PARTIAL = 48
HEADS_FIRST = 300  # steps in which only its heads learn, where a tower goes on: new ones would upset it
NAMING_SHARE = 1.6  # it is a mean over eight lists, of which one has the names
NAMING_BATCH = 160
NAMING_COLLAGES = 0.6  # share of collages among what names are learnt from: a scene shows one or two
FIRST_SHARDS = 20  # whose features are taken at once
GAZE_SHARE = 0.3
STEPS_TO_A_SHARD = 60
CHECKPOINT_SECONDS = 120


def rate_at(step: int, progress: float) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    return min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Optimizers:
    """Muon for the layers' matrices, which need a third of AdamW's steps so; AdamW for the rest."""

    def __init__(self, modules: list[nn.Module], stage: Stage, share: float) -> None:
        named = [(n, p) for m in modules for n, p in m.named_parameters()]
        inner = [p for n, p in named if p.dim() == 2 and "layers." in n]
        others = [p for n, p in named if not (p.dim() == 2 and "layers." in n)]
        self._rates = (share * stage.matrix_rate, share * stage.rate)
        self._all: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(inner, lr=stage.matrix_rate, momentum=0.95, weight_decay=0.01,
                             adjust_lr_fn="match_rms_adamw", ns_steps=4),
            torch.optim.AdamW(others, lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        )  # fmt: skip

    def step(self, share: float) -> None:
        for optimizer, rate in zip(self._all, self._rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, object]]:
        return [o.state_dict() for o in self._all]

    def load_state_dict(self, states: list[dict[str, object]]) -> None:
        for optimizer, state in zip(self._all, states, strict=True):
            optimizer.load_state_dict(state)


@dataclass(frozen=True)
class Schedule:
    """How a stage runs. It is over when either limit is reached; the learning rate falls along with the nearer one."""

    steps: int  # limit
    seconds: float  # limit
    rates: float = 1  # share of the stage's learning rates
    seed: int = 0  # of which pictures are seen and what is asked about them


class Trainer:
    def __init__(
        self,
        work: Path,
        pictures: Path,
        stage: Stage,
        schedule: Schedule,
        device: str,
        threads: int,
        weights: Path | None,
    ) -> None:
        self.work, self.stage, self.schedule, self.device = work, stage, schedule, device
        torch.set_num_threads(threads)
        torch.manual_seed(sum(map(ord, stage.name)))
        classes = json.loads((work / "classes.json").read_text())
        self.pool = Pool(pictures, classes)
        self.words = Words.load(work / "tokenizer.json")
        self.model = LlavaPhi(Sizes(), self.words.size).to(device)
        self.names, self.colours, self.places, self.numbers, self.sizes = (
            Names(self.words, list(names)) for names in (classes, COLOUR_NAMES, PLACES, NUMBERS, SIZES)
        )
        self.names_after_article = Names(self.words, classes, after_article=True)
        self.heads = Heads(Sizes().vision_hidden, len(classes)).to(device)
        trained = [self.model.vision, self.heads] if stage.is_vision else [self.model.projector, self.model.decoder]
        self.optimizer = Optimizers(trained, stage, schedule.rates)
        if stage.is_vision:
            shutil.rmtree(work / "features", ignore_errors=True)  # another tower sees otherwise
            for layer in self.model.vision.encoder.layers:
                layer.compile(dynamic=False)  # a fifth faster on a CPU
        self._features: dict[str, Tensor] = {}
        self.known_shards = len(list((work / "features").glob("*.pt")))
        self.step, self.seconds = 0, 0.0
        self._resume(weights)
        self.first_step = self.step
        self.heads_first = HEADS_FIRST if weights else 0
        print(f"{stage.name}: {describe_sizes(self.model)}; step {self.step} of {schedule.steps}", flush=True)

    def _resume(self, weights: Path | None) -> None:
        own, before = self.work / f"{self.stage.name}.pt", self.work / f"{self.stage.after}.pt"
        if own.exists():
            state = torch.load(own, map_location=self.device, weights_only=True)
            self.step, self.seconds = state["step"], state["seconds"]
            self.optimizer.load_state_dict(state["optimizer"])
        elif weights and weights.is_dir():
            self.model.load_tensors(load_file(weights / "model.safetensors"))
            return
        elif weights or self.stage.after:
            state = torch.load(weights or before, map_location=self.device, weights_only=True)
        else:
            return
        # The vocabulary may have grown since, and what the tower is asked.
        for module, name in ((self.model, "model"), (self.heads, "heads")):
            own_state = module.state_dict()
            kept = {k: v for k, v in state[name].items() if k in own_state and v.shape == own_state[k].shape}
            module.load_state_dict(kept, strict=False)

    def save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        path = self.work / f"{self.stage.name}.pt"
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").rename(path)

    def _progress(self) -> float:
        return max(self.step / self.schedule.steps, self.seconds / self.schedule.seconds)

    def _loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        if self.stage.is_vision:
            return self._vision_loss(rng)
        # Encoding a shard takes a while: take them up one by one.
        grown = max(FIRST_SHARDS, self.known_shards) + (self.step - self.first_step) // STEPS_TO_A_SHARD
        shard, rows = self.pool.pick(rng, self.stage.batch, grown)
        naming, named = self._naming_loss(rng, grown)
        told = {"naming": naming.item(), "named": named}
        if self.stage.name == "names":
            return naming, told
        image = self.model.projector(self._features_of(shard)[rows].to(self.device))
        talk = random.Random(int(rng.integers(1 << 60)))
        is_captions = self.stage.name == "captions"
        loss, gaze, right = answer_loss(self.model, self.words, image, shard, rows, talk, is_captions)
        return loss + NAMING_SHARE * naming + GAZE_SHARE * gaze, right | told

    def _naming_loss(self, rng: np.random.Generator, shards: int) -> tuple[Tensor, float]:
        """It needs no decoder, and so can afford many pictures, collages too: names are rare."""
        shard, rows = self.pool.pick(rng, NAMING_BATCH, shards, NAMING_COLLAGES)
        image = self.model.projector(self._features_of(shard)[rows].to(self.device))
        names = self.names_after_article if rng.random() < 0.5 else self.names
        lists = (
            (names, image, shard.label),
            (self.colours, image, shard.colour),
            (self.places, image, shard.place),
            (self.sizes, image, shard.size),
            (self.numbers, image, shard.same),
            (self.numbers, image.mean(1), shard.number),
        )
        wanted = [(n, x, torch.from_numpy(v[rows]).long()) for n, x, v in lists]
        return naming_loss(self.model, wanted + self._colours_of_photographs(image, shard, rows))

    def _colours_of_photographs(
        self, image: Tensor, shard: Shard, rows: np.ndarray
    ) -> list[tuple[Names, Tensor, Tensor]]:
        """What naming_loss wants of each of their patches and of each of them, by shares."""
        shares = torch.from_numpy(shard.photo_shares(rows)).to(self.device)
        whole = shares.sum(1)
        mean = (image * shares.any(-1, keepdim=True)).sum(1)  # but for its length
        return [(self.colours, image, shares), (self.colours, mean, whole / whole.sum(-1, keepdim=True).clamp(min=1))]

    def _vision_loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        progress = self._progress()
        shard, rows = self.pool.pick(rng, self.stage.batch, None, *PACKED_SHARES[progress >= 0.5])
        pixels = pixels_of(shard, rows).to(self.device)
        is_whole = progress >= PARTIAL_SHARE or shard.is_of("page")
        kept = None if is_whole else patches_to_keep(rng, shard, rows, PARTIAL)
        with torch.set_grad_enabled(self.step >= self.heads_first):
            features = self.model.patches(pixels, None if kept is None else torch.from_numpy(kept).to(self.device))
        return tower_loss(features, self.heads, shard, rows, kept)

    @torch.no_grad()
    def _features_of(self, shard: Shard) -> Tensor:
        """The frozen tower's view of a whole shard, kept for this stage and the next."""
        if shard.name in self._features:
            return self._features[shard.name]
        path = self.work / "features" / f"{shard.name}.pt"
        if path.exists():
            self._features[shard.name] = torch.load(path, weights_only=True)
        else:
            pieces = np.array_split(np.arange(len(shard.scenes)), 20)
            seen = [self.model.patches(pixels_of(shard, p).to(self.device)).bfloat16().cpu() for p in pieces]
            self._features[shard.name] = torch.cat(seen)
            path.parent.mkdir(exist_ok=True)
            torch.save(self._features[shard.name], path)
        return self._features[shard.name]

    def run(self) -> None:
        parameters = list(self.model.parameters()) + list(self.heads.parameters())
        log = Log(self.stage.name)
        saved = time.monotonic()
        self.model.train()
        while self._progress() < 1:
            began = time.monotonic()
            with torch.autocast(self.device, torch.bfloat16):
                loss, right = self._loss(
                    np.random.default_rng((sum(map(ord, self.stage.name)), self.schedule.seed, self.step))
                )
                loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimizer.step(rate_at(self.step, self._progress()))
            self.step += 1
            self.seconds += time.monotonic() - began
            log.add(self.step, right | {"loss": loss.item()})
            if self.step % 100 == 0:
                self.pool.refresh()
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
        self.save()


class Log:
    """Prints means of what the last steps measured, as JSON lines."""

    def __init__(self, stage: str, every: int = 50) -> None:
        self._stage, self._every = stage, every
        self._sums: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._count = 0
        self._since = time.monotonic()

    def add(self, step: int, values: dict[str, float]) -> None:
        for key, value in values.items():
            if not math.isnan(value):
                self._sums[key] = self._sums.get(key, 0.0) + value
                self._counts[key] += 1
        self._count += 1
        if self._count < self._every:
            return
        now = time.monotonic()
        means = {k: round(v / self._counts[k], 4) for k, v in self._sums.items()}
        pace = {"stage": self._stage, "step": step, "seconds": round((now - self._since) / self._count, 3)}
        print(json.dumps(pace | means), flush=True)
        self._sums, self._count, self._since = {}, 0, now
        self._counts.clear()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work", type=Path, required=True, help="folder of tokenizer.json and the checkpoints")
    parser.add_argument("--pictures", type=Path, required=True, help="folder that recipe.pool wrote")
    parser.add_argument(
        "--weights", type=Path, help="begin with this model's folder or checkpoint, not with the stage before"
    )
    parser.add_argument("--steps", type=int, help="instead of the stage's own number")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then, on a slow or busy machine")
    parser.add_argument("--rates", type=float, default=1, help="share of the stage's learning rates, for a second run")
    parser.add_argument("--seed", type=int, default=0, help="another one sees and asks otherwise, for a second run")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    stage = STAGES[options.stage]
    schedule = Schedule(options.steps or stage.steps, options.minutes * 60, options.rates, options.seed)
    trainer = Trainer(options.work, options.pictures, stage, schedule, options.device, options.threads, options.weights)
    trainer.run()


if __name__ == "__main__":
    main()
