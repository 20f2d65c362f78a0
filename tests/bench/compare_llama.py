"""Sets allava-cli beside llama.cpp on the same work, in one run with equal threads.

    python3 compare_llama.py --cli build/app/allava-cli --model DIR --work DIR
                             [--threads 2] [--repeat 3] [--only q4,q4_0] [--under COMMAND]

--model is what make_checkpoint.py writes. --work keeps what is made once: GGUF files of the same
sizes (make_gguf.py), and the checkpoint as q8 and q4. The work: prefill of 608 tokens of text, then
decoding 16 more, one at a time, the likeliest each; embedding rows, 32 layers and lm_head on both
sides, with a KV cache in f16. Each measurement is a process of its own, which loads first; they
take turns, and ratios are formed within a round, so that a machine whose speed drifts treats both
alike. llama.cpp runs with and without flash attention ("q8_0_flash"). --only names the contenders
of this run's rounds; the table is of all rounds in --work's rounds.json, so that a run can be made
of several short ones. --under is put before each measurement's command ("taskset -c 0,1").
Needs llama-cpp-python, built natively, and gguf:

    CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary llama-cpp-python llama-cpp-python gguf
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PREFILL_TOKENS = 608
MARKS = 7  # tokens that bench's prompt has around its text
NEW_TOKENS = 16
CONTEXT = 2048

# Allava's dtype, and what of llama.cpp's it is compared with.
RIVALS = {
    "q8": ("q8_0", "q8_0_flash"),
    "q4": ("q4_0", "q4_0_flash", "q4_k", "q4_k_flash"),
}
EVERYBODY = [name for dtype, formats in RIVALS.items() for name in (dtype, *formats)]

Figures = dict[str, float]  # prefill_ms, decode_tokens_per_s
Round = dict[str, Figures]  # by contender


# ---- llama.cpp, in a process of its own ----


def measure_llama(path: str, threads: int, flash: bool) -> Figures:
    import llama_cpp as llama
    import numpy as np

    silent = llama.llama_log_callback(lambda level, text, data: None)
    llama.llama_log_set(silent, None)
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    n_vocab = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    ids = np.random.default_rng(3).integers(0, n_vocab, PREFILL_TOKENS)

    def step(context: int, tokens: list[int]) -> int:
        array = (llama.llama_token * len(tokens))(*tokens)
        if llama.llama_decode(context, llama.llama_batch_get_one(array, len(tokens))) != 0:
            sys.exit(f"llama.cpp failed on {path}")
        logits = llama.llama_get_logits_ith(context, -1)
        return int(np.ctypeslib.as_array(logits, (n_vocab,)).argmax())

    params = llama.llama_context_default_params()
    params.n_ctx = CONTEXT
    params.n_threads = params.n_threads_batch = threads
    params.flash_attn_type = (
        llama.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else llama.LLAMA_FLASH_ATTN_TYPE_DISABLED)
    context = llama.llama_init_from_model(model, params)
    step(context, ids[:32].tolist())  # touches every weight
    step(context, [0])
    llama.llama_memory_clear(llama.llama_get_memory(context), False)
    start = time.perf_counter()
    token = step(context, ids.tolist())
    read = time.perf_counter()
    for _ in range(NEW_TOKENS):
        token = step(context, [token])
    end = time.perf_counter()
    return {"prefill_ms": 1e3 * (read - start), "decode_tokens_per_s": NEW_TOKENS / (end - read)}


# ---- Both, in turn ----


def run(args: argparse.Namespace, command: list[str]) -> Figures:
    command = shlex.split(args.under) + command
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(out)


def run_llama(args: argparse.Namespace, name: str, path: Path) -> Figures:
    command = [sys.executable, __file__, "--peer", str(path), "--threads", str(args.threads)]
    return run(args, command + (["--flash"] if name.endswith("_flash") else []))


def run_allava(args: argparse.Namespace, model: Path) -> Figures:
    figures = run(args, [
        args.cli, "bench", "--json", "--model", str(model), "--threads", str(args.threads),
        "--no-image", "--prompt-tokens", str(PREFILL_TOKENS - MARKS),
        "--new-tokens", str(NEW_TOKENS + 1),
    ])
    assert figures["prefill_tokens"] == PREFILL_TOKENS
    return figures


def quantised(args: argparse.Namespace, dtype: str) -> Path:
    path = args.work / dtype
    if not path.exists():
        command = [args.cli, "quantize", "--model", args.model, "--dtype", dtype, "--out", str(path)]
        subprocess.run(command, check=True)
    return path


def measure(args: argparse.Namespace, name: str) -> Figures:
    from make_gguf import make

    if name in RIVALS:
        return run_allava(args, quantised(args, name))
    return run_llama(args, name, make(args.work)[name.removesuffix("_flash")])


def measure_all(args: argparse.Namespace) -> list[Round]:
    """Adds to the work folder's rounds, each figure as soon as it is there, and returns them."""
    kept = args.work / "rounds.json"
    rounds = json.loads(kept.read_text()) if kept.exists() else []
    for _ in range(args.repeat):
        rounds.append({})
        for name in args.only:
            rounds[-1][name] = measure(args, name)
            kept.write_text(json.dumps(rounds))
    return rounds


# ---- The report ----


def describe_machine(args: argparse.Namespace, rounds: list[Round]) -> str:
    from llama_cpp import __version__

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    bandwidths = [r[name]["bandwidth_gb_s"] for r in rounds for name in RIVALS if name in r]
    if bandwidths:
        cpu += f", {min(bandwidths):.0f} to {max(bandwidths):.0f} GB/s read bandwidth"
    return (f"{cpu}, {args.threads} threads, llama-cpp-python {__version__}, KV f16, "
            f"{time.strftime('%Y-%m-%d')}")


def cell(rounds: list[Round], name: str, key: str, best: Callable[..., float], decimals: int) -> str:
    values = [r[name][key] for r in rounds if name in r]
    return f"{best(values):,.{decimals}f} ({statistics.median(values):,.{decimals}f})"


def ratios(rounds: list[Round], mine: str, theirs: str) -> tuple[str, str]:
    """The medians of how much faster MINE was in the rounds in which both ran."""
    pairs = [(r[mine], r[theirs]) for r in rounds if mine in r and theirs in r]
    if not pairs:
        return "", ""
    prefill = statistics.median(b["prefill_ms"] / a["prefill_ms"] for a, b in pairs)
    decode = statistics.median(
        a["decode_tokens_per_s"] / b["decode_tokens_per_s"] for a, b in pairs)
    return f"{prefill:.2f} ×", f"{decode:.2f} ×"


def label(name: str) -> str:
    form = name.removesuffix("_flash")
    who = f"Allava {name}" if name in RIVALS else f"llama.cpp {form.upper()}"
    return who if form == name else f"{who}, flash attention"


def show(args: argparse.Namespace, rounds: list[Round]) -> None:
    print(describe_machine(args, rounds) + "; best (median)\n")
    print(f"| | prefill of {PREFILL_TOKENS}, ms | decode, tokens/s | "
          "Allava's prefill is faster by | its decode by |")
    print("|---|---|---|---|---|")
    for dtype, rivals in RIVALS.items():
        for name in (dtype, *rivals):
            if not any(name in r for r in rounds):
                continue
            prefill, decode = ("", "") if name == dtype else ratios(rounds, dtype, name)
            print(f"| {label(name)} | {cell(rounds, name, 'prefill_ms', min, 0)} | "
                  f"{cell(rounds, name, 'decode_tokens_per_s', max, 1)} | {prefill} | {decode} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cli")
    parser.add_argument("--model")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", type=lambda names: names.split(","), default=EVERYBODY)
    parser.add_argument("--under", default="")
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    parser.add_argument("--flash", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        print(json.dumps(measure_llama(args.peer, args.threads, args.flash)))
        return
    show(args, measure_all(args))


if __name__ == "__main__":
    main()
