"""How fast do texts become blocks, beside their tokenizer alone? How much memory does it take, and what of planted near
copies is found?"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import arguments, finish
from transformers import AutoTokenizer

from clinx.pretraining.blocks import BATCH, prepare_blocks
from clinx.pretraining.filters import SHINGLE, NearDuplicates
from clinx.pretraining.recipe import PretrainingRecipe
from clinx.pretraining.texts import read_texts


THRESHOLD = 0.8
CHANGED_WORDS = (1, 2, 4, 6, 8, 12, 20)  # of 300; their Jaccard index goes from 0.97 to 0.5
PREPARE = """
import sys
from transformers import AutoTokenizer
from pathlib import Path
from clinx.pretraining.blocks import prepare_blocks
from clinx.pretraining.recipe import PretrainingRecipe
recipe = PretrainingRecipe(model=sys.argv[1], train=[sys.argv[2]], seed=0)
prepare_blocks(recipe, AutoTokenizer.from_pretrained(sys.argv[1]), Path(sys.argv[3]))
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


def peak_memory(model: str, corpus: Path, folder: Path) -> float:
    """MiB that a fresh process takes at most to prepare the blocks of a corpus."""
    done = subprocess.run(
        [sys.executable, "-c", PREPARE, model, corpus, folder], capture_output=True, text=True, check=True
    )
    return int(done.stdout.split()[-1]) / 1024


def tokenizer_alone(tokenizer, corpus: Path) -> float:
    """Seconds that the tokenizer takes for the texts, as many at a time as when blocks are made."""
    seconds, texts, size = 0.0, [], 0
    for _, text in [*read_texts([str(corpus)]), ("", None)]:
        if text is not None:
            texts.append(text)
            size += len(text)
        if size >= BATCH or (text is None and texts):
            start = time.perf_counter()
            tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
            seconds += time.perf_counter() - start
            texts, size = [], 0
    return seconds


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--corpora", default=os.environ.get("CLINX_CORPORA", "../shared/corpora"))
    parser.add_argument("--models", default=os.environ.get("CLINX_MODELS", "../shared/models"))
    parser.add_argument("--megabytes", type=float, default=200, help="size of the made-up corpus (2000: an hour)")
    args = parser.parse_args()
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)
    source = Path(args.corpora, "pretraining-es", "notes.jsonl.gz")
    model = str(Path(args.models, "clin-x-es-mini"))
    tokenizer = AutoTokenizer.from_pretrained(model)
    with tempfile.TemporaryDirectory() as folder:
        corpus = made_up(source, args.megabytes, Path(folder, "texts.jsonl"))
        quarter = made_up(source, args.megabytes / 4, Path(folder, "quarter.jsonl"))
        recipe = PretrainingRecipe(model=model, train=[str(corpus)], seed=0)
        start = time.perf_counter()
        blocks = prepare_blocks(recipe, tokenizer, Path(folder, "blocks"))
        seconds = time.perf_counter() - start
        alone = tokenizer_alone(tokenizer, corpus)
        start = time.perf_counter()
        order = random.Random(0).sample(range(len(blocks.train)), min(20_000, len(blocks.train)))
        n_read = sum(len(blocks.train[i]["input_ids"]) for i in order)
        reading = time.perf_counter() - start
        memory = {
            size: peak_memory(model, path, Path(folder, f"blocks-{size}"))
            for size, path in ((args.megabytes / 4, quarter), (args.megabytes, corpus))
        }
    subwords = blocks.report["train_subwords"] + blocks.report["validation_subwords"]
    result = {
        "megabytes": args.megabytes,
        "documents": blocks.report["documents_read"],
        "subwords": subwords,
        "subwords_per_second": round(subwords / seconds),
        "tokenizer_alone_subwords_per_second": round(subwords / alone),
        "times_the_tokenizer_alone": round(seconds / alone, 2),
        "reading_subwords_per_second": round(n_read / reading),
        "mean_fill": blocks.report["train_mean_fill"],
        "peak_mib": {f"{size:g} MB": round(peak) for size, peak in memory.items()},
        "near_duplicates": planted(source, 2000),
    }
    near = result["near_duplicates"]
    rows = [
        (
            f"{args.megabytes:g} MB, {result['documents']:,} documents",
            f"{result['subwords_per_second']:,} subwords a second, {result['times_the_tokenizer_alone']:.2f} times "
            f"the time of the tokenizer alone ({result['tokenizer_alone_subwords_per_second']:,})",
        ),
        ("blocks in any order", f"{result['reading_subwords_per_second']:,} subwords a second"),
        ("most memory", ", ".join(f"{size}: {peak:,} MiB" for size, peak in result["peak_mib"].items())),
        (
            f"near copies ({near['copies']:,}), Jaccard from {THRESHOLD}",
            f"recall {near['recall']:.1%} ({near['recall_from_0.9']:.1%} from 0.9), precision {near['precision']:.1%} "
            f"({near['left_out_below_0.7']:.1%} of those below 0.7 are left out)",
        ),
    ]
    finish("pretraining", result, rows, args.out)


if __name__ == "__main__":
    main()
