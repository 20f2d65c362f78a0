"""Trains the model: `python -m recipe.train warm|captions|answers --work DIR`, in this order.

Each stage goes on from its own checkpoint if it was interrupted, else from the stage before.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .batch import answer_loss
from .model import LlavaPhi, PatchHeads, Sizes, describe_sizes, save_model
from .pool import Pool, Shard, pixels_of
from .tokenizer import Words
from .warm import patch_loss, patches_to_keep


@dataclass(frozen=True)
class Stage:
    name: str
    after: str | None
    steps: int
    batch: int
    rate: float  # AdamW's highest learning rate


STAGES = {
    s.name: s
    for s in (
        Stage("warm", None, 6000, 40, 1.5e-3),  # vision tower
        Stage("captions", "warm", 800, 48, 2.0e-3),  # projector and decoder, as in the next
        Stage("answers", "captions", 5000, 48, 2.0e-3),
    )
}
WARM_UP = 60
PARTIAL_SHARE = 0.7  # of the warm start, in which the tower sees only the patches that matter
CHECKPOINT_SECONDS = 120


def rate_at(step: int, progress: float) -> float:
    """Linear warm-up, then a cosine down to a fiftieth."""
    return min(1, (step + 1) / WARM_UP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def optimizer_for(modules: list[nn.Module], rate: float) -> torch.optim.AdamW:
    parameters = [p for m in modules for p in m.parameters()]
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)


@dataclass(frozen=True)
class Limits:
    """A stage is over when either is reached; the learning rate falls along with the nearer one."""

    steps: int
    seconds: float


class Trainer:
    def __init__(self, work: Path, pictures: Path, stage: Stage, limits: Limits, device: str, threads: int) -> None:
        self.work, self.stage, self.limits, self.device = work, stage, limits, device
        self.most_threads = threads
        torch.manual_seed(sum(map(ord, stage.name)))
        self.words = Words.load(work / "tokenizer.json")
        self.pool = Pool(pictures)
        self.model = LlavaPhi(Sizes(), self.words.size).to(device)
        self.heads = PatchHeads(Sizes().vision_hidden).to(device)
        trained = [self.model.vision, self.heads] if stage.name == "warm" else [self.model.projector, self.model.decoder]
        self.optimizer = optimizer_for(trained, stage.rate)
        self._features: dict[int, Tensor] = {}
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
        self.model.load_state_dict(kept, strict=self.stage.after != "warm")
        self.heads.load_state_dict(state["heads"])

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
        shard, rows = self.pool.pick(rng, self.stage.batch)
        if self.stage.name == "warm":
            pixels, kept = pixels_of(shard, rows).to(self.device), None
            if self._progress() >= PARTIAL_SHARE:
                return patch_loss(self.model.patches(pixels), self.heads, shard, rows)
            kept = patches_to_keep(rng, shard, rows, 28)
            return patch_loss(self.model.patches(pixels, torch.from_numpy(kept).to(self.device)), self.heads, shard, rows, kept)
        features = self._features_of(shard)[rows].to(self.device)
        talk = random.Random(int(rng.integers(1 << 60)))
        scenes = [shard.scenes[i] for i in rows]
        return answer_loss(self.model, self.words, features, scenes, talk, self.stage.name == "captions")

    @torch.no_grad()
    def _features_of(self, shard: Shard) -> Tensor:
        """The frozen tower's view of a whole shard, kept."""
        if id(shard) not in self._features:
            pieces = np.array_split(np.arange(len(shard.scenes)), 20)
            seen = [self.model.patches(pixels_of(shard, p).to(self.device)).bfloat16().cpu() for p in pieces]
            self._features[id(shard)] = torch.cat(seen)
        return self._features[id(shard)]

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
            for group in self.optimizer.param_groups:
                group["lr"] = self.stage.rate * rate_at(self.step, self._progress())
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
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
    parser.add_argument("--work", type=Path, required=True, help="folder of tokenizer.json and the checkpoints")
    parser.add_argument("--pictures", type=Path, required=True, help="folder that recipe.draw wrote")
    parser.add_argument("--steps", type=int, help="instead of the stage's own number")
    parser.add_argument("--minutes", type=float, default=math.inf, help="end by then, on a slow or busy machine")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=2, help="at most")
    parser.add_argument("--export", type=Path, help="afterwards, write the Hugging Face folder here")
    options = parser.parse_args()
    stage = STAGES[options.stage]
    limits = Limits(options.steps or stage.steps, options.minutes * 60)
    trainer = Trainer(options.work, options.pictures, stage, limits, options.device, options.threads)
    trainer.run()
    if options.export:
        save_model(trainer.model, options.export, trainer.words.end, trainer.words.size)
        (options.export / "tokenizer.json").write_bytes((options.work / "tokenizer.json").read_bytes())


if __name__ == "__main__":
    main()
