"""LLaVA-Phi out of transformers' own parts: CLIPVisionModel, a projector, PhiForCausalLM.

The arithmetic is the reference's: float32, eager attention, on the CPU. Weights are read from the
checkpoint's files and widened; nothing else of the checkpoint is interpreted here than LLaVA's own
configuration keys and tensor names.
"""

import json
from pathlib import Path

import torch
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, PhiConfig, PhiForCausalLM
from transformers.cache_utils import DynamicCache
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from pictures import clip_processor, preprocess

IMAGE = -200  # LLaVA's IMAGE_TOKEN_INDEX
END = "<|endoftext|>"
VISION = "model.vision_tower.vision_tower."
PROJECTOR = "model.mm_projector."


def read_weights(directory):
    """All tensors of a folder, by name, float32."""
    weights = {}
    for path in sorted(Path(directory).glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            weights.update({name: file.get_tensor(name) for name in file.keys()})
    return {name: t.float() if t.is_floating_point() else t for name, t in weights.items()}


def take(weights, prefix):
    return {name.removeprefix(prefix): t for name, t in weights.items() if name.startswith(prefix)}


def make_projector(kind, width, hidden):
    """LLaVA's build_vision_projector."""
    if kind == "linear":
        return nn.Linear(width, hidden)
    depth = int(kind.removeprefix("mlp").removesuffix("x_gelu"))
    layers = [nn.Linear(width, hidden)]
    for _ in range(depth - 1):
        layers += [nn.GELU(), nn.Linear(hidden, hidden)]
    return nn.Sequential(*layers)


class LlavaPhi:
    def __init__(self, directory, tower=None):
        directory = Path(directory)
        self.config = config = json.loads((directory / "config.json").read_text())
        weights = read_weights(directory)
        self.tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self.tokenizer.encode_special_tokens = True  # special tokens in text are ordinary text
        self.end = self.tokenizer.token_to_id(END)
        if tower is not None:
            vision_config = json.loads((Path(tower) / "config.json").read_text())
            vision_config = vision_config.get("vision_config", vision_config)
            vision_weights = read_weights(tower)
        else:
            vision_config = config["vision_config"]
            vision_weights = take(weights, VISION)
        self.vision = self.make_vision(vision_config, take(vision_weights, "vision_model."))
        self.projector = self.make_projector(take(weights, PROJECTOR))
        self.decoder = self.make_decoder(weights)
        self.processor = self.make_processor(directory)
        known = [self.tokenizer.id_to_token(i) is not None for i in range(config["vocab_size"])]
        self.choosable = torch.tensor(known)

    def make_vision(self, config, weights):
        vision = CLIPVisionModel._from_config(
            CLIPVisionConfig(**config), attn_implementation="eager", dtype=torch.float32
        )
        weights.pop("embeddings.position_ids", None)
        vision.load_state_dict(weights)
        return vision.eval()

    def make_projector(self, weights):
        kind = self.config.get("mm_projector_type", "linear")
        projector = make_projector(kind, self.vision.config.hidden_size, self.config["hidden_size"])
        projector.load_state_dict(weights)
        return projector.eval()

    def make_decoder(self, weights):
        config = {k: v for k, v in self.config.items() if k not in ("model_type", "vision_config")}
        decoder = PhiForCausalLM._from_config(
            PhiConfig(**config), attn_implementation="eager", dtype=torch.float32
        )
        own = {k: t for k, t in weights.items() if not k.startswith((VISION, PROJECTOR))}
        if decoder.config.tie_word_embeddings:
            own["lm_head.weight"] = own["model.embed_tokens.weight"]
        if "lm_head.bias" not in own:  # stock Phi has one, ALLaVA none
            own["lm_head.bias"] = torch.zeros(self.config["vocab_size"])
        decoder.load_state_dict(own)
        return decoder.eval()

    def make_processor(self, directory):
        path = directory / "preprocessor_config.json"
        if path.exists():
            return CLIPImageProcessorPil(**json.loads(path.read_text()))
        return clip_processor(self.vision.config.image_size)

    # ---- Prompt ----

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def user_ids(self, text, n_images):
        """`[INST] <image>\\n{text} [/INST] `, split at the images and tokenised in pieces."""
        pieces = ["[INST] "] + ["\n"] * n_images
        pieces[-1] += text.strip() + " [/INST] "
        ids = self.encode(pieces[0])
        for piece in pieces[1:]:
            ids += [IMAGE] + self.encode(piece)
        return ids

    def prompt_ids(self, turns):
        ids = []
        for turn in turns:
            if turn["role"] == "user":
                ids += self.user_ids(turn["text"], len(turn.get("pictures", [])))
            else:
                ids += self.encode(turn["text"]) + [self.end]
        return ids

    # ---- Forward ----

    def preprocess(self, image):
        aspect = "pad" if self.config.get("image_aspect_ratio") == "pad" else "center"
        return preprocess(image, self.processor, aspect)

    @torch.no_grad()
    def encode_image(self, image):
        """Every stage from a PIL image to what the decoder takes, by the engine's names."""
        values = torch.from_numpy(self.preprocess(image)[1]).to(self.dtype)
        states = self.vision(values[None], output_hidden_states=True).hidden_states
        assert len(states) == self.vision.config.num_hidden_layers + 1
        index = self.config.get("mm_vision_select_layer", -2)
        run = states[: index + 1] if index >= 0 else states[: len(states) + index + 1]
        keep = self.config.get("mm_vision_select_feature", "patch") == "cls_patch"
        features = states[index][0, 0 if keep else 1 :]
        stages = {f"vision_hidden_states.{i}": state[0] for i, state in enumerate(run)}
        return {
            "pixel_values": values,
            **stages,
            "vision_features": features,
            "image_features": self.projector(features),
        }

    @property
    def dtype(self):
        return self.decoder.model.embed_tokens.weight.dtype

    def embed(self, ids, features):
        """[N, H]: the i-th IMAGE becomes the rows of features[i]."""
        features = iter(features)
        rows = [
            next(features) if i == IMAGE else self.decoder.model.embed_tokens(torch.tensor([i]))
            for i in ids
        ]
        return torch.cat(rows)

    @torch.no_grad()
    def forward(self, ids, features):
        """hidden_states.L [N, H] (0: embeddings, L: after the L-th layer) and logits [N, vocab]."""
        stages = {}

        def keep(name):
            return lambda module, args, output: stages.update({name: output[0]})

        layers = self.decoder.model.layers
        hooks = [
            layer.register_forward_hook(keep(f"hidden_states.{i + 1}"))
            for i, layer in enumerate(layers)
        ]
        stages["hidden_states.0"] = embeds = self.embed(ids, features)
        stages["logits"] = self.decoder(inputs_embeds=embeds[None], use_cache=False).logits[0]
        for hook in hooks:
            hook.remove()
        return stages

    @torch.no_grad()
    def greedy(self, ids, features, max_new_tokens, min_new_tokens=1):
        """(ids without the end token, the gap between the best two at each step, "eos" | "length").

        Ids that the tokenizer cannot decode are never chosen."""
        cache = DynamicCache(config=self.decoder.config)
        embeds = self.embed(ids, features)[None]
        tokens, margins = [], []
        while len(tokens) < max_new_tokens:
            logits = self.decoder(
                inputs_embeds=embeds, past_key_values=cache, use_cache=True
            ).logits[0, -1]
            logits = logits.masked_fill(~self.choosable, -torch.inf)
            if len(tokens) < min_new_tokens:
                logits[self.end] = -torch.inf
            best = logits.topk(2)
            margins.append(float(best.values[0] - best.values[1]))
            token = int(best.indices[0])
            if token == self.end:
                return tokens, margins, "eos"
            tokens.append(token)
            embeds = self.embed([token], [])[None]
        return tokens, margins, "length"

    def double(self):
        """From here on in float64, to see how exact the float32 reference itself is."""
        for module in (self.vision, self.projector, self.decoder):
            module.double()
        return self
