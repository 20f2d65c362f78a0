"""Makes tokenization.json: hard strings and what the reference tokenizer makes of them."""

import json
import random
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

HERE = Path(__file__).resolve().parent
END = "<|endoftext|>"


def byte_symbols():
    """GPT-2's byte alphabet, in the order of its ids (Radford et al. 2019, encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]


def byte_level(model):
    """A tokenizer as transformers saves it for GPT-2 and CodeGen models."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False)
    return tokenizer


def add_phi_tokens(tokenizer):
    """The end token and the runs of white space, as microsoft/phi-2 has them."""
    tokenizer.add_special_tokens([AddedToken(END, normalized=False, special=True)])
    runs = [" " * n for n in range(31, 1, -1)] + ["\t" * n for n in range(9, 1, -1)]
    tokenizer.add_tokens([AddedToken(run, normalized=True) for run in runs])


def allava_tokenizer():
    lines = (HERE / "gpt2/merges.txt").read_text(encoding="utf-8").split("\n")
    merges = [tuple(line.split(" ")) for line in lines[1:] if line]
    symbols = byte_symbols() + [a + b for a, b in merges]
    tokenizer = byte_level(models.BPE({s: i for i, s in enumerate(symbols)}, merges))
    add_phi_tokens(tokenizer)
    assert tokenizer.token_to_id(END) == 50256
    assert tokenizer.token_to_id(" " * 31) == 50257 and tokenizer.token_to_id("  ") == 50286
    assert tokenizer.token_to_id("\t" * 9) == 50287 and tokenizer.token_to_id("\t\t") == 50294
    assert tokenizer.get_vocab_size() == 50295
    return tokenizer


# ---- Strings ------------------------------------------------------------------------------------

PLAIN = r"""Hello, world!
The image contains a large, stylized "HI!" in a bright pink color with yellow outlines.
[INST] What is this? [/INST]\x20
[INST]
 [/INST]\x20
What's in the picture?
don't can't we've I'm you'll he'd it's they're
DON'T CAN'T WE'VE I'M YOU'LL HE'D IT'S THEY'RE
'S 'T 'RE 'VE 'M 'LL 'D 's 't 're 've 'm 'll 'd
Don't won'T o'clock 'tis rock'n'roll ''s '' ' '' 'x 'ss 'ree 'lll
l’été aujourd’hui don’t
ſ's 'ſ
https://example.org/a/b?c=d&e=%20f#g
user.name+tag@example.co.uk
C:\\Users\\me\\file.txt
/usr/share/doc/../lib*.so.[0-9]
$ ls -la | grep "x" && echo 'y' > /dev/null
if (x<y&&y>=z){return a->b[i++]*~c^d|e%f;}
int main (void) { return 0; } /* comment */ // x
def f(x):\n    return x**2  # square
for i in range(10):\n\tfor j in i:\n\t\tprint(i,j)
<html><body class="a">&nbsp;</body></html>
{"a": [1, 2.5e-3, null], "b": {"c": true}}
SELECT * FROM t WHERE a='b' AND c<>"d";
\\frac{a}{b} \\sum_{i=0}^{n} x_i^2
0 1 12 123 1234 12345 123456789012345678901234567890
3.14159 1,000,000 1e10 0xdeadBEEF 0b1011 1/2 50% $9.99 €5
2024-01-31T23:59:59Z +1 (555) 010-9999
٠١٢٣٤٥٦٧٨٩ ۰۱۲۳۴۵۶۷۸۹ ०१२३४५६७८९ ๐๑๒๓๔๕๖๗๘๙
½ ⅓ ¼ ² ³ ¹ ⁴⁵⁶ ₀₁₂ ① ② ⑳ Ⅳ Ⅻ ⅷ 〇 一二三 ㊀ ㉈ 𝟘𝟙𝟚 𝟬 🄀
x² y₁ a①b 1Ⅳ2 Ⅳa
naïve café résumé Ångström Łódź Žižek İstanbul ĳsvogel ﬁﬂ ǅ
cafe\u0301 e\u0301\u0323 a\u030a\u0308\u0327 n\u0303
Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334a\u034b\u0334l\u0307\u0337g\u036d\u0335o\u0300\u0321
Привет, мир! Как дела?
Γειά σου Κόσμε · ἄνθρωπος
שלום עולם שָׁלוֹם
مرحبا بالعالم السَّلامُ عليكم ﷺ
สวัสดีชาวโลก ภาษาไทยไม่มีเว้นวรรค
नमस्ते दुनिया क्ष्म
வணக்கம் உலகம்
မင်္ဂလာပါ ကမ္ဘာ
გამარჯობა Ⴀა Ა
Բարև աշխարհ
你好，世界！这张图片里有什么？
「こんにちは」カタカナ ｶﾀｶﾅ ゞ々〆ー・
안녕하세요 세계 ᄒ\u1161\u11ab
ꓤ ꔀ ꚠ Ꙁ ꬰ ᏣᎳᎩ ᐃᓄᒃ
𐍈 𐤀 𒀀 𓀀 𝕳𝖊𝖑𝖑𝖔 𠀀𠮷 𡃁
😀 😃😄 ❤️ ❤ ☺️ ✌🏽 👍🏿
👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 🏴‍☠️ 🧑‍🤝‍🧑
🇩🇪🇫🇷🇯🇵 🇺🇸a🇬🇧 🏴󠁧󠁢󠁥󠁮󠁧󠁿 1️⃣ #️⃣ *️⃣
a\u200bb\u200cc\u200dd\u2060e\ufefff
\ufeffBOM
\u202eright-to-left\u202c \u2066iso\u2069
a\u00adb\u034fc\u061cd
\u00a0x\u00a0\u00a0y \u00a0 z
a\u2028b\u2029c\u0085d\u3000e\u1680f\u2003g\u202fh\u205fi\u180ej
 \u3000 \u2028\u2028 x\u0085\u0085y
x \u00a0y x\u00a0 y  \u00a0 z
a\r\nb\rc\n\rd\r\n\r\n e
\x0b\x0c\x1c\x1d\x1e\x1f x
\x01\x02\x03\x7f\x80\x9f
\u0600\u06dd\u070f \u2064 \ufff9\ufffa\ufffb \ufffc\ufffd
\ufdd0\ufffe\uffff \U0001fffe\U0010ffff
\ue000\uf8ff\U000f0000\U0010fffd
\u0378\u0379\u038b\U00040000\U000dffff
ﬀ ㎏ ℡ ™ ® © № ℃ ‰ ‱ ※ ¶ §
→ ⇒ ∀x∈ℝ: ∃y ≤ ∞ √2 ≈ 1.414 ∫∂Ω
┌─┐│█▓▒░ ♔♕♖ ♠♥♦♣ ♩♪♫ ☀☁☂
!!!??? ... … --- — – ___ *** ### @@@ ~~~ ``` "" '' «» „“
Hmm...what?!Yes--no;maybe:ok
camelCase snake_case kebab-case SCREAMING_CASE a.b.c 1st 2nd x86_64 H2O
 leading space
trailing space\x20
 both\x20
a b  c   d    e     f
\ta\t\tb\t\t\tc
a \tb\t c \t d\t \te
a\n\nb\n\n\nc \n d\n \ne
\n
\n\n\n
 \n
\n\x20
 \n \n\x20
x \n
x  \n
x\n  y
x   \n   y
   x
   \n
<image>
<image>\nWhat?
</s> <s> <unk> <pad> <|im_start|> <|endoftext>
<|endoftext|
< |endoftext|>
<|ENDOFTEXT|>
<|endoftext|>
<|endoftext|><|endoftext|>
a<|endoftext|>b
  <|endoftext|> \x20
   x<|endoftext|>\t\ty
<<|endoftext|>>
<|endof<|endoftext|>text|>
hi <|endoftext|> there
Answer.<|endoftext|>
[INST] a [/INST] b<|endoftext|>[INST] c [/INST]\x20
Ġ Ċ ĉ Ġhello âĢĻ
#version: 0.2
Supercalifragilisticexpialidocious antidisestablishmentarianism
SolidGoldMagikarp  petertodd  TheNitromeFan
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
====================================================================
................................................................
----------------------------------------------------------------
a\u0000b""".split("\n")

WORDS = """
the a of what is in this image picture describe please colour red blue green how many people are
there can you see cat dog sky left right HTTP foo_bar 42 x' 1999 don't I'll we've she's it'd I'm
you're Ünïcödé straße 北京 東京 서울 Москва Αθήνα القاهرة ירושלים กรุงเทพ 👍 🎉 ❤️ 👩‍👩‍👦 🇪🇺 e\u0301 ½ ٣ Ⅷ
""".split()
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\t\t", "\n\n", " \n", "\r\n"]
SPACES += ["\u00a0", "\u3000", "\u2028", "\u0085"]
MARKS = list(".,!?:;'\"()-/<>|_\u2019\u3002") + ["...", "--"]


def stable(char):
    """Assigned by Unicode 14, or never to be assigned soon, and no surrogate."""
    code = ord(char)
    category = unicodedata.category(char)
    if category == "Cs":
        return False
    return (
        category != "Cn"
        or 0x40000 <= code < 0xE0000
        or code & 0xFFFE == 0xFFFE
        or 0xFDD0 <= code <= 0xFDEF
    )


def random_char(rng):
    while True:
        top = rng.choice([0x80, 0x250, 0x800, 0x3100, 0x10000, 0x20000, 0x110000])
        char = chr(rng.randrange(top))
        if stable(char):
            return char


def of_category(rng, categories):
    while True:
        char = chr(rng.randrange(rng.choice([0x3000, 0x20000])))
        if unicodedata.category(char) in categories:
            return char


def sentence(rng):
    out = []
    for _ in range(rng.randrange(1, 9)):
        out.append(rng.choice(WORDS) + (rng.choice(MARKS) if rng.random() < 0.3 else ""))
        out.append(rng.choice(SPACES) * rng.choice([1, 1, 1, 2, 3]))
    return "".join(out)


def runs():
    for n in range(1, 41):
        yield " " * n
        yield "x" + " " * n + "y"
        yield " " * n + "x"
        yield "x" + " " * n
        yield "\t" * n if n <= 20 else " " * n + "\t" * (n - 20)
        if n <= 20:
            yield "x" + "\t" * n + "y"
            yield "\n" * n
            yield " " * n + "\n" + " " * n + "z"
            yield " " * n + "\t" * n + "\u00a0" * n


def long_words(rng):
    yield "a" * 10240
    yield "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(10240))
    yield "".join(rng.choice(["é", "ß", "日", "x", "م"]) for _ in range(4000))
    yield "1234567890" * 1024
    yield "".join(rng.choice("!?.,;:-_#*+~") for _ in range(10240))
    yield " " * 10240
    yield "\u00a0" * 2000 + "x"
    yield "the " * 2000
    yield "ab" * 3000 + " " + "ba" * 2000


def strings(rng):
    for line in PLAIN:
        yield line.encode("ascii", "backslashreplace").decode("unicode_escape")
    yield ""
    yield "\0"
    yield "\0\0 \0x\0 "
    for code in range(1, 256):
        if code < 0x20 or 0x7F <= code < 0xA1:
            yield f"a{chr(code)}b {chr(code)} c"
    yield from runs()
    for _ in range(260):
        yield sentence(rng)
    for _ in range(200):
        yield "".join(random_char(rng) for _ in range(rng.randrange(1, 16)))
    for categories in ("No", "Nl", "Nd", "Mn Mc Me", "Lm Lo", "Lt Lu Ll", "Cf", "Sm So Sk", "Zs"):
        for _ in range(14):
            chars = [of_category(rng, categories.split()) for _ in range(4)]
            yield f"a{chars[0]} {chars[1]}1{chars[2]}{chars[3]} '{chars[0]}s"
    for _ in range(60):
        data = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 40)))
        yield "".join(c for c in data.decode("utf-8", "replace") if stable(c))
    for _ in range(60):
        yield "".join(
            rng.choice([END, "<|endo", "ft|>", " ", "  ", "\t\t", "x", "<", "\n"])
            for _ in range(rng.randrange(1, 10))
        )
    yield from long_words(rng)


# In hex. Surrogates and pairs of them; stray, overlong; above U+10FFFF; truncated.
REFUSED = """
eda080 edbfbf eda0bdedb880 61eda08062
80 bf c0 c080 c1bf e08080 e09fbf f0808080 f08fbfbf
f4908080 f5808080 f8888080 fc8480808080 fe ff
c3 c328 e28281c0 e282 f09f98 61f09f9862 e2e282ac 68c3c3a9
""".split()


# ---- Results ------------------------------------------------------------------------------------


def text_field(text):
    return {"hex": text.encode().hex()} if "\0" in text else {"text": text}


def random_ids(rng):
    n = rng.randrange(1, 16)
    kind = rng.random()
    if kind < 0.4:
        return [rng.randrange(256) for _ in range(n)]  # single bytes: mostly broken UTF-8
    if kind < 0.7:
        return [rng.randrange(50295) for _ in range(n)]
    return [
        rng.choice([rng.randrange(94, 256), rng.randrange(50295), rng.randrange(50256, 50295)])
        for _ in range(n)
    ]


def main():
    rng = random.Random(2402_11684)
    tokenizer = allava_tokenizer()
    result = {"strings": [], "decode": [], "refused": REFUSED}
    seen = set()
    for text in strings(rng):
        if text in seen:
            continue
        seen.add(text)
        for special in (False, True) if "<|" in text else (False,):
            tokenizer.encode_special_tokens = not special
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            assert tokenizer.decode(ids, skip_special_tokens=False) == text
            result["strings"].append({**text_field(text), "ids": ids, "special": special})
    for _ in range(300):
        ids = random_ids(rng)
        text = tokenizer.decode(ids, skip_special_tokens=False)
        result["decode"].append({"ids": ids, **text_field(text)})
    write_lines(HERE / "tokenization.json", result)


def write_lines(path, result):
    """JSON with one case a line, so that a change can be read."""
    dump = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    fields = []
    for name, value in result.items():
        if isinstance(value, list):
            fields.append(f'"{name}": [\n' + ",\n".join(map(dump, value)) + "\n]")
        else:
            fields.append(f'"{name}": {dump(value)}')
    path.write_text("{" + ",\n".join(fields) + "}\n", encoding="ascii")
    print(
        f"{path.name}: {path.stat().st_size} bytes,",
        ", ".join(f"{len(v)} {k}" for k, v in result.items() if isinstance(v, list)),
    )


if __name__ == "__main__":
    main()
