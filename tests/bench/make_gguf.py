"""Makes GGUF files of ALLaVA-3B's decoder with random weights, for llama.cpp, in a few seconds.

    python3 make_gguf.py DIR

q8_0.gguf, q4_0.gguf and q4_k.gguf. Of 4-bit files the output matrix is wider, as is usual: Q8_0
beside Q4_0 (as in Allava's q4), Q6_K beside Q4_K. The values are rows of one block of normal
numbers, which llama.cpp's own code quantises. Needs gguf, llama-cpp-python and NumPy.
"""

import ctypes
import sys
from pathlib import Path
from typing import NamedTuple

import gguf
import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType as Type

from make_checkpoint import CONFIG, F, H, LAYERS, VOCAB

HEADS = CONFIG["num_attention_heads"]
BLOCK_ROWS = 1024  # of H values


class Format(NamedTuple):
    matrices: Type
    output: Type
    file_type: gguf.LlamaFileType


FORMATS = {
    "q8_0": Format(Type.Q8_0, Type.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
    "q4_0": Format(Type.Q4_0, Type.Q8_0, gguf.LlamaFileType.MOSTLY_Q4_0),
    "q4_k": Format(Type.Q4_K, Type.Q6_K, gguf.LlamaFileType.MOSTLY_Q4_K_S),
}

Shapes = dict[str, tuple[int, ...]]


def tensor_shapes() -> Shapes:
    shapes: Shapes = {"token_embd.weight": (VOCAB, H)}
    for i in range(LAYERS):
        p = f"blk.{i}."
        shapes |= {
            f"{p}attn_norm.weight": (H,), f"{p}attn_norm.bias": (H,),
            f"{p}attn_qkv.weight": (3 * H, H), f"{p}attn_qkv.bias": (3 * H,),
            f"{p}attn_output.weight": (H, H), f"{p}attn_output.bias": (H,),
            f"{p}ffn_up.weight": (F, H), f"{p}ffn_up.bias": (F,),
            f"{p}ffn_down.weight": (H, F), f"{p}ffn_down.bias": (H,),
        }
    return shapes | {
        "output_norm.weight": (H,), "output_norm.bias": (H,),
        "output.weight": (VOCAB, H), "output.bias": (VOCAB,),
    }


def add_metadata(writer: gguf.GGUFWriter, file_type: gguf.LlamaFileType) -> None:
    writer.add_context_length(CONFIG["max_position_embeddings"])
    writer.add_embedding_length(H)
    writer.add_feed_forward_length(F)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_eps(CONFIG["layer_norm_eps"])
    writer.add_rope_dimension_count(int(CONFIG["partial_rotary_factor"] * H / HEADS))
    writer.add_file_type(file_type)
    writer.add_vocab_size(VOCAB)
    writer.add_tokenizer_model("no_vocab")


def type_of(name: str, shape: tuple[int, ...], form: Format) -> Type:
    if len(shape) == 1:
        return Type.F32
    return form.output if name == "output.weight" else form.matrices


def byte_shape(shape: tuple[int, ...], kind: Type) -> tuple[int, ...]:
    values, size = gguf.GGML_QUANT_SIZES[kind]
    return (*shape[:-1], shape[-1] // values * size)


def quantised_block(kind: Type) -> np.ndarray:
    """BLOCK_ROWS rows of H normal numbers, as bytes."""
    library = Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"
    ggml = ctypes.CDLL(str(library))
    pointer, i64 = ctypes.c_void_p, ctypes.c_int64
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, i64, i64, i64, pointer]
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    block = np.random.default_rng(3).standard_normal((BLOCK_ROWS, H), np.float32)
    block *= np.float32(0.02)
    out = np.empty(byte_shape(block.shape, kind), np.uint8)
    size = ggml.ggml_quantize_chunk(
        int(kind), block.ctypes.data, out.ctypes.data, 0, BLOCK_ROWS, H, None)
    assert size == out.nbytes
    return out


def write(path: Path, form: Format) -> None:
    blocks = {kind: quantised_block(kind) for kind in {form.matrices, form.output}}
    shapes = tensor_shapes()
    writer = gguf.GGUFWriter(path, "phi2")
    add_metadata(writer, form.file_type)
    for name, shape in shapes.items():
        kind = type_of(name, shape, form)
        if kind == Type.F32:
            writer.add_tensor_info(name, shape, np.dtype(np.float32), 4 * shape[0], kind)
        else:
            stored = byte_shape(shape, kind)
            writer.add_tensor_info(name, stored, np.dtype(np.uint8), int(np.prod(stored)), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, shape in shapes.items():
        kind = type_of(name, shape, form)
        if kind == Type.F32:
            vector = np.ones if name.endswith("norm.weight") else np.zeros
            writer.write_tensor_data(vector(shape, np.float32))
        else:
            writer.write_tensor_data(np.resize(blocks[kind], byte_shape(shape, kind)))
    writer.close()


def make(directory: Path) -> dict[str, Path]:
    """The files in DIRECTORY, by format; what is missing is made."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = {name: directory / f"{name}.gguf" for name in FORMATS}
    for name, path in paths.items():
        if not path.exists():
            partial = path.with_suffix(".partial")  # a file under its own name is whole
            write(partial, FORMATS[name])
            partial.rename(path)
    return paths


if __name__ == "__main__":
    make(Path(sys.argv[1]))
