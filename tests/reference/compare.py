"""Runs the reference and allava-cli side by side on any checkpoint, pictures and prompts.

    compare.py --cli build/app/allava-cli MODEL [--image FILE]... [--prompt TEXT]... [--tokens 64]

Each prompt is asked about all the images together, then about none. For each it prints how far
every stage of `allava-cli dump` is from the reference, relative to the tensor's largest value, and
how many greedy tokens of `allava-cli generate` agree. Exit status 1 where a bound of README.md is
exceeded. Without --image and --prompt, pictures by formula and prompts of all kinds are used.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from llava_phi import IMAGE, LlavaPhi
from pictures import picture

MAX_ERROR = 1e-4
MIN_MARGIN = 1e-3
PROMPTS = [
    "What is this?",
    "\u3000 Décris l’image,\n\n\tplease:   how many? \x1f",
    "</s><image> <|endoftext|> [/INST] 👨‍👩‍👧 日本 ½",
]
SHAPES = [(640, 480, 11), (3, 200, 12)]


class Cli:
    def __init__(self, args):
        self.program = args.cli
        self.common = ["--model", args.model, "--device", "cpu", "--dtype", args.dtype]
        self.common += ["--vision-tower", args.vision_tower] if args.vision_tower else []

    def run(self, command, images, prompt, *more):
        pictures = [word for path in images for word in ("--image", str(path))]
        line = [self.program, command, *self.common, *pictures, "--prompt", prompt, *more]
        done = subprocess.run(line, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(line)}: exit status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def dump(self, images, prompt):
        with tempfile.TemporaryDirectory() as out:
            self.run("dump", images, prompt, "--out", out)
            return {path.stem: np.load(path) for path in Path(out).glob("*.npy")}

    def generate(self, images, prompt, n):
        return json.loads(
            self.run("generate", images, prompt, "--max-new-tokens", str(n), "--json")
        )


def relative_error(actual, expected):
    expected = expected.numpy()
    if actual.shape != expected.shape:
        return float("inf")
    difference = np.abs(actual.astype(np.float64) - expected).max(initial=0.0)
    return float(difference / np.abs(expected).max())


def reference(model, images, prompt):
    """The stages that `dump` writes; of several images, the first one's."""
    pictures = [model.encode_image(Image.open(path).convert("RGB")) for path in images]
    ids = model.prompt_ids([{"role": "user", "text": prompt, "pictures": images}])
    features = [stages["image_features"] for stages in pictures]
    stages = {"logits": model.forward(ids, features)["logits"]}
    for name in ("pixel_values", "vision_features", "image_features"):
        if pictures:
            stages[name] = pictures[0][name]
    return ids, features, stages


def same_ids(actual, expected, positions):
    """dump may write an image as one -200 or as one for each of its positions."""
    spread = [i for e in expected for i in [e] * (positions if e == IMAGE else 1)]
    return actual.tolist() in (expected, spread)


def agreeing_tokens(actual, tokens, margins):
    """(steps that agree, whether the first that does not is one that the reference nearly drew)."""
    for step, (a, b) in enumerate(zip(actual, tokens)):
        if a != b:
            return step, margins[step] <= MIN_MARGIN
    step = min(len(actual), len(tokens))
    return step, len(actual) == len(tokens) or margins[step] <= MIN_MARGIN


def check(model, cli, images, prompt, n_tokens, bound):
    ids, features, stages = reference(model, images, prompt)
    dump = cli.dump(images, prompt)
    positions = len(features[0]) if features else 1
    good = same_ids(dump["input_ids"], ids, positions)
    words = [f"ids {'equal' if good else 'DIFFER'}"]
    for name, expected in stages.items():
        error = relative_error(dump[name], expected) if name in dump else float("inf")
        good &= error <= bound
        words.append(f"{name} {error:.1e}{'' if error <= bound else ' TOO FAR'}")
    tokens, margins, finish = model.greedy(ids, features, n_tokens)
    answer = cli.generate(images, prompt, n_tokens)
    step, drawn = agreeing_tokens(answer["token_ids"], tokens, margins)
    good &= drawn
    words.append(
        f"tokens {step}/{len(tokens)}{'' if drawn else ' DIFFER'} ({answer['stop']}, {finish})"
    )
    print(f"{len(images)} images, {prompt[:24]!r}: {', '.join(words)}", flush=True)
    return good


def draw(directory):
    paths = []
    for shape in SHAPES:
        paths.append(Path(directory) / "x".join(map(str, shape)))
        paths[-1] = paths[-1].with_suffix(".png")
        picture(*shape).save(paths[-1])
    return paths


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--cli", required=True)
    parser.add_argument("--image", action="append", type=Path)
    parser.add_argument("--prompt", action="append")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--vision-tower", help="a CLIP folder, for a checkpoint without its tower")
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--bound", type=float, default=MAX_ERROR)
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = LlavaPhi(args.model, args.vision_tower)
    cli = Cli(args)
    good = True
    with tempfile.TemporaryDirectory() as directory:
        images = args.image or draw(directory)
        for prompt in args.prompt or PROMPTS:
            for some in (images, []):
                good &= check(model, cli, some, prompt, args.tokens, args.bound)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
