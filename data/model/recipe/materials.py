"""Collects the pictures and fonts that scenes are made of: `python -m recipe.materials --out WORK`.

Everything comes from Debian packages; MATERIALS.md lists them with their licences. What is chosen by hand (which
drawings show what, which photographs and fonts) stands in drawings.txt, photos.txt and fonts.txt beside this file.
"""

from __future__ import annotations

import argparse
import html
import json
import re
from collections import Counter
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .names import (
    ANY_NAME,
    EMOJI_GROUPS,
    FIRST_EMOJI,
    LABEL_GROUPS,
    SKIPPED_EMOJI,
    TERRITORIES,
    TWINS,
    WRONG_FLAGS,
    article,
    emoji_name,
    flag_article,
    flag_name,
)
from .qt_resources import Resources

HERE = Path(__file__).parent
CLDR = Path("/usr/share/unicode/cldr/common")
EMOJI_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
FLAGS = Path("/usr/share/iso-flags-png-320x240")
CLIPART = Path("/usr/share/openclipart/png")
SPRITE_SIDE = 144
PHOTO_SIDE = 640


@dataclass(frozen=True)
class Sprite:
    """A thing that can be put into a scene and named."""

    kind: str  # "emoji", "flag" or "drawing"
    name: str  # "grinning face", "France", "banana"
    aliases: tuple[str, ...]  # other names that are right too
    article: str  # the name as a sentence needs it: "a grinning face", "the flag of France", "scissors"
    colours: tuple[str, ...]  # main colours of the first image, the one that covers most first
    group: str  # "animal", "food", "vehicle"...
    images: tuple[Image.Image, ...]  # RGBA; pictures of the same thing
    image_colours: tuple[tuple[str, ...], ...]  # the same for each image


def noun_of(sprite: Sprite) -> str:
    """What stands after "the" or "no": "grinning face", "flag of France"."""
    return re.sub("^(an?|the) ", "", sprite.article)


@dataclass(frozen=True)
class Photo:
    name: str
    image: Image.Image  # RGB
    licence: str
    author: str

    @property
    def may_be_cropped(self) -> bool:
        """Whether a part of it may be given away with no more than its author's name."""
        return self.licence.startswith(("CC0", "public", "CC-BY-")) and "-SA" not in self.licence


@dataclass(frozen=True)
class Materials:
    sprites: list[Sprite]
    photos: list[Photo]
    held_out_photos: list[Photo]
    fonts: list[Path]
    held_out_fonts: list[Path]


# Upper hue bounds, in degrees, of the colours that hue alone tells apart.
_HUES = ((12, "red"), (40, "orange"), (68, "yellow"), (168, "green"), (255, "blue"), (300, "purple"), (340, "pink"))


def _name_colours(pixels: np.ndarray) -> np.ndarray:
    """What people would call the colours of N x 3 pixels, as N strings."""
    rgb = pixels.astype(np.float32) / 255
    value, low = rgb.max(1), rgb.min(1)
    spread = np.maximum(value - low, 1e-6)
    saturation = spread / np.maximum(value, 1e-6)
    red, green, blue = rgb.T
    hue = np.select(
        [value == red, value == green],
        [(green - blue) / spread % 6, (blue - red) / spread + 2],
        (red - green) / spread + 4,
    ) * 60  # fmt: skip
    names = np.full(len(rgb), "red   ", dtype="<U6")
    low_bound = np.full(len(rgb), False)
    for bound, name in _HUES:
        names[(hue < bound) & ~low_bound] = name
        low_bound |= hue < bound
    is_warm = (hue >= 8) & (hue < 48)
    is_red = (hue < 12) | (hue >= 340)
    names[is_warm & (value < 0.72) & (hue < 45)] = "brown"
    names[is_warm & (value >= 0.72) & (saturation < 0.55) & (hue < 38)] = "brown"  # skin, sand, light wood
    names[is_warm & (value < 0.9) & (saturation < 0.75) & (hue < 40)] = "brown"
    names[(hue < 20) & (value > 0.8) & (saturation < 0.55)] = "pink"
    names[(hue < 32) & (value > 0.9) & (saturation < 0.42)] = "pink"
    names[(hue >= 36) & (hue < 40) & (value > 0.9) & (saturation < 0.85) & (saturation > 0.4)] = "yellow"
    names[(hue < 8) & (value < 0.42)] = "brown"
    names[is_red & (value > 0.75) & (saturation < 0.55)] = "pink"
    is_slate = (hue > 185) & (hue < 240) & (saturation < 0.36) & (value < 0.8)
    is_grey = (saturation < 0.14) | ((saturation < 0.26) & (value < 0.55)) | is_slate
    names[is_grey] = "grey"
    names[(saturation < 0.10) & (value > 0.87)] = "white"
    names[(value < 0.22) | ((value < 0.3) & (saturation < 0.3))] = "black"
    return np.char.strip(names)


def main_colours(image: Image.Image, least: float = 0.15, most: int = 3) -> tuple[str, ...]:
    """The colours that cover much of a picture, the one that covers most first."""
    small = image.convert("RGBA").resize((48, 48), Image.Resampling.BOX)
    pixels = np.asarray(small).reshape(-1, 4)
    seen = pixels[pixels[:, 3] > 128, :3]
    if not len(seen):
        return ()
    counts = Counter(_name_colours(seen).tolist()).most_common(most)
    shares = [(str(name), count / len(seen)) for name, count in counts]
    return tuple(name for i, (name, share) in enumerate(shares) if share >= least or i == 0)


def _trim(image: Image.Image, side: int = SPRITE_SIDE) -> Image.Image:
    box = image.getchannel("A").point(lambda a: 255 if a > 24 else 0).getbbox()
    image = image.crop(box) if box else image
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def _thumb(image: Image.Image) -> np.ndarray:
    """A small picture on grey, for finding pictures that look the same."""
    ground = Image.new("RGBA", image.size, (128, 128, 128, 255))
    ground.alpha_composite(image)
    return np.asarray(ground.convert("RGB").resize((32, 32), Image.Resampling.BOX), dtype=np.float32)


def _sprite(kind: str, name: str, aliases: list[str], phrase: str, group: str, images: list[Image.Image]) -> Sprite:
    colours = tuple(main_colours(image, 0.08 if kind == "flag" else 0.15) for image in images)
    return Sprite(kind, name, tuple(aliases), phrase, colours[0], group, tuple(images), colours)


def merge_twins(sprites: list[Sprite], nearest: float) -> list[Sprite]:
    """Keeps the first of sprites that look the same; the others' names become its aliases."""
    kept: list[Sprite] = []
    thumbs: list[np.ndarray] = []
    for sprite in sprites:
        thumb = _thumb(sprite.images[0])
        distances = [float(np.abs(thumb - other).mean()) for other in thumbs]
        known = [i for i, other in enumerate(kept) if other.name == TWINS.get(sprite.name)]
        if known or (distances and min(distances) < nearest):
            twin = known[0] if known else int(np.argmin(distances))
            names = dict.fromkeys((*kept[twin].aliases, sprite.name, *sprite.aliases))
            names.pop(kept[twin].name, None)
            kept[twin] = replace(kept[twin], aliases=tuple(names))
            print(f"{sprite.name}: looks like {kept[twin].name}")
        else:
            kept.append(sprite)
            thumbs.append(thumb)
    return kept


def _annotations() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Short names and keywords by character sequence, in CLDR's order."""
    text = html.unescape((CLDR / "annotations/en.xml").read_text(encoding="utf-8"))
    names = dict(re.findall(r'<annotation cp="([^"]+)" type="tts">([^<]+)<', text))
    words = dict(re.findall(r'<annotation cp="([^"]+)">([^<]+)<', text))
    return names, {cp: found.split(" | ") for cp, found in words.items()}


def _labels() -> dict[str, str]:
    """The group of each emoji that CLDR's labels.txt lists."""
    groups: dict[str, str] = {}
    for line in (CLDR / "properties/labels.txt").read_text(encoding="utf-8").splitlines():
        match = re.match(r"(\[.+\]|[^;#\s]+)\s*;[^;]*;\s*([^;#]+)", line)
        if not match:
            continue
        body = re.sub(r"\{[^}]*\}", "", match[1].strip("[]"))
        for first, last in re.findall(r"(.)(?:-(.))?", body.replace("\\", "")):
            for code in range(ord(first), ord(last or first) + 1):
                groups[chr(code)] = LABEL_GROUPS.get(match[2].strip(), "sign")
    return groups


def _is_wanted(sequence: str) -> bool:
    """False for skin tones, gendered and coupled forms, keycaps and flags."""
    if re.search("[\u20e3\U0001f1e6-\U0001f1ff]", sequence) or sequence in "*#":
        return False
    if re.search("[\u2640\u2642\U0001f3fb-\U0001f3ff\U0001f9b0-\U0001f9b3]", sequence):
        return sequence in "\u2640\u2642"
    return not (len(sequence) > 1 and sequence[0] in "\U0001f468\U0001f469")


def _emoji_image(font: ImageFont.FreeTypeFont, sequence: str) -> Image.Image | None:
    canvas = Image.new("RGBA", (320, 180))
    ImageDraw.Draw(canvas).text((8, 12), sequence, font=font, embedded_color=True)
    box = canvas.getbbox()
    if not box or box[2] - box[0] > SPRITE_SIDE:  # no glyph, or parts drawn side by side
        return None
    return _trim(canvas.crop(box))


def collect_emoji() -> list[Sprite]:
    font = ImageFont.truetype(str(EMOJI_FONT), 109, layout_engine=ImageFont.Layout.RAQM)
    names, keywords = _annotations()
    labels = _labels()
    sprites: list[Sprite] = []
    group = ""
    for sequence, cldr_name in names.items():
        if cldr_name == FIRST_EMOJI:
            group = "face"  # from here on CLDR keeps related emoji together
        name = emoji_name(cldr_name)
        image = _emoji_image(font, sequence) if _is_wanted(sequence) else None
        if image is None or cldr_name in SKIPPED_EMOJI:
            continue
        group = labels.get(sequence[0]) or group
        group_here = EMOJI_GROUPS.get(name) or group or "sign"
        aliases = _short_forms(name, keywords.get(sequence, []))
        if cldr_name not in (name, *aliases):
            aliases.append(cldr_name)
        sprites.append(_sprite("emoji", name, aliases, article(name), group_here, [image]))
    return merge_twins(_without_shared_aliases(sprites), 1.3)


def _short_forms(name: str, words: list[str]) -> list[str]:
    """Keywords that are the name less a qualifier ("angry face": "angry")."""
    extras = [r" face$", r" button$", r" sign$", r" symbol$", r"^person ", r" suit$"]
    shorter = {re.sub(extra, "", name) for extra in extras} - {name}
    return [word for word in words if word in shorter or word in ANY_NAME.get(name, ())]


def _without_shared_aliases(sprites: list[Sprite]) -> list[Sprite]:
    """Drops aliases that another sprite has as a name or alias."""
    names = {s.name for s in sprites}
    uses = Counter(a for s in sprites for a in s.aliases)
    return [replace(s, aliases=tuple(a for a in s.aliases if a not in names and uses[a] == 1)) for s in sprites]


def collect_flags() -> list[Sprite]:
    text = html.unescape((CLDR / "main/en.xml").read_text(encoding="utf-8"))
    found: dict[str, list[str]] = {}
    for code, alt, name in re.findall(r'<territory type="([A-Z]{2})"( alt="\w+")?>([^<]+)<', text):
        if alt:
            found[code].append(name)
        else:
            found[code] = [name]
    font = ImageFont.truetype(str(EMOJI_FONT), 109, layout_engine=ImageFont.Layout.RAQM)
    sprites: list[Sprite] = []
    codes = [code for code in found if (FLAGS / f"{code.lower()}.png").exists() and code not in WRONG_FLAGS]
    for code in sorted(codes, key=lambda code: (code in TERRITORIES, code not in ("ID", "RO", "NO", "US"), code)):
        name, *aliases = flag_name(code, found[code])
        images = [_trim(Image.open(FLAGS / f"{code.lower()}.png").convert("RGBA"))]
        waving = _emoji_image(font, "".join(chr(0x1F1E6 + ord(letter) - ord("A")) for letter in code))
        if waving and code not in TERRITORIES:
            images.append(waving)
        sprites.append(_sprite("flag", name, aliases, flag_article(name), "flag", images))
    return merge_twins(sprites, 1.6)


def collect_drawings() -> list[Sprite]:
    """The drawings of drawings.txt: lines of `group / name / alias, alias / file file ...`."""
    table = HERE / "drawings.txt"
    sprites: list[Sprite] = []
    for line in table.read_text(encoding="utf-8").splitlines() if table.exists() else ():
        if not line or line.startswith("#"):
            continue
        group, name, aliases, files = (part.strip() for part in line.split("|"))
        images = []
        for file in files.split():
            with Image.open(CLIPART / f"{file}.png") as image:
                images.append(_trim(image.convert("RGBA")))
        others = [alias.strip() for alias in aliases.split(",") if alias.strip()]
        sprites.append(_sprite("drawing", name, others, article(name), group, images))
    return sprites


def collect_photos() -> tuple[list[Photo], list[Photo]]:
    """The photographs of photos.txt, for training and held out: `use | licence | author | file`.

    A file may lie in a Qt resource file: `/usr/share/x.rcc:/path/in/it`.
    """
    photos: dict[str, list[Photo]] = {"train": [], "test": []}
    opened: dict[str, Resources] = {}
    for line in (HERE / "photos.txt").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        use, licence, author, file = (part.strip() for part in line.split("|"))
        container, _, inner = file.partition(":")
        if inner and container not in opened:
            opened[container] = Resources(Path(container))
        with Image.open(BytesIO(opened[container].read(inner)) if inner else file) as image:
            image.draft("RGB", (PHOTO_SIDE * 2, PHOTO_SIDE * 2))
            small = image.convert("RGB")
        small.thumbnail((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
        photos[use].append(Photo(Path(inner or file).stem, small, licence, author))
    return photos["train"], photos["test"]


def collect_fonts() -> tuple[list[Path], list[Path]]:
    """The font files of fonts.txt, for training and held out: `use | file`."""
    fonts: dict[str, list[Path]] = {"train": [], "test": []}
    for line in (HERE / "fonts.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            use, file = (part.strip() for part in line.split("|"))
            fonts[use].append(Path("/usr/share/fonts") / file)
    missing = [str(path) for path in fonts["train"] + fonts["test"] if not path.exists()]
    if missing:
        raise SystemExit(f"these fonts are not installed (see MATERIALS.md): {', '.join(missing)}")
    return fonts["train"], fonts["test"]


def collect() -> Materials:
    return Materials(collect_emoji() + collect_flags() + collect_drawings(), *collect_photos(), *collect_fonts())


class _Pixels:
    """Collects the raw pixels of many pictures for one file."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, image: Image.Image) -> list[int]:
        data = image.tobytes()
        place = [self.size, image.width, image.height]
        self.parts.append(data)
        self.size += len(data)
        return place


def save(materials: Materials, folder: Path) -> None:
    """Writes materials.json and materials.rgba, raw pixels that load() maps into memory."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = _Pixels()
    index = {
        "sprites": [
            {**vars(sprite), "images": [pixels.add(image) for image in sprite.images]} for sprite in materials.sprites
        ],
        "fonts": [str(path) for path in materials.fonts],
        "held_out_fonts": [str(path) for path in materials.held_out_fonts],
    }
    for use in ("photos", "held_out_photos"):
        index[use] = [{**vars(p), "image": pixels.add(p.image.convert("RGBA"))} for p in getattr(materials, use)]
    (folder / "materials.rgba").write_bytes(b"".join(pixels.parts))
    (folder / "materials.json").write_text(json.dumps(index, ensure_ascii=False, indent=0), encoding="utf-8")


def load(folder: Path) -> Materials:
    index = json.loads((folder / "materials.json").read_text(encoding="utf-8"))
    pixels = np.memmap(folder / "materials.rgba", dtype=np.uint8, mode="r")

    def picture(place: list[int]) -> Image.Image:
        start, width, height = place
        data = pixels[start : start + width * height * 4]
        return Image.frombytes("RGBA", (width, height), data.tobytes())

    def photo(fields: dict[str, object], place: list[int]) -> Photo:
        return Photo(**{**fields, "image": picture(place).convert("RGB")})  # type: ignore[arg-type]

    sprites = [
        Sprite(**{
            **fields,
            "aliases": tuple(fields["aliases"]),
            "colours": tuple(fields["colours"]),
            "images": tuple(picture(place) for place in fields["images"]),
            "image_colours": tuple(tuple(colours) for colours in fields["image_colours"]),
        })
        for fields in index["sprites"]
    ]  # fmt: skip
    photos, held_out_photos = ([photo(p, p["image"]) for p in index[use]] for use in ("photos", "held_out_photos"))
    fonts, held_out_fonts = ([Path(path) for path in index[use]] for use in ("fonts", "held_out_fonts"))
    return Materials(sprites, photos, held_out_photos, fonts, held_out_fonts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="work folder; materials/ is made in it")
    folder = parser.parse_args().out / "materials"
    materials = collect()
    save(materials, folder)
    kinds = Counter(sprite.kind for sprite in materials.sprites)
    print(", ".join(f"{count} {kind}s" for kind, count in kinds.items()), end="; ")
    print(f"{len(materials.photos)} + {len(materials.held_out_photos)} photographs", end="; ")
    print(f"{len(materials.fonts)} + {len(materials.held_out_fonts)} fonts -> {folder}")


if __name__ == "__main__":
    main()
