"""Makes checkpoints/NAME: a tiny random checkpoint in the layout of ALLaVA-3B, and its golden results.

Weights are lively (activations of order one, random norms and biases), so that a mistake anywhere shows in
the logits. Each checkpoint varies what the others leave alone: see CHECKPOINTS.
"""

import hashlib
import json
import shutil
import sys

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, models

from llava_phi import PROJECTOR, VISION, LlavaPhi
from make_tokenization import END, HERE, add_phi_tokens, byte_level, byte_symbols
from pictures import picture

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

# As ALLaVA-3B's config.json, the sizes apart. None takes a key out.
CONFIG = {
    "_name_or_path": "allava",
    "architectures": ["LlavaPhiForCausalLM"],
    "attention_dropout": 0.0,
    "bos_token_id": None,
    "embd_pdrop": 0.0,
    "eos_token_id": None,
    "freeze_mm_mlp_adapter": False,
    "hidden_act": "gelu_new",
    "hidden_size": 48,
    "image_aspect_ratio": "pad",
    "initializer_range": 0.02,
    "intermediate_size": 112,
    "layer_norm_eps": 1e-05,
    "max_position_embeddings": 512,
    "mm_hidden_size": 32,
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
    "model_type": "llava_phi",
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 4,
    "partial_rotary_factor": 0.5,
    "qk_layernorm": False,
    "resid_pdrop": 0.0,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "tokenizer_model_max_length": 512,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.36.2",
    "use_cache": True,
    "use_mm_proj": True,
    "vocab_size": 384,
}
VISION_CONFIG = {
    "hidden_act": "quick_gelu",
    "hidden_size": 32,
    "image_size": 56,
    "intermediate_size": 72,
    "layer_norm_eps": 1e-05,
    "model_type": "clip_vision_model",
    "num_attention_heads": 4,
    "num_channels": 3,
    "num_hidden_layers": 3,
    "patch_size": 14,
    "projection_dim": 32,
}
ABSENT = object()  # take the key out of config.json

# name: what differs from the above. "options" are the recipe's own.
CHECKPOINTS = {
    # ALLaVA-3B in small: bfloat16 in two shards, 0.4 of 40 dimensions rotated, no lm_head.bias.
    "base": {
        "seed": 5,
        "config": {"hidden_size": 80, "num_attention_heads": 2, "num_key_value_heads": 2, "partial_rotary_factor": 0.4},
        "options": {"shards": 2, "position_ids": True},
    },
    # Sizes that are no multiple of anything, a linear projector, float32 in one file.
    "odd": {
        "seed": 5,
        "config": {
            "hidden_size": 72, "num_attention_heads": 3, "num_key_value_heads": ABSENT, "intermediate_size": 101,
            "mm_projector_type": "linear", "mm_hidden_size": 38, "rope_theta": 500.0, "torch_dtype": "float32",
            "partial_rotary_factor": ABSENT, "layer_norm_eps": 1e-3, "vocab_size": 371,
        },
        "vision": {
            "hidden_size": 38, "num_attention_heads": 2, "intermediate_size": 55, "image_size": 45, "patch_size": 9,
            "layer_norm_eps": 1e-2,
        },
    },
    # Three query heads to a key, the class token kept, the last layer selected, a deeper projector, float16.
    "grouped": {
        "seed": 4,
        "config": {
            "hidden_size": 96, "num_attention_heads": 6, "num_key_value_heads": 2, "mm_projector_type": "mlp3x_gelu",
            "mm_vision_select_feature": "cls_patch", "mm_vision_select_layer": -1, "torch_dtype": "float16",
            "partial_rotary_factor": 0.75,
        },
        "vision": {"image_size": 28, "patch_size": 14},
        "options": {"shards": 3},
    },
    # Norms on queries and keys, one key for all heads, all dimensions rotated.
    "qk-norm": {
        "seed": 7,
        "config": {
            "qk_layernorm": True, "num_key_value_heads": 1, "partial_rotary_factor": 1.0, "torch_dtype": "bfloat16",
            "layer_norm_eps": 1e-4,
        },
        "vision": {"image_size": 42},
    },
    # The embedding is the output matrix too; a tower of one patch size more; settings of transformers 5.
    "tied": {
        "seed": 10,
        "config": {
            "tie_word_embeddings": True, "partial_rotary_factor": ABSENT, "rope_theta": ABSENT, "rope_scaling": ABSENT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 2000.0, "partial_rotary_factor": 0.34},
            "transformers_version": "5.0.0", "dtype": "bfloat16", "torch_dtype": ABSENT, "num_hidden_layers": 4,
            "mm_vision_select_layer": -3,
        },
        "vision": {"image_size": 32, "patch_size": 8},
    },
    # Stock Phi-2's lm_head.bias, which makes the end token likely; exact GELU in the decoder.
    "bias": {
        "seed": 7,
        "config": {"torch_dtype": "float16", "hidden_act": "gelu", "eos_token_id": 328},
        "vision": {"image_size": 28, "patch_size": 7},
        "options": {"lm_head_bias": True, "end_bias": 5.0, "shards": 2},
    },
    # CLIP's own way with pictures, other mean and deviation, a positive layer, pixels left over by the patches.
    "center": {
        "seed": 4,
        "config": {"image_aspect_ratio": ABSENT, "mm_vision_select_layer": 1, "torch_dtype": "float16"},
        "vision": {"image_size": 30, "patch_size": 7, "hidden_act": "gelu"},
        "options": {
            "preprocessor": {
                "size": {"shortest_edge": 36}, "crop_size": {"height": 30, "width": 30},
                "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.3],
            }
        },
    },
    # Scores of queries and keys in the hundreds, thousands before they are scaled.
    "hot": {
        "seed": 2,
        "config": {"torch_dtype": "float32", "num_attention_heads": 3, "num_key_value_heads": 3},
        "vision": {"image_size": 28, "patch_size": 14},
        "options": {"heat": 5.0, "preprocessor": {}},
    },
    # Added tokens of all kinds, merges as older files write them; a head wider than hidden_size / heads.
    "added": {
        "seed": 10,
        "config": {"head_dim": 20, "num_attention_heads": 4, "num_key_value_heads": 2, "mm_vision_select_layer": 0},
        "vision": {"image_size": 28, "patch_size": 14},
        "options": {"added_tokens": True, "string_merges": True},
    },
    # The tower is a CLIP folder of its own; a projector of one layer; greater epsilon there than here.
    "apart": {
        "seed": 1,
        "config": {
            "mm_projector_type": "mlp1x_gelu", "mm_vision_tower": "./tower", "torch_dtype": "float16",
            "num_key_value_heads": 2, "rope_theta": 1e6,
        },
        "vision": {"image_size": 40, "patch_size": 10},
        "options": {"tower": True},
    },
}  # fmt: skip

PICTURES = [(37, 61, 1), (64, 64, 2), (200, 90, 3), (5, 3, 4)]  # width, height, seed
CASES = {
    "text": [("Name three colours.", [])],
    "image": [("What is this?", [0])],
    "three": [("\u3000\x1f Compare   them:\n\n\t\tone,  two, three \u0085\n", [0, 1, 2])],
    "turns": [
        ("Hello", [3]),
        ("It's a <image> of 2 cats.", None),
        ("And this?", [1]),
        (" None</s>", None),
        ("  Why not? ", []),
    ],
    "control": [("<image>\n</s> <|endoftext|> [/INST] 👩‍🚀🇩🇪 na\u0308ïve 日本 ½", [2])],
    "empty": [(" \n", [1, 1])],
}


# ---- Tokenizer ----------------------------------------------------------------------------------


def tiny_tokenizer(added):
    """GPT-2's bytes and its first merges: 328 entries, then the tokens of Phi-2."""
    lines = (HERE / "gpt2/merges.txt").read_text(encoding="utf-8").split("\n")[1:73]
    merges = [tuple(line.split(" ")) for line in lines]
    symbols = byte_symbols() + [a + b for a, b in merges]
    tokenizer = byte_level(models.BPE({s: i for i, s in enumerate(symbols)}, merges))
    add_phi_tokens(tokenizer)
    if added:
        tokenizer.add_special_tokens([AddedToken("<|im_start|>"), AddedToken("<pad>", normalized=False)])
        tokenizer.add_tokens(["colours", AddedToken("What is", normalized=False), "INST", "Wh", "日本"])
    return tokenizer


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(directory, tokenizer, string_merges):
    path = directory / "tokenizer.json"
    tokenizer.save(str(path))
    content = json.loads(path.read_text(encoding="utf-8"))
    if string_merges:
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    write_json(path, content)
    decoder = {
        str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in content["added_tokens"]
    }
    config = {
        "add_prefix_space": False, "added_tokens_decoder": decoder, "bos_token": END, "eos_token": END,
        "clean_up_tokenization_spaces": True, "model_max_length": 512, "pad_token": END, "unk_token": END,
        "padding_side": "right", "tokenizer_class": "CodeGenTokenizer",
    }  # fmt: skip
    write_json(directory / "tokenizer_config.json", config)


# ---- Weights ------------------------------------------------------------------------------------


class Weights:
    """Random tensors by name: matrices of gain / sqrt(fan in), norms about one, biases about zero."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.tensors = {}

    def normal(self, name, *shape, std=1.0, mean=0.0):
        self.tensors[name] = torch.randn(*shape, generator=self.generator) * std + mean

    def linear(self, name, inputs, outputs, gain=1.0, bias=0.2):
        self.normal(f"{name}.weight", outputs, inputs, std=gain * inputs**-0.5)
        self.normal(f"{name}.bias", outputs, std=bias)

    def norm(self, name, width, std=0.3, mean=1.0):
        self.normal(f"{name}.weight", width, std=std, mean=mean)
        self.normal(f"{name}.bias", width, std=0.3)


def add_vision(weights, config, prefix, position_ids):
    width, patch = config["hidden_size"], config["patch_size"]
    positions = (config["image_size"] // patch) ** 2 + 1
    weights.normal(f"{prefix}embeddings.class_embedding", width)
    weights.normal(f"{prefix}embeddings.patch_embedding.weight", width, 3, patch, patch, std=(3 * patch**2) ** -0.5)
    weights.normal(f"{prefix}embeddings.position_embedding.weight", positions, width, std=0.5)
    if position_ids:
        weights.tensors[f"{prefix}embeddings.position_ids"] = torch.arange(positions)[None]
    weights.norm(f"{prefix}pre_layrnorm", width)
    for i in range(config["num_hidden_layers"]):
        layer = f"{prefix}encoder.layers.{i}."
        for name in ("q_proj", "k_proj"):
            weights.linear(f"{layer}self_attn.{name}", width, width, gain=1.5)
        for name in ("v_proj", "out_proj"):
            weights.linear(f"{layer}self_attn.{name}", width, width)
        weights.linear(f"{layer}mlp.fc1", width, config["intermediate_size"], gain=1.5)
        weights.linear(f"{layer}mlp.fc2", config["intermediate_size"], width)
        weights.norm(f"{layer}layer_norm1", width)
        weights.norm(f"{layer}layer_norm2", width)
    weights.norm(f"{prefix}post_layernorm", width)


def add_projector(weights, kind, width, hidden):
    if kind == "linear":
        return weights.linear(PROJECTOR.rstrip("."), width, hidden)
    for i in range(int(kind[3])):
        weights.linear(f"{PROJECTOR}{2 * i}", hidden if i else width, hidden, gain=1.5)


def add_decoder(weights, config, options, end):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads = config["num_attention_heads"]
    head = config.get("head_dim", hidden // heads)
    kv_heads = config.get("num_key_value_heads", heads)
    tied = config["tie_word_embeddings"]
    weights.normal("model.embed_tokens.weight", config["vocab_size"], hidden, std=3 * hidden**-0.5 if tied else 1)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        gain = 2.0 * options.get("heat", 1.0)
        weights.linear(f"{layer}self_attn.q_proj", hidden, heads * head, gain=gain)
        weights.linear(f"{layer}self_attn.k_proj", hidden, kv_heads * head, gain=gain)
        weights.linear(f"{layer}self_attn.v_proj", hidden, kv_heads * head)
        weights.linear(f"{layer}self_attn.dense", heads * head, hidden, gain=1.5)
        if config["qk_layernorm"]:
            weights.norm(f"{layer}self_attn.q_layernorm", hidden // heads)
            weights.norm(f"{layer}self_attn.k_layernorm", hidden // heads)
        weights.linear(f"{layer}mlp.fc1", hidden, inner, gain=1.5)
        weights.linear(f"{layer}mlp.fc2", inner, hidden, gain=1.5)
        weights.norm(f"{layer}input_layernorm", hidden)
    if tied:  # signs at random, or every token would be followed by itself
        weights.norm("model.final_layernorm", hidden, std=1.0, mean=0.0)
    else:
        weights.norm("model.final_layernorm", hidden)
        weights.normal("lm_head.weight", config["vocab_size"], hidden, std=3 * hidden**-0.5)
    if options.get("lm_head_bias"):
        weights.normal("lm_head.bias", config["vocab_size"])
        weights.tensors["lm_head.bias"][end] = options["end_bias"]


def write_weights(directory, tensors, dtype, shards):
    tensors = {k: t.to(dtype) if t.is_floating_point() else t for k, t in tensors.items()}
    if shards == 1:
        return save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    index = {"metadata": {"total_size": sum(t.nbytes for t in tensors.values())}, "weight_map": {}}
    names = list(tensors)
    for i in range(shards):
        part = names[len(names) * i // shards : len(names) * (i + 1) // shards]
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        save_file({name: tensors[name] for name in part}, directory / file, metadata={"format": "pt"})
        index["weight_map"].update({name: file for name in part})
    index["weight_map"] = dict(sorted(index["weight_map"].items()))
    write_json(directory / "model.safetensors.index.json", index)


# ---- Checkpoint ---------------------------------------------------------------------------------


def write_preprocessor(directory, changes, size):
    clip = {
        "crop_size": {"height": size, "width": size}, "do_center_crop": True, "do_convert_rgb": True,
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_processor_type": "CLIPImageProcessor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3, "rescale_factor": 1 / 255, "size": {"shortest_edge": size},
    }  # fmt: skip
    write_json(directory / "preprocessor_config.json", clip | changes)


def make_checkpoint(name, seed, directory):
    recipe = CHECKPOINTS[name]
    options = recipe.get("options", {})
    config = {k: v for k, v in (CONFIG | recipe.get("config", {})).items() if v is not ABSENT}
    vision = VISION_CONFIG | recipe.get("vision", {})
    dtype = DTYPES[config.get("torch_dtype") or config["dtype"]]
    tokenizer = tiny_tokenizer(options.get("added_tokens"))
    write_tokenizer(directory, tokenizer, options.get("string_merges", False))
    weights = Weights(seed)
    prefix = VISION + "vision_model."
    if options.get("tower"):
        (directory / "tower").mkdir()
        tower = Weights(seed + 1)
        add_vision(tower, vision, "vision_model.", position_ids=True)
        write_weights(directory / "tower", tower.tensors, torch.float32, 1)
        write_json(directory / "tower/config.json", {"model_type": "clip", "vision_config": vision})
    else:
        add_vision(weights, vision, prefix, options.get("position_ids", False))
        config["vision_config"] = vision
    add_projector(weights, config["mm_projector_type"], vision["hidden_size"], config["hidden_size"])
    add_decoder(weights, config, options, tokenizer.token_to_id(END))
    write_weights(directory, weights.tensors, dtype, options.get("shards", 1))
    write_json(directory / "config.json", config)
    write_json(
        directory / "generation_config.json",
        {"_from_model_config": True, "transformers_version": config["transformers_version"]},
    )
    if "preprocessor" in options:
        write_preprocessor(directory, options["preprocessor"], vision["image_size"])


# ---- Golden results -----------------------------------------------------------------------------


def turns_of(case):
    return [
        {"role": "assistant", "text": text} if pictures is None else {"role": "user", "text": text, "pictures": pictures}
        for text, pictures in case
    ]


def check_greedy(model, ids, features, tokens, margins):
    """The same choices without the cache."""
    logits = model.forward(ids + tokens, features)["logits"][-len(tokens) - 1 :]
    for token, margin, row in zip(tokens[1:], margins[1:], logits[1:]):
        row = row.masked_fill(~model.choosable, -torch.inf)
        assert int(row.argmax()) == token or margin < 1e-3


def run_case(model, name, encoded, tensors):
    """Everything for the case "image"; for the others the last position's logits."""
    turns = turns_of(CASES[name])
    ids = model.prompt_ids(turns)
    pictures = [i for turn in turns for i in turn.get("pictures", [])]
    features = [encoded[i]["image_features"] for i in pictures]
    stages = {}  # the engine's name for it: the tensor in golden.safetensors
    for position, i in enumerate(pictures):
        for key in encoded[i]:
            if f"picture.{i}.{key}" in tensors:
                kind, _, layer = key.partition(".")
                stages[f"{kind}.{position}" + (f".{layer}" if layer else "")] = f"picture.{i}.{key}"
    computed = model.forward(ids, features)
    for key, value in computed.items():
        if name == "image" or key == "logits":
            stages[key] = f"{name}.{key}"
            tensors[stages[key]] = value if name == "image" else value[-1:]
    tokens, margins, finish = model.greedy(ids, features, 64)
    check_greedy(model, ids, features, tokens, margins)
    return {
        "name": name, "turns": turns, "input_ids": ids, "stages": stages, "tokens": tokens, "finish": finish,
        "margins": [float(f"{m:.6g}") for m in margins],
    }  # fmt: skip


def make_golden(directory):
    tower = directory / "tower"
    model = LlavaPhi(directory, tower if tower.exists() else None)
    images = [picture(*shape) for shape in PICTURES]
    encoded = [model.encode_image(image) for image in images]
    tensors = {}
    for i, stages in enumerate(encoded):
        for key, value in stages.items():
            if key == "image_features" or (i == 0 and key != "pixel_values"):
                tensors[f"picture.{i}.{key}"] = value
    cases = [run_case(model, name, encoded, tensors) for name in CASES]
    save_file({k: t.clone() for k, t in tensors.items()}, directory / "golden.safetensors")
    golden = {
        "pictures": [
            {
                "width": width, "height": height, "seed": seed,
                "square_sha256": hashlib.sha256(model.preprocess(image)[0].tobytes()).hexdigest(),
                "pixel_values_sha256": hashlib.sha256(stages["pixel_values"].numpy().tobytes()).hexdigest(),
            }
            for (width, height, seed), image, stages in zip(PICTURES, images, encoded)
        ],
        "cases": cases,
    }  # fmt: skip
    write_golden(directory / "golden.json", golden)
    report(directory, model, images, cases, tensors)


def write_golden(path, golden):
    lines = [f'"{key}": [\n' + ",\n".join(json.dumps(v) for v in golden[key]) + "\n]" for key in golden]
    path.write_text("{" + ",\n".join(lines) + "}\n", encoding="ascii")


def report(directory, model, images, cases, tensors):
    """Sizes, and how far the float32 reference is from float64: the bounds must leave that room."""
    model.double()
    features = [model.encode_image(image)["image_features"] for image in images]
    noise = 0.0
    for case in cases:
        shown = [features[i] for turn in case["turns"] for i in turn.get("pictures", [])]
        exact = model.forward(case["input_ids"], shown)
        for key, name in case["stages"].items():
            if key in exact:
                rows = exact[key][-len(tensors[name]) :]
                noise = max(noise, float((tensors[name] - rows).abs().max() / rows.abs().max()))
    size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    margin = min(min(case["margins"]) for case in cases)
    counts = [f"{len(set(case['tokens']))}/{len(case['tokens'])}" for case in cases]
    scale = float(tensors["image.logits"].std())
    print(
        f"{directory.name:8} {size:8} bytes, noise {noise:.1e}, logits' deviation {scale:.2f}, "
        f"least margin {margin:.1e}, different tokens {' '.join(counts)}"
    )


def main(names):
    torch.set_num_threads(1)
    for name in names or CHECKPOINTS:
        directory = HERE / "checkpoints" / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        make_checkpoint(name, CHECKPOINTS[name]["seed"], directory)
        make_golden(directory)


if __name__ == "__main__":
    main(sys.argv[1:])
