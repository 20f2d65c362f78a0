"""Makes the picture files of this folder and expected.json, what Pillow decodes them to.

Run by hand; needs Pillow, ImageMagick (convert), webp (cwebp, gif2webp, webpmux) and libheif-examples
(heif-enc). Every picture is 24 x 16 pixels unless its name says otherwise. A case is {file, width, height,
pixels, alpha, tolerance}: "pixels" names the PNG of what is expected.
"""

import io
import json
import pathlib
import struct
import subprocess
import zlib

from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
W, H = 24, 16
CASES = []


def rgb():
    image = Image.new("RGB", (W, H))
    image.putdata([(x * 11, y * 17, (x * y * 5) % 256) for y in range(H) for x in range(W)])
    return image


def rgba():
    image = rgb().convert("RGBA")
    image.putalpha(Image.frombytes("L", (W, H), bytes((x * 11 + y * 3) % 256 for y in range(H) for x in range(W))))
    return image


def run(*command):
    subprocess.run([str(part) for part in command], cwd=HERE, check=True, stdout=subprocess.DEVNULL)


def over_white(image):
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def png(width, height, depth, colour, rows, extra=b"", interlace=0):
    """A PNG file of raw ROWS, for kinds that Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def trns(data):
    return struct.pack(">I", len(data)) + b"tRNS" + data + struct.pack(">I", zlib.crc32(b"tRNS" + data))


def case(name, image=None, alpha="white", tolerance=0):
    """NAME decodes to IMAGE (default: what Pillow makes of it)."""
    if image is None:
        with Image.open(HERE / name) as stored:
            image = over_white(stored) if alpha == "white" else stored.convert("RGB")
    buffer = io.BytesIO()
    image = image.convert("RGB")
    image.info.clear()  # a colour key would be saved with it
    image.save(buffer, "png", optimize=True)
    same = [c for c in CASES if (HERE / c["pixels"]).read_bytes() == buffer.getvalue()]
    pixels = same[0]["pixels"] if same else f"expected-{name.replace('.', '-')}-{alpha}.png"
    (HERE / pixels).write_bytes(buffer.getvalue())
    CASES.append({"file": name, "width": image.width, "height": image.height, "pixels": pixels,
                  "alpha": alpha, "tolerance": tolerance})  # fmt: skip


def make_png():
    base = rgb()
    base.save(HERE / "rgb8.png")
    case("rgb8.png")
    rgba().save(HERE / "rgba8.png")
    case("rgba8.png")
    case("rgba8.png", alpha="drop")
    base.convert("L").save(HERE / "grey8.png")
    case("grey8.png")
    base.convert("1").save(HERE / "grey1.png")
    case("grey1.png")
    rgba().convert("LA").save(HERE / "grey-alpha8.png")
    case("grey-alpha8.png")
    palette = base.quantize(16)
    palette.save(HERE / "palette.png")
    case("palette.png")
    palette.save(HERE / "palette-transparent.png", transparency=bytes(i * 17 for i in range(16)))
    case("palette-transparent.png")
    case("palette-transparent.png", alpha="drop")

    # Sixteen bits: the upper eight count, as in Pillow's reading of RGB.
    deep = [b"".join(struct.pack(">3H", *(v << 8 | 0xC3 for v in base.getpixel((x, y)))) for x in range(W))
            for y in range(H)]  # fmt: skip
    (HERE / "rgb16.png").write_bytes(png(W, H, 16, 2, deep))
    case("rgb16.png")
    grey = base.convert("L")
    deep = [b"".join(struct.pack(">H", grey.getpixel((x, y)) << 8 | 0x91) for x in range(W)) for y in range(H)]
    (HERE / "grey16.png").write_bytes(png(W, H, 16, 0, deep))
    case("grey16.png", grey)  # Pillow 13 keeps its 16 bits
    rows = [base.crop((0, y, W, y + 1)).tobytes() for y in range(H)]
    key = trns(struct.pack(">3H", *base.getpixel((5, 7))))
    (HERE / "rgb-key.png").write_bytes(png(W, H, 8, 2, rows, key))
    case("rgb-key.png")
    case("rgb-key.png", alpha="drop")
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [b"".join(bytes(base.getpixel((x, y))) for x in range(x0, W, dx))
            for x0, y0, dx, dy in passes for y in range(y0, H, dy)]  # fmt: skip
    (HERE / "interlaced.png").write_bytes(png(W, H, 8, 2, rows, interlace=1))
    case("interlaced.png")


def make_jpeg():
    base = rgb()
    base.save(HERE / "baseline.jpg", quality=85)
    case("baseline.jpg")
    base.save(HERE / "progressive.jpg", quality=85, progressive=True)
    case("progressive.jpg")
    base.convert("L").save(HERE / "grey.jpg", quality=85)
    case("grey.jpg")
    base.convert("CMYK").save(HERE / "cmyk.jpg", quality=90)
    case("cmyk.jpg")
    for orientation in range(1, 9):
        turned(base, f"orientation-{orientation}.jpg", orientation, quality=85)


def turned(image, name, orientation, **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(HERE / name, exif=exif, **options)
    with Image.open(HERE / name) as stored:
        case(name, ImageOps.exif_transpose(stored))


def make_others():
    base = rgb()
    base.save(HERE / "rgb.bmp")
    case("rgb.bmp")
    run("convert", "palette.png", "-alpha", "off", "-type", "palette", "-compress", "RLE", "BMP3:rle.bmp")
    case("rle.bmp")
    run("convert", "palette.png", "palette.xpm")
    case("palette.xpm")
    base.save(HERE / "rgb.ppm")
    case("rgb.ppm")
    base.save(HERE / "rgb.tga")
    case("rgb.tga")
    base.save(HERE / "lzw.tiff", compression="tiff_lzw")
    case("lzw.tiff")
    base.convert("1").save(HERE / "bilevel.tiff", compression="group4")
    case("bilevel.tiff")
    base.convert("CMYK").save(HERE / "cmyk.tiff")
    case("cmyk.tiff", tolerance=1)
    palette = base.quantize(16)
    palette.save(HERE / "still.gif")
    case("still.gif")
    palette.save(HERE / "animated.gif", save_all=True, append_images=[palette.rotate(180)], duration=100)
    case("animated.gif")
    palette.save(HERE / "transparent.gif", transparency=3)
    case("transparent.gif")
    turned(base, "orientation-6.png", 6)
    turned(base, "orientation-5.tiff", 5)
    turned(base, "orientation-8.webp", 8, lossless=True)
    base.save(HERE / "lossless.webp", lossless=True)
    case("lossless.webp")
    run("cwebp", "-quiet", "-q", "80", "rgba8.png", "-o", "lossy-alpha.webp")
    case("lossy-alpha.webp", tolerance=1)
    run("gif2webp", "-quiet", "animated.gif", "-o", "animated.webp")
    case("animated.webp")
    run("heif-enc", "-L", "-p", "chroma=444", "--matrix_coefficients=0", "rgb8.png", "-o", "lossless.heic")
    case("lossless.heic", base, tolerance=2)
    run("heif-enc", "-A", "-L", "-p", "chroma=444", "--matrix_coefficients=0", "rgb8.png", "-o", "lossless.avif")
    case("lossless.avif", base, tolerance=2)


def make_vector():
    colours = [(255, 0, 0), (0, 128, 0), (0, 0, 255)]

    def svg(name, width, height):
        third = width // 3
        bars = "".join(f'<rect x="{i * third}" width="{third}" height="{height}" fill="rgb{c}"/>'
                       for i, c in enumerate(colours))  # fmt: skip
        (HERE / name).write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">{bars}</svg>\n')  # fmt: skip

    def bars(width, height):
        image = Image.new("RGB", (width, height))
        for i, colour in enumerate(colours):
            image.paste(colour, (i * width // 3, 0, (i + 1) * width // 3, height))
        return image

    svg("icon-12x8.svg", 12, 8)
    case("icon-12x8.svg", bars(336, 224))
    svg("natural-600x300.svg", 600, 300)
    case("natural-600x300.svg", bars(600, 300))
    svg("poster-60000x30000.svg", 60000, 30000)


def make_bad():
    (HERE / "empty.png").write_bytes(b"")
    (HERE / "text.png").write_text("This is a letter, not a picture.\n" * 8)
    header = png(20000, 20000, 8, 6, [b"\0" * 64])
    (HERE / "huge-20000x20000.png").write_bytes(header)
    jpeg = bytearray((HERE / "baseline.jpg").read_bytes())
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 40000, 50000)
    (HERE / "huge-50000x40000.jpg").write_bytes(jpeg)
    webp = bytearray((HERE / "lossy-alpha.webp").read_bytes())
    assert webp[12:16] == b"VP8X"
    webp[24:30] = (16777215).to_bytes(3, "little") + (199).to_bytes(3, "little")
    (HERE / "huge-16777216x200.webp").write_bytes(webp)
    avif = bytearray((HERE / "lossless.avif").read_bytes())
    at = avif.index(b"ispe")
    avif[at + 8 : at + 16] = struct.pack(">II", 20000, 30000)
    (HERE / "huge-20000x30000.avif").write_bytes(avif)


def main():
    make_png()
    make_jpeg()
    make_others()
    make_vector()
    make_bad()
    lines = ",\n".join(json.dumps(c) for c in CASES)
    (HERE / "expected.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
