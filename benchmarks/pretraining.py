"""How fast do texts become blocks, beside their tokenizer alone and beside a model that learns from them? How much
memory does a corpus take, and how much a tenth of it? What of planted near copies is found?"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from report import arguments, finish
from transformers import AutoTokenizer

from clinx.pretraining.blocks import BATCH, Blocks, prepare_blocks
from clinx.pretraining.filters import SHINGLE, NearDuplicates
from clinx.pretraining.recipe import PretrainingRecipe
from clinx.pretraining.texts import read_texts


THRESHOLD = 0.8
CHANGED_WORDS = (1, 2, 4, 6, 8, 12, 20)  # of 300; their Jaccard index goes from 0.97 to 0.5
PREPARE = """
import sys, time
from transformers import AutoTokenizer
from pathlib import Path
from clinx.pretraining.blocks import prepare_blocks
from clinx.pretraining.recipe import PretrainingRecipe
recipe = PretrainingRecipe(model=sys.argv[1], train=[sys.argv[2]], seed=0)
tokenizer, start = AutoTokenizer.from_pretrained(sys.argv[1]), time.perf_counter()
prepare_blocks(recipe, tokenizer, Path(sys.argv[3]))
print(time.perf_counter() - start)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))  # KiB
"""


def made_up(source: Path, megabytes: float, path: Path) -> Path:
    """A corpus of documents that mix sentences of real ones, no two of them near each other."""
    rng, sentences = random.Random(0), []
    for _, text in read_texts([str(source)]):
        sentences += [sentence for sentence in text.split(". ") if sentence.strip()]
    size = 0
    with open(path, "w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            text = ". ".join(rng.choices(sentences, k=rng.randint(5, 40)))
            size += len(text.encode())
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return path


def jaccard(left: list[str], right: list[str]) -> float:
    sets = [{tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)} for words in (left, right)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def planted(source: Path, n: int) -> dict:
    """What is found of near copies of real documents, of which some words are others."""
    rng, near = random.Random(0), NearDuplicates(THRESHOLD)
    documents = [words for _, text in read_texts([str(source)]) if len(words := text.lower().split()) >= 300]
    documents = [words[:300] for words in documents if near.add(" ".join(words[:300]))][:n]
    vocabulary = sorted({word for words in documents for word in words})
    copies = []
    for number, words in enumerate(documents):
        copy = list(words)
        for place in rng.sample(range(300), CHANGED_WORDS[number % len(CHANGED_WORDS)]):
            copy[place] = rng.choice(vocabulary)
        copies.append((jaccard(words, copy), copy))
    found = []
    for index, copy in copies:
        alone = NearDuplicates(THRESHOLD)  # else copies of copies would count
        alone.add(" ".join(documents[len(found)]))
        found.append((index, not alone.add(" ".join(copy))))
    are_near = [is_found for index, is_found in found if index >= THRESHOLD]
    left_out = [index >= THRESHOLD for index, is_found in found if is_found]
    far = [is_found for index, is_found in found if index < THRESHOLD - 0.1]
    clear = [is_found for index, is_found in found if index >= THRESHOLD + 0.1]
    return {
        "copies": len(found),
        "recall": round(sum(are_near) / len(are_near), 4),
        "precision": round(sum(left_out) / len(left_out), 4),
        "recall_from_0.9": round(sum(clear) / len(clear), 4),
        "left_out_below_0.7": round(sum(far) / len(far), 4),
    }


class Preparation(NamedTuple):
    """What a fresh process took to make the blocks of a corpus."""

    blocks: Blocks
    subwords: int
    seconds: float
    peak_mib: float


def prepared(tokenizer, corpus: Path) -> Preparation:
    model, folder = tokenizer.name_or_path, corpus.with_suffix("")
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, model, corpus, folder], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds, peak = map(float, done.stdout.split()[-2:])
    recipe = PretrainingRecipe(model=model, train=[str(corpus)], seed=0)
    blocks = prepare_blocks(recipe, tokenizer, folder)  # finds them there
    subwords = blocks.report["train_subwords"] + blocks.report["validation_subwords"]
    return Preparation(blocks, subwords, seconds, peak / 1024)


def tokenizer_alone(tokenizer, corpus: Path) -> float:
    """Seconds that the tokenizer takes for the texts, as many at a time as when blocks are made."""
    seconds, texts, size = 0.0, [], 0
    for _, text in chain(read_texts([str(corpus)]), [("", None)]):
        if text is not None:
            texts.append(text)
            size += len(text)
        if size >= BATCH or (text is None and texts):
            start = time.perf_counter()
            tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
            seconds += time.perf_counter() - start
            texts, size = [], 0
    return seconds


def reading(blocks: Blocks) -> float:
    """Subwords a second of blocks in any order."""
    order = random.Random(0).sample(range(len(blocks.train)), min(20_000, len(blocks.train)))
    start = time.perf_counter()
    n_read = sum(len(blocks.train[i]["input_ids"]) for i in order)
    return n_read / (time.perf_counter() - start)


def measured(source: Path, tokenizer, megabytes: float, folder: Path) -> dict:
    """Figures of a made-up corpus and of its first tenth, each of which is prepared once."""
    sizes = {f"{size:g} MB": size for size in (megabytes / 10, megabytes)}
    preparations = {}
    for name, size in sizes.items():
        print(f"making up {name} of texts", file=sys.stderr)
        corpus = made_up(source, size, folder / f"{size:g}mb.jsonl")
        print(f"preparing {name}", file=sys.stderr)
        preparations[name] = prepared(tokenizer, corpus)
        if size < megabytes:
            print(f"tokenizing {name}", file=sys.stderr)
            alone = tokenizer_alone(tokenizer, corpus)
    tenth, whole = preparations.values()
    return {
        "megabytes": megabytes,
        "documents": whole.blocks.report["documents_read"],
        "subwords": whole.subwords,
        "subwords_per_second": round(whole.subwords / whole.seconds),
        "tenth_subwords_per_second": round(tenth.subwords / tenth.seconds),
        "tokenizer_alone_subwords_per_second": round(tenth.subwords / alone),
        "times_the_tokenizer_alone": round(tenth.seconds / alone, 2),
        "reading_subwords_per_second": round(reading(whole.blocks)),
        "mean_fill": whole.blocks.report["train_mean_fill"],
        "peak_mib": {name: round(preparation.peak_mib) for name, preparation in preparations.items()},
        "peak_of_whole_by_tenth": round(whole.peak_mib / tenth.peak_mib, 3),
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--corpora", default=os.environ.get("CLINX_CORPORA", "../shared/corpora"))
    parser.add_argument("--models", default=os.environ.get("CLINX_MODELS", "../shared/models"))
    parser.add_argument("--megabytes", type=float, default=200, help="size of the made-up corpus (2000: an hour)")
    parser.add_argument("--consumed", type=float, metavar="N", help="subwords a second that a model learns from")
    args = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    source = Path(args.corpora, "pretraining-es", "notes.jsonl.gz")
    tokenizer = AutoTokenizer.from_pretrained(str(Path(args.models, "clin-x-es-mini")))
    with tempfile.TemporaryDirectory() as folder:
        result = measured(source, tokenizer, args.megabytes, Path(folder))
    print("finding planted near copies", file=sys.stderr)
    result["near_duplicates"] = near = planted(source, 2000)
    rows = [
        (
            f"{args.megabytes:g} MB, {result['documents']:,} documents",
            f"{result['subwords_per_second']:,} subwords a second",
        ),
        (
            f"its first tenth, {args.megabytes / 10:g} MB",
            f"{result['tenth_subwords_per_second']:,} subwords a second, {result['times_the_tokenizer_alone']:.2f} "
            f"times the time of the tokenizer alone ({result['tokenizer_alone_subwords_per_second']:,})",
        ),
        ("blocks in any order", f"{result['reading_subwords_per_second']:,} subwords a second"),
        (
            "most memory",
            ", ".join(f"{size}: {peak:,} MiB" for size, peak in result["peak_mib"].items())
            + f" ({result['peak_of_whole_by_tenth']:.2f} times)",
        ),
        (
            f"near copies ({near['copies']:,}), Jaccard from {THRESHOLD}",
            f"recall {near['recall']:.1%} ({near['recall_from_0.9']:.1%} from 0.9), precision {near['precision']:.1%} "
            f"({near['left_out_below_0.7']:.1%} of those below 0.7 are left out)",
        ),
    ]
    if args.consumed:
        result["consumed_subwords_per_second"] = args.consumed
        result["times_the_model"] = round(result["subwords_per_second"] / args.consumed, 1)
        rows.append((f"a model that learns from {args.consumed:,.0f} a second", f"{result['times_the_model']:g} times"))
    finish("pretraining", result, rows, args.out)


if __name__ == "__main__":
    main()
