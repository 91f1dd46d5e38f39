"""What five members cost beside one, end to end on real notes, and what loading them reads from disk.

Real notes (`meddocan/dev`) and the ensemble of `clinx finetune … --splits 5`. Both sides tokenize, window, decode and
score; the ensemble also votes. `encoders` is the members' forward pass alone, one after another and together
(`torch.func.stack_module_state` and `vmap`), on the first batch of windows.
"""

import copy
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from report import arguments, finish, interleaved
from throughput import encoder_batches
from transformers import AutoTokenizer

from clinx.corpora import read_corpus
from modeling_clinx import ClinXEnsembleForTokenClassification, DocumentPredictor


LOADING = """
import json, sys, time
import torch
from modeling_clinx import ClinXEnsembleForTokenClassification
counters = lambda: {k: int(v) for k, v in (line.split(":") for line in open("/proc/self/io"))}
before, start = counters(), time.perf_counter()
model = ClinXEnsembleForTokenClassification.from_pretrained(sys.argv[1])
sum(float(p.sum()) for p in model.parameters())
after = counters()
print(json.dumps({"seconds": time.perf_counter() - start} | {k: after[k] - before[k] for k in ("rchar", "read_bytes")}))
"""


def bytes_read(folder: Path) -> dict:
    """What a fresh process reads from disk and through system calls, to load the ensemble and look at every weight."""
    for file in folder.glob("*.safetensors"):  # out of the page cache
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    done = subprocess.run([sys.executable, "-c", LOADING, str(folder)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def read(predictor: DocumentPredictor, texts: list[str]) -> list:
    return list(predictor(texts))


def together(ensemble, ids, attention):
    """A function that runs the stacked encoders on the same windows at once."""
    encoders = [member.encoder for member in ensemble.members]
    parameters, buffers = torch.func.stack_module_state(encoders)
    skeleton = copy.deepcopy(encoders[0]).to("meta")

    def one(parameters, buffers):
        return torch.func.functional_call(skeleton, (parameters, buffers), (ids,), {"attention_mask": attention})[0]

    return lambda: torch.vmap(one, randomness="different")(parameters, buffers)


@torch.inference_mode()
def main():
    parser = arguments(__doc__)
    parser.add_argument("--model", required=True, help="folder of an ensemble fine-tuned on MEDDOCAN")
    parser.add_argument("--members", required=True, nargs="+", help="the folders of its members' models")
    parser.add_argument("--corpora", default=os.environ.get("CLINX_CORPORA", "../shared/corpora"))
    parser.add_argument("--notes", type=int, default=20, help="notes of meddocan/dev")
    parser.set_defaults(repeats=7, threads=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    loading = bytes_read(Path(args.model))
    on_disk = sum((Path(member) / "model.safetensors").stat().st_size for member in args.members)
    texts = [d.text for d in sorted(read_corpus(Path(args.corpora, "meddocan", "dev")), key=lambda d: d.id)]
    texts = texts[: args.notes]
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    ensemble = ClinXEnsembleForTokenClassification.from_pretrained(args.model).to(args.device).eval()
    n_members, one = len(ensemble.members), ensemble.members[0]
    sides = {
        name: partial(read, DocumentPredictor(model, tokenizer), texts)
        for name, model in (("one", one), ("ensemble", ensemble))
    }
    seconds = interleaved(sides, args.repeats, args.device)
    ids, attention, _ = next(encoder_batches(one, tokenizer, texts, batch_size=4))
    ids, attention = ids.to(args.device), attention.to(args.device)
    sides = {"one by one": lambda: [m.encoder(ids, attention_mask=attention) for m in ensemble.members]}
    encoders = interleaved(sides | {"together": together(ensemble, ids, attention)}, args.repeats, args.device)

    ratio, loaded = seconds["ensemble"] / seconds["one"], loading["read_bytes"]
    if loaded < on_disk:
        raise SystemExit("the files could not be dropped from the page cache, so what loading reads is not known")
    result = {
        "members": n_members,
        "notes": len(texts),
        "seconds_per_note": {name: round(value / len(texts), 4) for name, value in seconds.items()},
        "ensemble_of_one": round(ratio, 3),
        "encoders_ms": {name: round(1e3 * value, 1) for name, value in encoders.items()},
        "together_of_one_by_one": round(encoders["together"] / encoders["one by one"], 3),
        "loading": {**loading, "members_bytes": on_disk, "read_of_members": round(loaded / on_disk, 3)},
    }
    rows = [
        ("one member", f"{1e3 * seconds['one'] / len(texts):.0f} ms a note"),
        ("ensemble", f"{1e3 * seconds['ensemble'] / len(texts):.0f} ms a note: {ratio:.2f} times one member's"),
        ("encoders together", f"{result['together_of_one_by_one']:.2f} of the time one by one"),
        ("loading", f"{loaded / 1e6:.0f} MB read, {loaded / on_disk:.2f} times the members' {on_disk / 1e6:.0f} MB"),
    ]
    finish("ensemble", result, rows, args.out, args.device)


if __name__ == "__main__":
    main()
