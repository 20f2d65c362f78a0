"""Makes resize.json: what Pillow and CLIPImageProcessor make of pictures of many shapes."""

import base64
import hashlib

from make_tokenization import HERE, write_lines
from pictures import FORMULA, clip_processor, picture, preprocess

PAD_336 = [
    (1, 1), (1, 2), (2, 1), (2, 2), (3, 5), (1, 336), (336, 1), (1, 4000), (4000, 1), (4000, 3), (3, 4000),
    (7, 7), (13, 12), (16, 9), (17, 31), (32, 32), (50, 100), (64, 48), (99, 100), (100, 99), (112, 112),
    (120, 160), (167, 168), (168, 168), (169, 168), (200, 333), (224, 224), (240, 135), (300, 200),
    (320, 240), (333, 335), (334, 336), (335, 335), (335, 336), (336, 335), (336, 336), (336, 168),
    (337, 336), (336, 337), (337, 337), (338, 301), (400, 400), (427, 640), (448, 336), (480, 853),
    (500, 375), (504, 504), (640, 427), (640, 480), (671, 672), (672, 672), (673, 671), (768, 1024),
    (800, 601), (1000, 7), (1001, 999), (1008, 336), (1024, 1024), (1080, 1920), (1280, 720), (1337, 421),
    (2000, 1999), (2016, 1512), (3000, 2000), (2111, 3001), (5000, 40),
]  # fmt: skip
PAD_OTHER = [
    (1, 1, 14), (5, 3, 28), (28, 28, 28), (30, 41, 28), (100, 37, 42), (56, 55, 56), (640, 480, 56),
    (41, 640, 70), (640, 480, 224), (225, 223, 224), (1000, 800, 518), (97, 45, 37), (640, 480, 1),
]  # fmt: skip
CENTER = [
    (336, 336, 336), (337, 336, 336), (640, 480, 336), (480, 640, 336), (500, 375, 224), (100, 333, 336),
    (10, 7, 336), (1, 1, 28), (3, 50, 28), (50, 3, 28), (1000, 999, 224), (33, 100, 28), (1333, 800, 56),
]  # fmt: skip
CROPPED = [
    (640, 480, 32, 28, "center"), (479, 640, 257, 224, "center"), (51, 50, 37, 28, "center"),
    (640, 480, 32, 28, "pad"), (10, 13, 31, 28, "pad"),
]  # fmt: skip
FULL = [
    (1, 1, 8, "pad"), (5, 3, 12, "pad"), (61, 47, 16, "pad"), (16, 16, 16, "pad"), (30, 53, 14, "center"),
]  # fmt: skip


def case(width, height, seed, size, crop_size, aspect, full=False):
    square, values = preprocess(
        picture(width, height, seed), clip_processor(size, crop_size), aspect
    )
    assert square.shape == (crop_size, crop_size, 3) and values.shape == (3, crop_size, crop_size)
    result = {"width": width, "height": height, "seed": seed, "size": size, "aspect": aspect}
    if crop_size != size:
        result["crop_size"] = crop_size
    square, values = square.tobytes(), values.astype("<f4").tobytes()
    result["square_sha256"] = hashlib.sha256(square).hexdigest()
    result["pixel_values_sha256"] = hashlib.sha256(values).hexdigest()
    if full:
        result["square"] = base64.b64encode(square).decode()
        result["pixel_values"] = base64.b64encode(values).decode()
    return result


def main():
    shapes = [(w, h, 336, 336, "pad", False) for w, h in PAD_336]
    shapes += [(w, h, s, s, "pad", False) for w, h, s in PAD_OTHER]
    shapes += [(w, h, s, s, "center", False) for w, h, s in CENTER]
    shapes += [(w, h, s, c, aspect, False) for w, h, s, c, aspect in CROPPED]
    shapes += [(w, h, s, s, aspect, True) for w, h, s, aspect in FULL]
    cases = [
        case(w, h, seed, size, crop, aspect, full)
        for seed, (w, h, size, crop, aspect, full) in enumerate(shapes)
    ]
    write_lines(HERE / "resize.json", {"formula": FORMULA, "cases": cases})


if __name__ == "__main__":
    main()
