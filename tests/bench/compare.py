"""Sets allava-cli beside transformers on the same work, in one run with equal threads.

    python3 compare.py --cli build/app/allava-cli --model DIR [--threads 2] [--repeat 3]

DIR is what make_checkpoint.py writes. The work: one image through the vision tower and projector,
prefill of its 576 positions and a prompt of about 32 tokens, then decoding. transformers runs its
own classes at the same sizes with random weights (its speed does not depend on their values), with
its fastest attention (sdpa), in bfloat16 and in float32, each in a process of its own. The two take
turns, so that a machine whose speed drifts treats both alike; the table shows each one's best.
Needs torch and transformers (tests/reference/requirements.txt).
"""

import argparse
import json
import subprocess
import sys
import time

PROMPT_TOKENS = 37  # what bench's prompt and the marks around it take
NEW_TOKENS = 8


def build(dtype):
    import torch
    from torch import nn
    from transformers import CLIPVisionConfig, CLIPVisionModel, PhiConfig, PhiForCausalLM

    from make_checkpoint import CONFIG, D, E, F, H, LAYERS, VISION_LAYERS, VOCAB

    vision = CLIPVisionConfig(
        hidden_size=D, intermediate_size=E, num_hidden_layers=VISION_LAYERS - 1,  # the last is not used
        num_attention_heads=16, image_size=336, patch_size=14, hidden_act="quick_gelu",
    )
    phi = PhiConfig(
        hidden_size=H, intermediate_size=F, num_hidden_layers=LAYERS, num_attention_heads=32,
        vocab_size=VOCAB, partial_rotary_factor=0.4, hidden_act="gelu_new",
        max_position_embeddings=CONFIG["max_position_embeddings"], tie_word_embeddings=False,
    )
    with torch.device("meta"):
        parts = nn.ModuleDict({
            "vision": CLIPVisionModel._from_config(vision, attn_implementation="sdpa", dtype=dtype),
            "projector": nn.Sequential(nn.Linear(D, H), nn.GELU(), nn.Linear(H, H)).to(dtype),
            "decoder": PhiForCausalLM._from_config(phi, attn_implementation="sdpa", dtype=dtype),
        })
    parts = parts.to_empty(device="cpu").eval()
    for name, tensor in [*parts.named_parameters(), *parts.named_buffers()]:
        if name.endswith("inv_freq"):
            tensor.data = 1e4 ** (-torch.arange(len(tensor)) / len(tensor))
        elif tensor.is_floating_point():
            tensor.data.fill_(0.01)
        else:
            tensor.data.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    return parts


def run_transformers(dtype_name, threads, repeat):
    """Prints one JSON object a round, when a line on stdin asks for it."""
    import torch

    torch.set_num_threads(threads)
    dtype = getattr(torch, dtype_name)
    parts = build(dtype)
    pixels = torch.rand(1, 3, 336, 336, dtype=dtype)
    ids = torch.arange(PROMPT_TOKENS)[None]
    embed = parts["decoder"].get_input_embeddings()

    @torch.inference_mode()
    def once():
        start = time.perf_counter()
        states = parts["vision"](pixels).last_hidden_state
        features = parts["projector"](states[:, 1:])
        seen = time.perf_counter()
        inputs = torch.cat([features, embed(ids)], 1)
        out = parts["decoder"](inputs_embeds=inputs, use_cache=True, logits_to_keep=1)
        read = time.perf_counter()
        for _ in range(NEW_TOKENS):
            token = out.logits[:, -1:].argmax(-1)
            out = parts["decoder"](token, past_key_values=out.past_key_values, use_cache=True)
        end = time.perf_counter()
        return {
            "vision_ms": 1e3 * (seen - start),
            "prefill_ms": 1e3 * (read - seen),
            "decode_tokens_per_s": NEW_TOKENS / (end - read),
        }

    once()  # first use of every kernel
    print("ready", flush=True)
    for _ in range(repeat):
        sys.stdin.readline()
        print(json.dumps(once()), flush=True)


def run_allava(cli, model, dtype, threads):
    command = [cli, "bench", "--json", "--model", model, "--dtype", dtype, "--threads", str(threads),
               "--new-tokens", "24"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def best(rounds):
    return {
        "vision_ms": min(r["vision_ms"] for r in rounds),
        "prefill_ms": min(r["prefill_ms"] for r in rounds),
        "decode_tokens_per_s": max(r["decode_tokens_per_s"] for r in rounds),
    }


def compare(args, peer_dtype):
    """Rounds of transformers in one dtype and Allava in f32 and bf16, in turn."""
    peer = subprocess.Popen(
        [sys.executable, __file__, "--peer", peer_dtype, "--threads", str(args.threads), "--repeat", str(args.repeat)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert peer.stdout.readline().strip() == "ready"
    rounds = {f"transformers {peer_dtype}": [], "allava f32": [], "allava bf16": []}
    for _ in range(args.repeat):
        peer.stdin.write("\n")
        peer.stdin.flush()
        rounds[f"transformers {peer_dtype}"].append(json.loads(peer.stdout.readline()))
        for dtype in ("f32", "bf16"):
            rounds[f"allava {dtype}"].append(run_allava(args.cli, args.model, dtype, args.threads))
    peer.wait()
    return rounds


def show(rounds):
    print(f"{'':24} vision ms  prefill ms  together  decode tokens/s")
    for name, results in rounds.items():
        r = best(results)
        total = r["vision_ms"] + r["prefill_ms"]
        print(f"{name:24} {r['vision_ms']:9.0f}  {r['prefill_ms']:10.0f}  {total:8.0f}  "
              f"{r['decode_tokens_per_s']:15.2f}")
    mine = [r for name, results in rounds.items() if name.startswith("allava") for r in results]
    print(f"Allava: {max(r['bandwidth_fraction'] for r in mine):.0%} of the read bandwidth at best in decoding, "
          f"loads in {min(r['load_ms'] for r in mine):.0f} ms, peak RSS {max(r['peak_rss_mb'] for r in mine):.0f} MB\n",
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cli")
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        run_transformers(args.peer, args.threads, args.repeat)
        return
    for peer_dtype in ("bfloat16", "float32"):
        show(compare(args, peer_dtype))


if __name__ == "__main__":
    main()
