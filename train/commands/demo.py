"""The whole story on built-in synthetic notes: pretrain, train an ensemble, score, read with `pipeline("ner")`."""

import argparse
import json
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from ..console import help_with_example
from ..recipe_reading import BUILT_IN


EXAMPLE = "clinx demo --out runs/demo"


def main(argv: list[str]) -> None:
    """Runs `clinx demo`."""
    parser = argparse.ArgumentParser(prog="clinx demo", **help_with_example(__doc__, EXAMPLE))
    parser.add_argument("--out", default="runs/demo", metavar="DIR", help="folder for all of it (default: runs/demo)")
    demo(Path(parser.parse_args(argv).out))


def demo(out: Path, pretraining_steps: int = 500) -> dict:
    """Runs the demo in the folder `out`, prints what it does, and returns the ensemble's scores."""
    from transformers.utils import logging  # not above: `--help` answers at once

    logging.set_verbosity_error()
    start, steps = time.time(), iter(range(1, 9))

    def say(text: str) -> None:
        print(f"\n[{next(steps)}, {time.time() - start:.0f} s] {text}", flush=True)

    notes = write_notes(out / "notes", say)
    say(f"Pretraining a tiny encoder by masked language modelling → {out / 'encoder'}")
    encoder, run = pretrain_encoder(out, pretraining_steps), out / "run"
    say("Fine-tuning five token classifiers on random splits (subwords, document context, BIOSE, CRF), which vote")
    train_and_score(out, encoder, run, say)
    say('pipeline("ner", model=…, trust_remote_code=True), in a fresh process that cannot import this project')
    show_entities(run, notes["test"][0].text)
    say(f"Done. Model repo: {run / 'model'}; each member and its curves: {run}/member-1 … 5")
    return json.loads((out / "scores.json").read_text())["pred"]


def write_notes(folder: Path, say: Callable[[str], None]) -> dict:
    """Writes synthetic notes as BRAT, in a folder for each split, and returns them."""
    from ..corpora.formats.brat import write_brat
    from ..corpora.synthetic import ENTITY_TYPES, synthetic_notes

    notes = {"train": synthetic_notes(900, split="train"), "test": synthetic_notes(60, split="validation")}
    say(f"Synthetic Spanish and English notes with {len(ENTITY_TYPES)} entity types → {folder} (BRAT)")
    for split, documents in notes.items():
        for document in documents:
            write_brat(document, folder / split)
        mentions = sum(len(document.entities) for document in documents)
        print(f"    {split}: {len(documents)} notes, {mentions} mentions")
    print("    test notes name people, drugs and places that training never saw")
    return notes


def pretrain_encoder(out: Path, steps: int) -> Path:
    """Pretrains on synthetic notes by the very command that a user gives, and returns the encoder's model repo."""
    from ..corpora.formats.jsonl import write_jsonl
    from ..corpora.synthetic import synthetic_notes
    from . import pretrain

    texts, run = out / "texts.jsonl", out / "encoder"
    if not texts.exists():
        write_jsonl(synthetic_notes(2500, seed=1, split="train"), texts)
    settings = {"train": texts, "output_dir": run, "max_steps": steps}
    overrides = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    pretrain.main([str(BUILT_IN / "demo-encoder.yaml"), *overrides])
    return run / "model"


def train_and_score(out: Path, encoder: Path, run: Path, say: Callable[[str], None]) -> None:
    """Trains, predicts and scores by the very commands that a user gives."""
    from . import finetune, predict, score

    settings = {"encoder": encoder, "output_dir": run} | {split: out / "notes" / split for split in ("train", "test")}
    overrides = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    finetune.main([str(BUILT_IN / "demo.yaml"), *overrides])
    command = ["--model", run / "model", "--input", out / "notes/test", "--output", out / "predictions"]
    command = [*map(str, command), "--disagreement"]
    say(f"clinx predict {' '.join(command)}")
    predict.main(command)
    command = [str(part) for part in ("--gold", out / "notes/test", "--pred", out / "predictions")]
    say(f"clinx score {' '.join(command)}")
    score.main([*command, "--json", str(out / "scores.json")])


def show_entities(run: Path, text: str) -> None:
    """Prints what a stranger's process finds in a note."""
    from hub_cards.verify import find_entities_in_fresh_process

    entities = find_entities_in_fresh_process(run / "model", text)
    print(textwrap.indent("\n".join(text.splitlines()[:8]), "    | "))
    for entity in entities[:10]:
        where = f"{entity['start']:4}–{entity['end']:<4}"
        sure = f"{entity['score']:.3f}  {5 * entity['agreement']:.0f} of 5"
        print(f"    {entity['entity_group']:15} {sure}  {where} {entity['word']!r}")
