"""Draws where a GPU's time goes, from the report of a bundle's run (bundle-run).

    python3 draw_kernels.py report.json kernels.svg

A bar for each kernel, times how often it runs: of a token in each format, of a prompt of 620
positions, of a picture. Beside it what it reaches of the copy bandwidth, or its TFLOP/s.
"""

import argparse
import json
from pathlib import Path
from typing import NamedTuple

from growth import COLOURS, text

TITLES = {"token": "a token", "prompt": "620 positions", "quantized": "besides, with weights of",
          "picture": "a picture"}
BY_FORMAT = ("token", "quantized")
LABEL, BAR, NOTE, ROW, TITLE = 110, 300, 200, 20, 30  # widths; heights


class Panel(NamedTuple):
    title: str
    bars: list[dict]
    colour: str


def total_us(bar: dict) -> float:
    return bar["times"] * bar["us"]


def make_panels(kernels: list[dict]) -> list[Panel]:
    panels = []
    for part, title in TITLES.items():
        bars = [bar for bar in kernels if bar["part"] == part and bar["times"] > 0]
        formats = sorted({bar["format"] for bar in bars} - {""}) if part in BY_FORMAT else [""]
        for name in formats:  # with the kernels that all formats share
            own = [bar for bar in bars if not name or bar["format"] in ("", name)]
            panels.append(Panel(f"{title} {name}".strip(), own, COLOURS[len(panels) % len(COLOURS)]))
    return panels


def describe(bar: dict) -> str:
    us = f"{bar['times']} × {bar['us']:.1f} µs"
    if "tflop_s" in bar:
        return f"{us}, {bar['tflop_s']:.0f} TFLOP/s"
    return f"{us}, {100 * bar['fraction']:.0f} %" if "fraction" in bar else us


def draw_panel(panel: Panel, top: int) -> str:
    most = max(total_us(bar) for bar in panel.bars)
    whole = sum(total_us(bar) for bar in panel.bars) / 1e3
    parts = [text(0, top + 18, f"{panel.title}: {whole:.2f} ms", "start", ' class="title"')]
    for i, bar in enumerate(panel.bars):
        y, width = top + TITLE + i * ROW, BAR * total_us(bar) / most
        name = bar["kernel"] if panel.title.endswith(bar["format"]) else f"{bar['kernel']} {bar['format']}"
        parts += [text(LABEL - 6, y + 13, name, "end"),
                  f'<rect x="{LABEL}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" '
                  f'fill="{panel.colour}"/>',
                  text(LABEL + width + 6, y + 13, describe(bar), "start")]
    return "\n".join(parts)


def draw(panels: list[Panel]) -> str:
    tops = [0]
    for panel in panels:
        tops.append(tops[-1] + TITLE + len(panel.bars) * ROW + 10)
    width = LABEL + BAR + NOTE
    groups = "\n".join(draw_panel(panel, top) for panel, top in zip(panels, tops))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tops[-1]}" width="{width}" height="{tops[-1]}">
<style>
text {{ font: 12px sans-serif; fill: #808080; }}
.title {{ font-weight: bold; }}
</style>
{groups}
</svg>
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.write_text(draw(make_panels(json.loads(args.report.read_text())["kernels"])))


if __name__ == "__main__":
    main()
