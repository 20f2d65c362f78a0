"""Measures how Allava's times grow with position, length and threads, and draws them.

    python3 growth.py --cli build/app/allava-cli --out growth.svg NAME=DIR...

Each NAME=DIR is a model's folder, drawn as a line called NAME, for instance q8 and q4 of one
checkpoint (allava-cli quantize). Reads prompts of up to the whole context without an image and
decodes a few tokens after each: the former is the time of prefill by length, the latter that of a
token by position. Then the first model again with 1 thread to as many as there are. Needs nothing
but Python, and a minute for each of --repeat rounds with ALLaVA-3B's sizes on two cores; the best
of the rounds is drawn. --keep FILE holds what has been measured; a run that was interrupted, or is
to have more rounds, goes on from there. --under is put before each measurement's command
("taskset -c 0,1").
"""

import argparse
import json
import math
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MARKS = 7  # tokens that bench's prompt has around its text
LENGTHS = (8, 1024, 2040)
NEW_TOKENS = 8
THREADS_LENGTH = 512

Points = list[tuple[float, float]]


class Panel(NamedTuple):
    title: str
    x_label: str
    lines: dict[str, Points]


# ---- Measuring ----


class Figures(NamedTuple):
    prefill_s: float
    token_ms: float


def bench(args: argparse.Namespace, name: str, length: int, threads: int) -> None:
    """Adds a measurement to what is kept, unless this round's is there."""
    results = args.kept.setdefault(f"{name} {length} {threads}", [])
    if len(results) < args.round:
        command = shlex.split(args.under) + [
            args.cli, "bench", "--json", "--model", args.models[name], "--no-image",
            "--threads", str(threads), "--prompt-tokens", str(length - MARKS),
            "--new-tokens", str(NEW_TOKENS),
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        results.append(json.loads(done.stdout))
        if args.keep:
            args.keep.write_text(json.dumps(args.kept))


def best(args: argparse.Namespace, name: str, length: int, threads: int) -> Figures:
    results = args.kept[f"{name} {length} {threads}"]
    return Figures(min(r["prefill_ms"] for r in results) / 1e3,
                   1e3 / max(r["decode_tokens_per_s"] for r in results))


def measure(args: argparse.Namespace) -> None:
    first = next(iter(args.models))
    for args.round in range(1, args.repeat + 1):
        for name in args.models:
            for length in LENGTHS:  # one after another: a shared machine's speed drifts
                bench(args, name, length, args.threads)
        for threads in thread_counts(args.threads):
            bench(args, first, THREADS_LENGTH, threads)


def thread_counts(most: int) -> list[int]:
    return sorted({1 << i for i in range(most.bit_length())} | {most})


def make_panels(args: argparse.Namespace) -> list[Panel]:
    def by_length(value: Callable[[Figures], float]) -> dict[str, Points]:
        return {name: [(length, value(best(args, name, length, args.threads)))
                       for length in LENGTHS] for name in args.models}

    first = next(iter(args.models))
    one = best(args, first, THREADS_LENGTH, 1)
    counts = {n: best(args, first, THREADS_LENGTH, n) for n in thread_counts(args.threads)}
    speed = {
        "prefill": [(n, one.prefill_s / figures.prefill_s) for n, figures in counts.items()],
        "decode": [(n, one.token_ms / figures.token_ms) for n, figures in counts.items()],
    }
    return [Panel("Decoding a token, ms", "position", by_length(lambda f: f.token_ms)),
            Panel("Prefill, s", "positions", by_length(lambda f: f.prefill_s)),
            Panel(f"Speed, 1 thread = 1 ({first})", "threads", speed)]


# ---- Drawing: colours and greys that are readable on white and on black ----

COLOURS = ("#3584e4", "#e66100", "#2ec27e", "#9141ac")
WIDTH, HEIGHT, GAP = 300, 220, 10  # a panel, and what lies between two
LEFT, TOP, RIGHT, BOTTOM = 40, 34, 56, 40  # of a panel, around its plot
LABEL_HEIGHT = 13


def nice_step(top: float) -> float:
    """1, 2 or 5 times a power of ten, for four ticks or a few more up to TOP."""
    power = 10.0 ** math.floor(math.log10(top) - 0.7)
    return next(power * f for f in (1, 2, 5, 10) if power * f * 5 >= top)


def ticks(top: float) -> list[float]:
    step = nice_step(top)
    return [i * step for i in range(int(top / step + 1e-9) + 1)]


def text(x: float, y: float, content: str, anchor: str = "middle", extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{content}</text>'


def apart(wanted: list[float]) -> list[float]:
    """Heights of labels near those WANTED, none over another."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = list(wanted)
    for before, after in zip(order, order[1:]):
        placed[after] = max(placed[after], placed[before] + LABEL_HEIGHT)
    return placed


def draw_panel(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line]
    x_top = max(x for x, _ in points)
    y_top = 1.1 * max(y for _, y in points)
    plot_width, plot_height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + plot_width * x / x_top, TOP + plot_height * (1 - y / y_top)

    parts = [text(LEFT, 16, panel.title, "start", ' class="title"'),
             text(LEFT + plot_width / 2, HEIGHT - 6, panel.x_label)]
    for value in ticks(y_top):
        _, y = at(0, value)
        parts += [f'<path class="grid" d="M{LEFT} {y:.1f}h{plot_width}"/>',
                  text(LEFT - 6, y + 4, f"{value:g}", "end")]
    x_ticks = sorted({x for x, _ in points}) if x_top < 64 else ticks(x_top)
    parts += [text(at(value, 0)[0], HEIGHT - BOTTOM + 16, f"{value:g}") for value in x_ticks]

    labels = apart([at(*line[-1])[1] + 4 for line in panel.lines.values()])
    for (name, line), label, colour in zip(panel.lines.items(), labels, COLOURS):
        places = [at(*point) for point in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" stroke="{colour}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in places]
        parts.append(text(LEFT + plot_width + 6, label, name, "start", f' style="fill: {colour}"'))
    return "\n".join(parts)


def draw(panels: list[Panel]) -> str:
    width = len(panels) * (WIDTH + GAP) - GAP
    groups = "\n".join(f'<g transform="translate({i * (WIDTH + GAP)} 0)">\n{draw_panel(panel)}\n</g>'
                       for i, panel in enumerate(panels))
    size = f'viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size}>
<style>
text {{ font: 12px sans-serif; fill: #808080; }}
.title {{ font-weight: bold; }}
.grid {{ stroke: #808080; stroke-opacity: 0.3; }}
polyline {{ fill: none; stroke-width: 2; }}
</style>
{groups}
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", metavar="NAME=DIR", nargs="+")
    parser.add_argument("--cli", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--under", default="")
    args = parser.parse_args()
    args.kept = json.loads(args.keep.read_text()) if args.keep and args.keep.exists() else {}
    args.models = dict(model.split("=", 1) for model in args.models)
    measure(args)
    panels = make_panels(args)
    args.out.write_text(draw(panels))
    for panel in panels:
        print(panel.title)
        for name, line in panel.lines.items():
            print(f"  {name}: " + ", ".join(f"{x:g}: {y:.2f}" for x, y in line))


if __name__ == "__main__":
    main()
