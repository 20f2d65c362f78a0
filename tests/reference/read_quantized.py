"""Reads a quantised model as engine/model/quant.h describes it, with NumPy alone.

    read_quantized.py model.safetensors [NAME]

read() gives every tensor as float32; the program lists them, or prints one.
"""

import json
import sys

import numpy as np

PLAIN = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read(path):
    raw = np.memmap(path, np.uint8, "r")
    start = 8 + int(raw[:8].view("<u8")[0])
    header = json.loads(raw[8:start].tobytes())
    metadata = header.pop("__metadata__", {})
    assert metadata.get("allava_quantization_version") == "1", "not a quantised model"

    def get(name, dtype):
        begin, end = header[name]["data_offsets"]
        return np.frombuffer(raw[start + begin : start + end].tobytes(), dtype).reshape(header[name]["shape"])

    def scales(bits):  # f16; the factor keeps those of usual weights normal
        return bits.view("<f2").astype(np.float32)[..., None] / 256

    def dequantize(name):
        kind = header[name]["dtype"]
        if kind == "I8":  # q8: groups of 32
            values = get(name, np.int8).astype(np.float32)
            return (values.reshape(len(values), -1, 32) * scales(get(name + "_scales", "<u2"))).reshape(values.shape)
        if kind == "U8":  # q4: of 64 columns, 32 in low nibbles and 32 in high ones
            pairs = get(name, np.uint8).reshape(header[name]["shape"][0], -1, 32)
            q = np.stack([pairs & 15, pairs >> 4], axis=2).reshape(len(pairs), -1, 32).astype(np.float32)
            records = get(name + "_scales", "<u2")
            weights = scales((records >> 1) & np.uint16(0x7FC0)) * (8 * q - (records & 127)[..., None])
            return weights.astype(np.float32).reshape(len(pairs), -1)
        plain = get(name, PLAIN[kind])
        return (plain.astype("<u4") << 16).view("<f4") if kind == "BF16" else plain.astype(np.float32)

    return {name: dequantize(name) for name in header if not name.endswith("_scales")}


if __name__ == "__main__":
    tensors = read(sys.argv[1])
    for tensor in sys.argv[2:]:
        print(tensors[tensor])
    if len(sys.argv) == 2:
        for tensor, values in tensors.items():
            print(tensor, values.shape)
