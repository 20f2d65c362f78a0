"""Quantises a model with allava-cli and reads it with read_quantized.py (a test of the suite, TAP).

    test_read_quantized.py CLI MODEL

Each tensor is compared with the one it was made from: what stays as it is, to the bit; q8 and q4
within half a step of every group's range.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from read_quantized import read


def read_source(path):
    """A checkpoint of BF16 or F32."""
    raw = np.fromfile(path, np.uint8)
    start = 8 + int(raw[:8].view("<u8")[0])
    header = json.loads(raw[8:start].tobytes())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        bits = raw[begin:end].view({"BF16": "<u2", "F32": "<u4"}[entry["dtype"]]).astype("<u4")
        bits = bits << 16 if entry["dtype"] == "BF16" else bits
        tensors[name] = bits.view("<f4").reshape(entry["shape"])
    return tensors


def check(cli, model, dtype):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "model"
        subprocess.run([cli, "quantize", "--model", model, "--dtype", dtype, "--out", out], check=True)
        tensors = read(out / "model.safetensors")
    source = read_source(Path(model) / "model.safetensors")
    assert tensors.keys() == source.keys()
    quantised = 0
    for name, expected in source.items():
        found = tensors[name]
        assert found.shape == expected.shape, name
        if np.array_equal(found, expected):
            continue
        assert name == "lm_head.weight" or (name.startswith("model.layers.") and expected.ndim == 2), name
        quantised += 1
        groups = expected.reshape(-1, 32)
        span = np.maximum(groups.max(1), 0) - np.minimum(groups.min(1), 0)
        steps = 15 if dtype == "q4" and name != "lm_head.weight" else 127
        error = np.abs(found - expected).reshape(-1, 32)
        # q8 rounds to nearest; q4 clips a little where that makes the whole better.
        limit = span / steps * (0.51 if steps == 127 else 4)
        assert (error.max(1) <= limit + 1e-9).all(), name
        relative = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        assert relative < (0.1 if steps == 15 else 0.01), (name, relative)
    assert quantised > 6, quantised


print("1..2")
for number, dtype in enumerate(("q8", "q4"), 1):
    check(sys.argv[1], sys.argv[2], dtype)
    print(f"ok {number} {dtype}")
