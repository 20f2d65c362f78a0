"""Makes checkpoints/NAME: tiny random checkpoints by recipes.py, and their golden results.

    make_checkpoints.py [NAME]...

Weights are lively (activations of order one, random norms and biases), so that a mistake anywhere
shows in the logits.
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
from recipes import ABSENT, CASES, CHECKPOINTS, CONFIG, PICTURES, VISION_CONFIG

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}

# ---- Tokenizer ----------------------------------------------------------------------------------


def tiny_tokenizer(added):
    """GPT-2's bytes and its first merges: 328 entries, then the tokens of Phi-2."""
    lines = (HERE / "gpt2/merges.txt").read_text(encoding="utf-8").split("\n")[1:73]
    merges = [tuple(line.split(" ")) for line in lines]
    symbols = byte_symbols() + [a + b for a, b in merges]
    tokenizer = byte_level(models.BPE({s: i for i, s in enumerate(symbols)}, merges))
    add_phi_tokens(tokenizer)
    if added:
        tokenizer.add_special_tokens(
            [AddedToken("<|im_start|>"), AddedToken("<pad>", normalized=False)]
        )
        tokenizer.add_tokens(
            ["colours", AddedToken("What is", normalized=False), "INST", "Wh", "日本"]
        )
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
        str(token["id"]): {k: v for k, v in token.items() if k != "id"}
        for token in content["added_tokens"]
    }
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": decoder,
        "bos_token": END,
        "eos_token": END,
        "clean_up_tokenization_spaces": True,
        "model_max_length": 512,
        "pad_token": END,
        "unk_token": END,
        "padding_side": "right",
        "tokenizer_class": "CodeGenTokenizer",
    }
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
    weights.normal(
        f"{prefix}embeddings.patch_embedding.weight",
        width,
        3,
        patch,
        patch,
        std=(3 * patch**2) ** -0.5,
    )
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
    weights.normal(
        "model.embed_tokens.weight",
        config["vocab_size"],
        hidden,
        std=3 * hidden**-0.5 if tied else 1,
    )
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
        save_file(
            {name: tensors[name] for name in part}, directory / file, metadata={"format": "pt"}
        )
        index["weight_map"].update({name: file for name in part})
    index["weight_map"] = dict(sorted(index["weight_map"].items()))
    write_json(directory / "model.safetensors.index.json", index)


# ---- Checkpoint ---------------------------------------------------------------------------------


def write_preprocessor(directory, changes, size):
    clip = {
        "crop_size": {"height": size, "width": size},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_processor_type": "CLIPImageProcessor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"shortest_edge": size},
    }
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
    add_projector(
        weights, config["mm_projector_type"], vision["hidden_size"], config["hidden_size"]
    )
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
        {"role": "assistant", "text": text}
        if pictures is None
        else {"role": "user", "text": text, "pictures": pictures}
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
        "name": name,
        "turns": turns,
        "input_ids": ids,
        "stages": stages,
        "tokens": tokens,
        "finish": finish,
        "margins": [float(f"{m:.6g}") for m in margins],
    }


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
                "width": width,
                "height": height,
                "seed": seed,
                "square_sha256": hashlib.sha256(model.preprocess(image)[0].tobytes()).hexdigest(),
                "pixel_values_sha256": hashlib.sha256(
                    stages["pixel_values"].numpy().tobytes()
                ).hexdigest(),
            }
            for (width, height, seed), image, stages in zip(PICTURES, images, encoded)
        ],
        "cases": cases,
    }
    write_golden(directory / "golden.json", golden)
    report(directory, model, images, cases, tensors)


def write_golden(path, golden):
    lines = [
        f'"{key}": [\n' + ",\n".join(json.dumps(v) for v in golden[key]) + "\n]" for key in golden
    ]
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
