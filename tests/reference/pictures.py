"""Pictures by formula, so that none need be stored: the C tests compute the same bytes."""

import numpy as np
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

FORMULA = "((x*7 + y*13 + c*101 + seed*31) ^ ((x*y) >> 3) ^ (x*x*3 + y*5*c)) & 255 in uint32"


def picture(width, height, seed):
    x = np.arange(width, dtype=np.uint32)[None, :, None]
    y = np.arange(height, dtype=np.uint32)[:, None, None]
    c = np.arange(3, dtype=np.uint32)[None, None, :]
    v = (x * 7 + y * 13 + c * 101 + np.uint32(seed) * 31) ^ ((x * y) >> 3) ^ (x * x * 3 + y * 5 * c)
    return Image.fromarray((v & 255).astype(np.uint8), "RGB")


def expand2square(image, colour):
    """LLaVA's padding (llava/mm_utils.py)."""
    width, height = image.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square


def preprocess(image, processor, aspect):
    """What LLaVA's process_images does: (uint8 [S, S, 3], float32 [3, S, S])."""
    if aspect == "pad":
        image = expand2square(image, tuple(int(mean * 255) for mean in processor.image_mean))
    square = processor(image, do_rescale=False, do_normalize=False, return_tensors="np")[
        "pixel_values"
    ][0]
    values = processor(image, return_tensors="np")["pixel_values"][0]
    assert square.dtype == np.uint8 and values.dtype == np.float32
    return np.ascontiguousarray(square.transpose(1, 2, 0)), np.ascontiguousarray(values)


def clip_processor(size, crop_size=None):
    """CLIP's own values at a size of its own."""
    crop_size = crop_size or size
    return CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": crop_size, "width": crop_size}
    )
