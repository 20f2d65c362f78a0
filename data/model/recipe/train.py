"""Trains the model: `python -m recipe.train warm|captions|answers --work DIR`, in this order.

Each stage goes on from its own checkpoint if it was interrupted, else from the stage before.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .batch import answer_loss
from .model import LlavaPhi, PatchHeads, Sizes, describe_sizes
from .pool import Pool, Shard, pixels_of
from .tokenizer import Words
from .warm import order_loss, patch_loss, patches_to_keep


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
        return self.name in ("warm", "places")


STAGES = {
    s.name: s
    for s in (
        Stage("warm", None, 6000, 48, 1.5e-3, 1.0e-2),  # vision tower
        Stage("places", "warm", 2000, 48, 1.0e-3, 6.0e-3),
        Stage("captions", "places", 500, 48, 2.0e-3, 1.0e-2),  # projector and decoder, as in the next
        Stage("answers", "captions", 5000, 48, 2.0e-3, 1.0e-2),
    )
}
WARM_UP = 60
PARTIAL_SHARE = 0.7  # of the warm start, in which the tower sees only the patches that matter
STEPS_TO_A_SHARD = 30
CHECKPOINT_SECONDS = 120


def rate_at(step: int, progress: float) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    return min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


class Optimizers:
    """Muon for the layers' matrices, which need a third of AdamW's steps so; AdamW for the rest."""

    def __init__(self, modules: list[nn.Module], stage: Stage) -> None:
        named = [(n, p) for m in modules for n, p in m.named_parameters()]
        inner = [p for n, p in named if p.dim() == 2 and "layers." in n]
        others = [p for n, p in named if not (p.dim() == 2 and "layers." in n)]
        self._rates = (stage.matrix_rate, stage.rate)
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
class Limits:
    """A stage is over when either is reached; the learning rate falls along with the nearer one."""

    steps: int
    seconds: float


class Trainer:
    def __init__(
        self, work: Path, pictures: Path, stage: Stage, limits: Limits, device: str, threads: int
    ) -> None:
        self.work, self.stage, self.limits, self.device = work, stage, limits, device
        self.most_threads = threads
        torch.manual_seed(sum(map(ord, stage.name)))
        self.words = Words.load(work / "tokenizer.json")
        self.pool = Pool(pictures)
        self.model = LlavaPhi(Sizes(), self.words.size).to(device)
        self.heads = PatchHeads(Sizes().vision_hidden).to(device)
        trained = (
            [self.model.vision, self.heads] if stage.is_vision else [self.model.projector, self.model.decoder]
        )
        self.optimizer = Optimizers(trained, stage)
        if stage.is_vision:
            shutil.rmtree(work / "features", ignore_errors=True)  # another tower sees otherwise
        self._features: dict[str, Tensor] = {}
        self.step, self.seconds = 0, 0.0
        self._resume()
        print(f"{stage.name}: {describe_sizes(self.model)}; step {self.step} of {limits.steps}", flush=True)

    def _resume(self) -> None:
        own, before = self.work / f"{self.stage.name}.pt", self.work / f"{self.stage.after}.pt"
        if own.exists():
            state = torch.load(own, map_location=self.device, weights_only=True)
            self.step, self.seconds = state["step"], state["seconds"]
            self.optimizer.load_state_dict(state["optimizer"])
        elif self.stage.after:
            state = torch.load(before, map_location=self.device, weights_only=True)
        else:
            return
        # The vocabulary may have grown since the warm start, which does not use it.
        kept = {k: v for k, v in state["model"].items() if v.shape == self.model.state_dict()[k].shape}
        self.model.load_state_dict(kept, strict=not self.stage.after)
        self.heads.load_state_dict(state["heads"], strict=False)

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
        return max(self.step / self.limits.steps, self.seconds / self.limits.seconds)

    def _loss(self, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        # Encoding a shard takes a while: take them up one by one.
        shards = None if self.stage.is_vision else 2 + self.step // STEPS_TO_A_SHARD
        shard, rows = self.pool.pick(rng, self.stage.batch, shards)
        if self.stage.is_vision:
            return self._vision_loss(rng, shard, rows)
        features = self._features_of(shard)[rows].to(self.device)
        talk = random.Random(int(rng.integers(1 << 60)))
        scenes = [shard.scenes[i] for i in rows]
        return answer_loss(self.model, self.words, features, scenes, talk, self.stage.name == "captions")

    def _vision_loss(
        self, rng: np.random.Generator, shard: Shard, rows: np.ndarray
    ) -> tuple[Tensor, dict[str, float]]:
        pixels = pixels_of(shard, rows).to(self.device)
        if self.stage.name == "warm" and self._progress() < PARTIAL_SHARE:
            kept = patches_to_keep(rng, shard, rows, 28)
            features = self.model.patches(pixels, torch.from_numpy(kept).to(self.device))
            return patch_loss(features, self.heads, shard, rows, kept)
        features = self.model.patches(pixels)
        loss, right = patch_loss(features, self.heads, shard, rows)
        if self.stage.name == "places":
            order, told = order_loss(features, self.heads, shard, rows)
            loss, right = loss + order, right | told
        return loss, right

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
        log, threads = Log(self.stage.name), Threads(self.most_threads)
        saved = time.monotonic()
        self.model.train()
        while self._progress() < 1:
            began = time.monotonic()
            with threads, torch.autocast(self.device, torch.bfloat16):
                loss, right = self._loss(np.random.default_rng((sum(map(ord, self.stage.name)), self.step)))
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


class Threads:
    """Chooses how many threads are fastest just now: on a shared machine one can beat two."""

    def __init__(self, most: int) -> None:
        self._choices = range(1, most + 1)
        self._times = {n: 0.0 for n in self._choices}
        self._step = 0

    def __enter__(self) -> None:
        phase = self._step % 150
        trial = 4 * len(self._choices)
        if phase == 0:
            self._times = {n: 0.0 for n in self._choices}
        self._now = 1 + phase // 4 if phase < trial else min(self._times, key=lambda n: self._times[n])
        if phase <= trial:
            torch.set_num_threads(self._now)
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        if self._step % 150 < 4 * len(self._choices):
            self._times[self._now] += time.monotonic() - self._began
        self._step += 1


class Log:
    """Prints means of what the last steps measured, as JSON lines."""

    def __init__(self, stage: str, every: int = 50) -> None:
        self._stage, self._every = stage, every
        self._sums: dict[str, float] = {}
        self._count = 0
        self._since = time.monotonic()

    def add(self, step: int, values: dict[str, float]) -> None:
        for key, value in values.items():
            self._sums[key] = self._sums.get(key, 0.0) + value
        self._count += 1
        if self._count < self._every:
            return
        now = time.monotonic()
        means = {k: round(v / self._count, 4) for k, v in self._sums.items()}
        pace = {"stage": self._stage, "step": step, "seconds": round((now - self._since) / self._count, 3)}
        print(json.dumps(pace | means), flush=True)
        self._sums, self._count, self._since = {}, 0, now


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder of tokenizer.json and the checkpoints"
    )
    parser.add_argument("--pictures", type=Path, required=True, help="folder that recipe.draw wrote")
    parser.add_argument("--steps", type=int, help="instead of the stage's own number")
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="end by then, on a slow or busy machine"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="at most")
    options = parser.parse_args()
    stage = STAGES[options.stage]
    limits = Limits(options.steps or stage.steps, options.minutes * 60)
    trainer = Trainer(options.work, options.pictures, stage, limits, options.device, options.threads)
    trainer.run()


if __name__ == "__main__":
    main()
