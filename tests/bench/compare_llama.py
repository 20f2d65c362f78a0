"""Sets allava-cli beside llama.cpp on the same work, in one run with equal threads.

    python3 compare_llama.py --cli build/app/allava-cli --model DIR --work DIR
                             [--threads 2] [--repeat 3] [--only q4,q4_0] [--under COMMAND]

--model is what make_checkpoint.py writes. --work keeps what is made once: GGUF files of the same
sizes (make_gguf.py), and the checkpoint as q8 and q4. The work: prefill of 608 tokens of text, then
decoding 16 more, one at a time, the likeliest each; embedding rows, 32 layers and lm_head on both
sides, with a KV cache in f16. Each measurement is a process of its own, which loads first; they
take turns, so that a machine whose speed drifts treats both alike. llama.cpp runs with and without
flash attention ("q8_0_flash"). --only names the contenders; the table is of all measurements in
--work's rounds.json, so that a run can be made of several short ones. --under is put before each
measurement's command ("taskset -c 0,1").
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


def best(rounds: list[Figures]) -> Figures:
    return {
        "prefill_ms": min(r["prefill_ms"] for r in rounds),
        "decode_tokens_per_s": max(r["decode_tokens_per_s"] for r in rounds),
    }


def median(rounds: list[Figures]) -> Figures:
    return {key: statistics.median(r[key] for r in rounds) for key in best(rounds)}


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


def measure_all(args: argparse.Namespace) -> dict[str, list[Figures]]:
    """Adds to the work folder's rounds, each as soon as it is there, and returns all of them."""
    kept = args.work / "rounds.json"
    rounds = json.loads(kept.read_text()) if kept.exists() else {}
    for _ in range(args.repeat):
        for name in args.only:
            rounds.setdefault(name, []).append(measure(args, name))
            kept.write_text(json.dumps(rounds))
    return rounds


# ---- The report ----


def describe_machine(args: argparse.Namespace, rounds: dict[str, list[Figures]]) -> str:
    from llama_cpp import __version__

    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    bandwidth = statistics.median(r["bandwidth_gb_s"] for r in rounds["q8"] + rounds["q4"])
    return (f"{cpu}, {args.threads} threads, {bandwidth:.0f} GB/s read bandwidth, llama-cpp-python "
            f"{__version__}, KV f16, {len(rounds['q8'])} rounds, {time.strftime('%Y-%m-%d')}")


def cell(rounds: list[Figures], key: str, decimals: int) -> str:
    return f"{best(rounds)[key]:,.{decimals}f} ({median(rounds)[key]:,.{decimals}f})"


def ratios(mine: list[Figures], theirs: list[Figures]) -> tuple[str, str]:
    def ratio(summary: Callable[[list[Figures]], Figures]) -> tuple[float, float]:
        a, b = summary(mine), summary(theirs)
        return b["prefill_ms"] / a["prefill_ms"], a["decode_tokens_per_s"] / b["decode_tokens_per_s"]

    (prefill, decode), (prefill_median, decode_median) = ratio(best), ratio(median)
    return f"{prefill:.2f} ({prefill_median:.2f})", f"{decode:.2f} ({decode_median:.2f})"


def show(args: argparse.Namespace, rounds: dict[str, list[Figures]]) -> None:
    print(describe_machine(args, rounds) + "; best (median)\n")
    print(f"| | prefill of {PREFILL_TOKENS}, ms | decode, tokens/s | "
          "Allava's prefill is faster by | its decode by |")
    print("|---|---|---|---|---|")
    for dtype, formats in RIVALS.items():
        for name in (dtype, *formats):
            form = name.removesuffix("_flash")
            who = f"Allava {name}" if name == dtype else f"llama.cpp {form.upper()}"
            who += ", flash attention" if form != name else ""
            prefill, decode = ("", "") if name == dtype else ratios(rounds[dtype], rounds[name])
            print(f"| {who} | {cell(rounds[name], 'prefill_ms', 0)} | "
                  f"{cell(rounds[name], 'decode_tokens_per_s', 1)} | {prefill} | {decode} |")


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
    rounds = measure_all(args)
    if all(name in rounds for name in EVERYBODY):
        show(args, rounds)


if __name__ == "__main__":
    main()
