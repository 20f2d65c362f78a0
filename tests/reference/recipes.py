"""What the tiny checkpoints are: each varies what the others leave alone."""

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
        "config": {
            "hidden_size": 80,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "partial_rotary_factor": 0.4,
        },
        "options": {"shards": 2, "position_ids": True},
    },
    # Sizes that are no multiple of anything, a linear projector, float32 in one file.
    "odd": {
        "seed": 5,
        "config": {
            "hidden_size": 72,
            "num_attention_heads": 3,
            "num_key_value_heads": ABSENT,
            "intermediate_size": 101,
            "mm_projector_type": "linear",
            "mm_hidden_size": 38,
            "rope_theta": 500.0,
            "torch_dtype": "float32",
            "partial_rotary_factor": ABSENT,
            "layer_norm_eps": 1e-3,
            "vocab_size": 371,
        },
        "vision": {
            "hidden_size": 38,
            "num_attention_heads": 2,
            "intermediate_size": 55,
            "image_size": 45,
            "patch_size": 9,
            "layer_norm_eps": 1e-2,
        },
    },
    # Three query heads to a key, the class token kept, the last layer, a deeper projector, float16.
    "grouped": {
        "seed": 4,
        "config": {
            "hidden_size": 96,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "mm_projector_type": "mlp3x_gelu",
            "mm_vision_select_feature": "cls_patch",
            "mm_vision_select_layer": -1,
            "torch_dtype": "float16",
            "partial_rotary_factor": 0.75,
        },
        "vision": {"image_size": 28, "patch_size": 14},
        "options": {"shards": 3},
    },
    # Norms on queries and keys, one key for all heads, all dimensions rotated.
    "qk-norm": {
        "seed": 7,
        "config": {
            "qk_layernorm": True,
            "num_key_value_heads": 1,
            "partial_rotary_factor": 1.0,
            "torch_dtype": "bfloat16",
            "layer_norm_eps": 1e-4,
        },
        "vision": {"image_size": 42},
    },
    # The embedding is the output matrix too; the third layer from the end; transformers 5 settings.
    "tied": {
        "seed": 10,
        "config": {
            "tie_word_embeddings": True,
            "partial_rotary_factor": ABSENT,
            "rope_theta": ABSENT,
            "rope_scaling": ABSENT,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 2000.0,
                "partial_rotary_factor": 0.34,
            },
            "transformers_version": "5.0.0",
            "dtype": "bfloat16",
            "torch_dtype": ABSENT,
            "num_hidden_layers": 4,
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
    # CLIP's own way with pictures, other mean and deviation; a positive layer; pixels left over.
    "center": {
        "seed": 4,
        "config": {
            "image_aspect_ratio": ABSENT,
            "mm_vision_select_layer": 1,
            "torch_dtype": "float16",
        },
        "vision": {"image_size": 30, "patch_size": 7, "hidden_act": "gelu"},
        "options": {
            "preprocessor": {
                "size": {"shortest_edge": 36},
                "crop_size": {"height": 30, "width": 30},
                "image_mean": [0.5, 0.4, 0.3],
                "image_std": [0.2, 0.25, 0.3],
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
    # Added tokens of all kinds, merges as older files write them; heads wider than their share.
    "added": {
        "seed": 10,
        "config": {
            "head_dim": 20,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "mm_vision_select_layer": 0,
        },
        "vision": {"image_size": 28, "patch_size": 14},
        "options": {"added_tokens": True, "string_merges": True},
    },
    # The tower is a CLIP folder of its own, in float32; a projector of one layer.
    "apart": {
        "seed": 1,
        "config": {
            "mm_projector_type": "mlp1x_gelu",
            "mm_vision_tower": "./tower",
            "torch_dtype": "float16",
            "num_key_value_heads": 2,
            "rope_theta": 1e6,
        },
        "vision": {"image_size": 40, "patch_size": 10},
        "options": {"tower": True},
    },
}

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
