"""Makes a checkpoint of ALLaVA-3B's sizes and layout with random weights, in seconds.

    python3 make_checkpoint.py DIR

bfloat16, two shards, no vision_config (the tower is known by name), GPT-2's tokenizer with the 38
added tokens. Needs NumPy. The values are one block of normal numbers read at changing offsets: they
are as costly to multiply as trained ones, and the activations stay finite.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

H, F, LAYERS, VOCAB = 2560, 10240, 32, 51200  # decoder
D, E, VISION_LAYERS, PATCHES, PATCH = 1024, 4096, 24, 576, 14  # CLIP ViT-L/14-336
SHARD_BYTES = 5_000_000_000
MERGES = Path(__file__).parent.parent / "reference" / "gpt2" / "merges.txt"

CONFIG = {
    "model_type": "llava_phi",
    "architectures": ["LlavaPhiForCausalLM"],
    "hidden_size": H,
    "intermediate_size": F,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "hidden_act": "gelu_new",
    "layer_norm_eps": 1e-5,
    "partial_rotary_factor": 0.4,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "qk_layernorm": False,
    "vocab_size": VOCAB,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "bos_token_id": None,
    "eos_token_id": None,
    "image_aspect_ratio": "pad",
    "mm_hidden_size": D,
    "mm_projector_type": "mlp2x_gelu",
    "mm_vision_select_layer": -2,
    "mm_vision_select_feature": "patch",
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "mm_use_im_start_end": False,
    "mm_use_im_patch_token": False,
}


def linear(name, n_out, n_in):
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def norm(name, n):
    return {f"{name}.weight": (n,), f"{name}.bias": (n,)}


def decoder_layer(p):
    return {
        **norm(f"{p}input_layernorm", H),
        **linear(f"{p}self_attn.q_proj", H, H),
        **linear(f"{p}self_attn.k_proj", H, H),
        **linear(f"{p}self_attn.v_proj", H, H),
        **linear(f"{p}self_attn.dense", H, H),
        **linear(f"{p}mlp.fc1", F, H),
        **linear(f"{p}mlp.fc2", H, F),
    }


def vision_layer(p):
    return {
        **norm(f"{p}layer_norm1", D),
        **norm(f"{p}layer_norm2", D),
        **linear(f"{p}self_attn.q_proj", D, D),
        **linear(f"{p}self_attn.k_proj", D, D),
        **linear(f"{p}self_attn.v_proj", D, D),
        **linear(f"{p}self_attn.out_proj", D, D),
        **linear(f"{p}mlp.fc1", E, D),
        **linear(f"{p}mlp.fc2", D, E),
    }


def tensor_shapes():
    shapes = {"model.embed_tokens.weight": (VOCAB, H)}
    for i in range(LAYERS):
        shapes |= decoder_layer(f"model.layers.{i}.")
    shapes |= norm("model.final_layernorm", H) | {"lm_head.weight": (VOCAB, H)}
    shapes |= linear("model.mm_projector.0", H, D) | linear("model.mm_projector.2", H, H)
    p = "model.vision_tower.vision_tower.vision_model."
    shapes[f"{p}embeddings.class_embedding"] = (D,)
    shapes[f"{p}embeddings.patch_embedding.weight"] = (D, 3, PATCH, PATCH)
    shapes[f"{p}embeddings.position_embedding.weight"] = (PATCHES + 1, D)
    shapes |= norm(f"{p}pre_layrnorm", D) | norm(f"{p}post_layernorm", D)
    for i in range(VISION_LAYERS):
        shapes |= vision_layer(f"{p}encoder.layers.{i}.")
    return shapes


def is_norm_weight(name):
    return name.endswith("norm.weight") or ".layer_norm" in name and name.endswith("weight")


def write_shard(path, shapes, block, rng):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes.items():
            left = int(np.prod(shape))
            if is_norm_weight(name):
                file.write(np.full(left, 0x3F80, "<u2").tobytes())  # 1
                continue
            while left > 0:
                start = int(rng.integers(0, len(block) // 2))
                part = block[start : start + left]
                file.write(memoryview(part))
                left -= len(part)


def byte_symbols():
    """GPT-2's bytes_to_unicode, in the vocabulary's order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + i) for i in range(len(rest))]


def tokenizer():
    merges = [line for line in MERGES.read_text().splitlines() if line and line[:9] != "#version:"]
    tokens = byte_symbols() + [m.replace(" ", "") for m in merges] + ["<|endoftext|>"]
    added = ["<|endoftext|>"]
    added += [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "added_tokens": [
            {
                "id": len(tokens) - 1 + i,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": i > 0,
                "special": i == 0,
            }
            for i, text in enumerate(added)
        ],
        "normalizer": None,
        "pre_tokenizer": level,
        "post_processor": level,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def split(shapes):
    """Shards of at most SHARD_BYTES, in the tensors' order."""
    shards, size = [{}], 0
    for name, shape in shapes.items():
        n = 2 * int(np.prod(shape))
        if size + n > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = shape
        size += n
    return shards


def main():
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    normal = rng.standard_normal(1 << 25, np.float32) * np.float32(0.02)
    block = (normal.view(np.uint32) >> 16).astype("<u2")
    shards = split(tensor_shapes())
    names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
    for name, shapes in zip(names, shards):
        write_shard(directory / name, shapes, block, rng)
    index = {tensor: name for name, shapes in zip(names, shards) for tensor in shapes}
    for name, content in {
        "config.json": CONFIG,
        "model.safetensors.index.json": {"metadata": {}, "weight_map": index},
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": {"eos_token": "<|endoftext|>"},
    }.items():
        (directory / name).write_text(json.dumps(content))


if __name__ == "__main__":
    main()
