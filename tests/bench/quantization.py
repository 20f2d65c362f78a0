"""How exactly q8 and q4 keep matrices, beside llama.cpp's formats of the same size.

    quantization.py --cli build/app/allava-cli --model data/model [--ggml libggml-base.so]

Fills the decoder of a small model with random weights, quantises it with allava-cli, reads that with
tests/reference/read_quantized.py, and prints the root mean square error relative to the weights' own
root mean square. Needs gguf; Q4_K's encoder is in llama.cpp's library alone (llama-cpp-python brings
libggml-base.so).
"""

import argparse
import ctypes
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import quants

sys.path.insert(0, str(Path(__file__).parents[1] / "reference"))
from read_quantized import read  # noqa: E402

DISTRIBUTIONS = {
    "Gaussian": lambda rng, shape: rng.standard_normal(shape),
    "Laplace": lambda rng, shape: rng.laplace(size=shape),
    "Student t, 4 degrees": lambda rng, shape: rng.standard_t(4, shape),
}
BLOCK = 256  # Q4_K's


def ggml_quantize(library, matrix, kind):
    ggml = ctypes.CDLL(library)
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    block, size = quants.GGML_QUANT_SIZES[kind]
    out = np.zeros(matrix.size // block * size, np.uint8)
    rows, columns = ctypes.c_int64(matrix.size // BLOCK), ctypes.c_int64(BLOCK)
    pointer = np.ascontiguousarray(matrix, np.float32).ctypes.data_as(ctypes.c_void_p)
    ggml.ggml_quantize_chunk(int(kind), pointer, out.ctypes.data_as(ctypes.c_void_p),
                             ctypes.c_int64(0), rows, columns, None)
    return quants.dequantize(out.reshape(matrix.size // BLOCK, -1), kind).reshape(matrix.shape)


def write_model(source, folder, rng, draw):
    """SOURCE with random F32 matrices in its decoder; returns those."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("recipe", "*.safetensors"))
    raw = (Path(source) / "model.safetensors").read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header, drawn, data, at = json.loads(raw[8:start]), {}, [], 0
    header.pop("__metadata__", None)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        piece = raw[start + begin : start + end]
        if name.startswith("model.layers.") and len(entry["shape"]) == 2:
            drawn[name] = (0.02 * draw(rng, entry["shape"])).astype(np.float32)
            piece, entry["dtype"] = drawn[name].tobytes(), "F32"
        entry["data_offsets"] = [at, at + len(piece)]
        at += len(piece)
        data.append(piece)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(data))
    return drawn


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cli", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--ggml", help="llama.cpp's libggml-base.so")
    args = parser.parse_args()
    print("| | bits | " + " | ".join(DISTRIBUTIONS) + " |\n|---|---|" + "---|" * len(DISTRIBUTIONS))
    table = {}
    for draw in DISTRIBUTIONS.values():
        with tempfile.TemporaryDirectory() as temporary:
            source = Path(temporary) / "source"
            drawn = write_model(args.model, source, np.random.default_rng(1), draw)
            expected = np.concatenate([matrix.ravel() for matrix in drawn.values()])
            for dtype, bits in (("q8", 8.5), ("q4", 4.5)):
                out = Path(temporary) / dtype
                subprocess.run([args.cli, "quantize", "--model", source, "--dtype", dtype, "--out", out], check=True)
                tensors = read(out / "model.safetensors")
                found = np.concatenate([tensors[name].ravel() for name in drawn])
                table.setdefault((f"Allava {dtype}", bits), []).append(error(found, expected))
        for kind, bits in ((Type.Q8_0, 8.5), (Type.Q4_0, 4.5)):
            found = quants.dequantize(quants.quantize(expected.reshape(-1, BLOCK), kind), kind)
            table.setdefault((kind.name, bits), []).append(error(found.ravel(), expected))
        if args.ggml:
            found = ggml_quantize(args.ggml, expected, Type.Q4_K)
            table.setdefault(("Q4_K", 4.5), []).append(error(found, expected))
    for (name, bits), errors in sorted(table.items(), key=lambda row: (-row[0][1], row[0][0])):
        print(f"| {name} | {bits} | " + " | ".join(f"{value:.3%}".replace("%", " %") for value in errors) + " |")


if __name__ == "__main__":
    main()
