"""What quantising does to a model's answers: the logits of --dtype q8 and q4 beside those of f32.

    divergence.py --cli build/app/allava-cli --model data/model [--pictures tests/data/pictures]
                  [--dtypes bf16 q8 q4] [--limit N]

Asks the questions of PICTURES/expected.json about its pictures, or of another list of that form:
[{"file", "question"}...]. For each dtype it prints, over the last SPAN positions of all prompts (the
question and the start of the answer, where the model decides), the mean and the 99th percentile of
the Kullback-Leibler divergence from f32 in nats, and how often the likeliest token is the same.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

SPAN = 16


def logits(cli, model, dtype, picture, question, folder):
    command = [cli, "dump", "--model", model, "--dtype", dtype, "--prompt", question, "--out", folder]
    subprocess.run(command + ["--image", picture], check=True)
    return np.load(Path(folder) / "logits.npy")[-SPAN:].astype(np.float64)


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cli", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--pictures", type=Path, default=Path(__file__).parents[1] / "data/pictures")
    parser.add_argument("--dtypes", nargs="+", default=["bf16", "q8", "q4"])
    parser.add_argument("--limit", type=int, help="ask no more than N questions")
    args = parser.parse_args()
    skills = json.loads((args.pictures / "expected.json").read_text())["skills"]
    asked = [question for skill in skills for question in skill["questions"]][: args.limit]
    divergences = {dtype: [] for dtype in args.dtypes}
    same = {dtype: [] for dtype in args.dtypes}
    with tempfile.TemporaryDirectory() as folder:
        for item in asked:
            picture = args.pictures / item["file"]
            exact = log_softmax(logits(args.cli, args.model, "f32", picture, item["question"], folder))
            for dtype in args.dtypes:
                found = log_softmax(logits(args.cli, args.model, dtype, picture, item["question"], folder))
                divergences[dtype].append((np.exp(exact) * (exact - found)).sum(axis=1))
                same[dtype].append(exact.argmax(axis=1) == found.argmax(axis=1))
    print("| | KL divergence, mean | 99th percentile | same likeliest token | positions |\n|---|---|---|---|---|")
    for dtype in args.dtypes:
        kl, agree = np.concatenate(divergences[dtype]), np.concatenate(same[dtype])
        print(f"| {dtype} | {kl.mean():.2g} | {np.percentile(kl, 99):.2g} | {agree.mean():.2%} | {kl.size} |")


if __name__ == "__main__":
    main()
