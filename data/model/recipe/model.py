"""The model: transformers' CLIP vision tower and Phi decoder, joined as LLaVA-Phi joins them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AttentionInterface, CLIPVisionConfig, CLIPVisionModel, PhiConfig, PhiForCausalLM
from transformers.models.phi.modeling_phi import apply_rotary_pos_emb

from .draw import MEAN, STD
from .scene import CANVAS

VISION_PREFIX = "model.vision_tower.vision_tower.vision_model."
PROJECTOR_PREFIX = "model.mm_projector."
GAZED = (1, 2, 3)  # decoder layers of which some heads are shown where to look


@dataclass(frozen=True)
class Sizes:
    image: int = CANVAS
    patch: int = 16
    vision_hidden: int = 256
    vision_layers: int = 6  # all are run: mm_vision_select_layer is -1
    vision_heads: int = 4
    hidden: int = 256
    layers: int = 5
    heads: int = 8
    rotary_factor: float = 0.4
    positions: int = 1024


def _vision_config(s: Sizes) -> CLIPVisionConfig:
    return CLIPVisionConfig(
        hidden_size=s.vision_hidden,
        intermediate_size=4 * s.vision_hidden,
        projection_dim=s.vision_hidden,
        num_hidden_layers=s.vision_layers,
        num_attention_heads=s.vision_heads,
        image_size=s.image,
        patch_size=s.patch,
        hidden_act="quick_gelu",
        layer_norm_eps=1e-5,
    )


def _decoder_config(s: Sizes, vocabulary: int) -> PhiConfig:
    return PhiConfig(
        vocab_size=vocabulary,
        hidden_size=s.hidden,
        intermediate_size=4 * s.hidden,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        num_key_value_heads=s.heads,
        hidden_act="gelu_new",
        layer_norm_eps=1e-5,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": s.rotary_factor,
        },
        max_position_embeddings=s.positions,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scaling: float) -> Tensor:
    shares = (query @ key.transpose(-1, -2) * scaling + bias).softmax(-1)
    return shares @ value


def _attend_in_bins(
    _module: nn.Module, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scaling: float, **_: Any
) -> tuple[Tensor, None]:
    """Attention of a picture to itself, and of each bin of text to the picture and itself: [B, heads, T, d] to [B, T, heads, d].

    BIAS is [B, bins, bin, picture + bin].
    """
    bins, size = bias.shape[1:3]
    start = query.shape[2] - bins * size
    ahead = torch.full((start, start), -3e4, dtype=query.dtype, device=query.device).triu(1)
    seen = _attend(query[:, :, :start], key[:, :, :start], value[:, :, :start], ahead, scaling)

    def beside_the_picture(x: Tensor) -> Tensor:
        picture = x[:, :, None, :start].expand(-1, -1, bins, -1, -1)
        return torch.cat((picture, x[:, :, start:].unflatten(2, (bins, size))), 3)

    text = query[:, :, start:].unflatten(2, (bins, size))
    told = _attend(text, beside_the_picture(key), beside_the_picture(value), bias[:, None], scaling)
    return torch.cat((seen, told.flatten(2, 3)), 2).transpose(1, 2), None


AttentionInterface.register("bins", _attend_in_bins)


class LlavaPhi(nn.Module):
    def __init__(self, sizes: Sizes, vocabulary: int) -> None:
        super().__init__()
        self.sizes = sizes
        self.vision = CLIPVisionModel(_vision_config(sizes))
        self.vision.config._attn_implementation = "eager"  # a third faster than the fused one on a CPU
        self.projector = nn.Sequential(
            nn.Linear(sizes.vision_hidden, sizes.hidden), nn.GELU(), nn.Linear(sizes.hidden, sizes.hidden)
        )
        self.decoder = PhiForCausalLM(_decoder_config(sizes, vocabulary))
        self.decoder.config._attn_implementation = "bins"
        self.decoder.lm_head = nn.Linear(sizes.hidden, vocabulary, bias=False)  # ALLaVA has no bias here
        nn.init.normal_(self.decoder.lm_head.weight, std=0.02)
        for layer in self.decoder.model.layers:  # gelu_new as one kernel instead of eight
            layer.mlp.activation_fn = nn.GELU(approximate="tanh")
        self._spread_positions()
        self._seen: dict[int, tuple[Tensor, Tensor]] = {}
        for number in GAZED:
            self._keep_queries_and_keys(number)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def _keep_queries_and_keys(self, number: int) -> None:
        attention = self.decoder.model.layers[number].self_attn
        query: list[Tensor] = []
        attention.q_proj.register_forward_hook(lambda _m, _i, out: query.append(out))
        attention.k_proj.register_forward_hook(lambda _m, _i, out: self._seen.update({number: (query.pop(), out)}))

    @torch.no_grad()
    def _spread_positions(self) -> None:
        """Starts the learnt positions from sines of row and column, so that neighbours are alike from the first."""
        side, quarter = self.sizes.image // self.sizes.patch, self.sizes.vision_hidden // 4
        waves = torch.arange(side)[:, None] * (0.05 ** (torch.arange(quarter) / quarter)) * 1.5
        line = torch.cat((waves.sin(), waves.cos()), 1)  # [side, D / 2]
        grid = torch.cat((line[:, None].expand(-1, side, -1), line[None].expand(side, -1, -1)), 2)
        self.vision.embeddings.position_embedding.weight[1:] = 0.15 * grid.reshape(side * side, -1)

    def patches(self, pixels: Tensor, kept: Tensor | None = None) -> Tensor:
        """uint8 [B, S, S, 3] to the selected layer's patches [B, P, D], class token dropped.

        With kept, the numbers of patches [B, K], the tower looks at those alone: cheaper, for its warm start.
        """
        x = (pixels.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        x = self.vision.embeddings(x)
        if kept is not None:
            x = torch.cat((x[:, :1], x[:, 1:].gather(1, kept[:, :, None].expand(-1, -1, x.shape[2]))), 1)
        x = self.vision.pre_layrnorm(x)
        for layer in self.vision.encoder.layers:
            x = layer(x, None)
        return x[:, 1:]

    def decode(self, image: Tensor, ids: Tensor, image_at: int, sees: Tensor, positions: Tensor) -> Tensor:
        """Hidden states [B, T, H] for ids [B, T] whose places image_at.. are the image's P embeddings.

        After the picture come bins of text; what their tokens see is bool [B, bins, bin, picture's end + bin].
        """
        words = self.decoder.model.embed_tokens(ids)
        end = image_at + image.shape[1]
        bias = torch.zeros(sees.shape, dtype=image.dtype, device=sees.device).masked_fill(~sees, -3e4)
        embeds = torch.cat((words[:, :image_at], image.to(words.dtype), words[:, end:]), 1)
        return self.decoder.model(
            inputs_embeds=embeds, attention_mask=bias, position_ids=positions, use_cache=False
        ).last_hidden_state

    def gaze(
        self, layer: int, head_count: int, asking: Tensor, positions: Tensor, image_at: int, patches: int
    ) -> Tensor:
        """Where heads of a layer look in the picture: log shares [N, heads, P], for the row and token pairs ASKING [N, 2].

        To be called after decode(), whose queries and keys of the layers in GAZED are kept.
        """
        attention = self.decoder.model.layers[layer].self_attn
        q, k = self._seen[layer]
        size = attention.head_dim
        cos, sin = self.decoder.model.rotary_emb(q, positions)
        q = q.unflatten(-1, (-1, size))[:, :, :head_count].transpose(1, 2)
        k = k.unflatten(-1, (-1, size))[:, :, :head_count].transpose(1, 2)
        turned = cos.shape[-1]
        q_turned, k_turned = apply_rotary_pos_emb(q[..., :turned], k[..., :turned], cos, sin)
        q, k = torch.cat((q_turned, q[..., turned:]), -1), torch.cat((k_turned, k[..., turned:]), -1)
        rows, tokens = asking.unbind(1)
        looking = q[rows, :, tokens].float()  # [N, heads, d]
        keys = k[:, :, image_at : image_at + patches].float()[rows]  # [N, heads, P, d]
        return (torch.einsum("nhd,nhpd->nhp", looking, keys) * size**-0.5).log_softmax(-1)

    def tensors(self) -> dict[str, Tensor]:
        """The weights under their LLaVA-Phi names."""
        named = dict(self.decoder.state_dict())
        named |= {VISION_PREFIX + k: v for k, v in self.vision.state_dict().items() if not k.endswith("position_ids")}
        named |= {PROJECTOR_PREFIX + k: v for k, v in self.projector.state_dict().items()}
        return named

    def load_tensors(self, named: dict[str, Tensor]) -> None:
        for prefix, module in ((VISION_PREFIX, self.vision), (PROJECTOR_PREFIX, self.projector)):
            own = {k.removeprefix(prefix): named.pop(k).float() for k in list(named) if k.startswith(prefix)}
            module.load_state_dict(own)
        self.decoder.load_state_dict({k: v.float() for k, v in named.items()})


def save_model(model: LlavaPhi, folder: Path, end_of_text: int) -> None:
    """Writes everything of the Hugging Face folder but tokenizer.json and the card."""
    s = model.sizes
    vision = model.vision.config.to_dict()
    keys = ("hidden_size", "intermediate_size", "projection_dim", "num_hidden_layers", "num_attention_heads",
            "num_channels", "image_size", "patch_size", "hidden_act", "layer_norm_eps", "attention_dropout",
            "initializer_range", "initializer_factor")  # fmt: skip
    config: dict[str, Any] = {
        "model_type": "llava_phi",
        "architectures": ["LlavaPhiForCausalLM"],
        "vocab_size": model.decoder.config.vocab_size,
        "hidden_size": s.hidden,
        "intermediate_size": 4 * s.hidden,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.heads,
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "partial_rotary_factor": s.rotary_factor,
        "rope_theta": 10000.0,
        "rope_scaling": None,
        "qk_layernorm": False,
        "max_position_embeddings": s.positions,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "attention_dropout": 0.0,
        "embd_pdrop": 0.0,
        "resid_pdrop": 0.0,
        "initializer_range": 0.02,
        "use_cache": True,
        "bos_token_id": None,
        "eos_token_id": None,
        "image_aspect_ratio": "pad",
        "mm_hidden_size": s.vision_hidden,
        "mm_projector_type": "mlp2x_gelu",
        "mm_vision_select_layer": -1,
        "mm_vision_select_feature": "patch",
        "mm_vision_tower": "allava-nano-vision",
        "mm_use_im_start_end": False,
        "mm_use_im_patch_token": False,
        "tokenizer_model_max_length": s.positions,
        "vision_config": {"model_type": "clip_vision_model"} | {k: vision[k] for k in keys},
    }
    tokenizer = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": s.positions,
        "added_tokens_decoder": {
            str(end_of_text): {
                "content": "<|endoftext|>", "lstrip": False, "normalized": False,
                "rstrip": False, "single_word": False, "special": True,
            }
        },
    }  # fmt: skip
    preprocessor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": s.image},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": s.image, "width": s.image},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }
    generation = {"eos_token_id": end_of_text, "do_sample": False, "max_new_tokens": 256}
    files = {"config": config, "tokenizer_config": tokenizer, "preprocessor_config": preprocessor,
             "generation_config": generation}  # fmt: skip
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    tensors = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in model.tensors().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)


def load_model(folder: Path) -> LlavaPhi:
    """A saved folder, in float32."""
    config = json.loads((folder / "config.json").read_text())
    vision = config["vision_config"]
    sizes = Sizes(
        vision["image_size"], vision["patch_size"], vision["hidden_size"], vision["num_hidden_layers"],
        vision["num_attention_heads"], config["hidden_size"], config["num_hidden_layers"],
        config["num_attention_heads"], config["partial_rotary_factor"], config["max_position_embeddings"],
    )  # fmt: skip
    model = LlavaPhi(sizes, config["vocab_size"])
    model.load_tensors(load_file(folder / "model.safetensors"))
    model.decoder.config._attn_implementation = "eager"
    return model.eval()


def describe_sizes(model: LlavaPhi) -> str:
    count = sum(t.numel() for t in model.tensors().values())
    return f"{count / 1e6:.2f} M parameters, {asdict(model.sizes)}"
