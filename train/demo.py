"""The whole story on built-in synthetic notes: pretrain, train an ensemble, score, read with `pipeline("ner")`."""

import argparse
import json
import textwrap
import time
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    set_seed,
)
from transformers.utils import logging

from hub_cards.repo import save_tokenizer
from hub_cards.verify import find_entities_in_fresh_process

from . import finetune, predict, score
from .corpora.brat import write_brat
from .synthetic import ENTITY_TYPES, synthetic_notes


def train_tokenizer(texts: list[str], vocab_size: int = 600) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer as XLM-R has it; punctuation and digits are split off, so that no piece crosses a mention."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    splits = [pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), *splits])
    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    mask = AddedToken("<mask>", lstrip=True, special=True)
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=[*special.values(), mask], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **special,
        cls_token="<s>",
        sep_token="</s>",
        mask_token=mask,
        model_max_length=512,
    )


def pretrain(folder: Path, texts: list[str], steps: int) -> None:
    """Trains a tokenizer and a tiny masked language model on texts, and writes both to `folder`."""
    set_seed(0)
    tokenizer = train_tokenizer(texts)
    ids = tokenizer("\n".join(texts), add_special_tokens=False, verbose=False)["input_ids"]
    chunks = [{"input_ids": [0, *ids[i : i + 126], 2]} for i in range(0, len(ids) - 126, 126)]
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=514,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        type_vocab_size=1,
        initializer_range=0.08,  # near 1 / sqrt(width): with the 0.02 of large models it learns little at first
    )
    args = TrainingArguments(
        output_dir=str(folder.with_name("pretraining")),
        per_device_train_batch_size=16,
        max_steps=steps,
        learning_rate=2e-3,
        lr_scheduler_type="linear",
        warmup_steps=steps // 10,
        logging_steps=steps // 4,
        save_strategy="no",
        dataloader_pin_memory=False,
        report_to="none",
    )
    model = XLMRobertaForMaskedLM(config)
    Trainer(model, args, DataCollatorForLanguageModeling(tokenizer), chunks, processing_class=tokenizer).train()
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)


def demo(out: Path, pretraining_steps: int = 500) -> dict:
    """Runs the demo in the folder `out`, prints what it does, and returns the ensemble's scores."""
    start = time.time()
    logging.set_verbosity_error()
    step = iter(range(1, 9))

    def say(text: str):
        print(f"\n[{next(step)}, {time.time() - start:.0f} s] {text}", flush=True)

    notes = {"train": synthetic_notes(300, split="train"), "test": synthetic_notes(60, split="validation")}
    say(f"Synthetic Spanish and English notes with {len(ENTITY_TYPES)} entity types → {out / 'notes'} (BRAT)")
    for split, documents in notes.items():
        for document in documents:
            write_brat(document, out / "notes" / split)
        mentions = sum(len(document.entities) for document in documents)
        print(f"    {split}: {len(documents)} notes, {mentions} mentions")
    print("    test notes name people, drugs and places that training never saw")

    encoder, run = out / "encoder", out / "run"
    if not (encoder / "model.safetensors").exists():
        say(f"Pretraining a tiny encoder by masked language modelling → {encoder}")
        pretrain(encoder, [note.text for note in synthetic_notes(2500, seed=1, split="train")], pretraining_steps)

    say("Fine-tuning five token classifiers on random splits (subwords, document context, BIOSE, CRF), which vote")
    settings = {"encoder": encoder, "output_dir": run} | {split: out / "notes" / split for split in notes}
    overrides = [text for key, value in settings.items() for text in (f"--{key}", str(value))]
    finetune.main([str(Path(__file__).with_name("recipes") / "demo.yaml"), *overrides])

    command = ["--model", run / "model", "--input", out / "notes/test", "--output", out / "predictions"]
    say(f"clinx predict {' '.join(map(str, command))} --disagreement")
    predict.main([*map(str, command), "--disagreement"])
    command = ["--gold", out / "notes/test", "--pred", out / "predictions"]
    say(f"clinx score {' '.join(map(str, command))}")
    scores = out / "scores.json"
    score.main([*map(str, command), "--json", str(scores)])

    say('pipeline("ner", model=…, trust_remote_code=True), in a fresh process that cannot import this project')
    note = notes["test"][0]
    found = find_entities_in_fresh_process(run / "model", note.text)
    print(textwrap.indent("\n".join(note.text.splitlines()[:8]), "    | "))
    for entity in found[:10]:
        where = f"{entity['start']:4}–{entity['end']:<4}"
        sure = f"{entity['score']:.3f}  {5 * entity['agreement']:.0f} of 5"
        print(f"    {entity['entity_group']:15} {sure}  {where} {entity['word']!r}")
    say(f"Done. Model repo: {run / 'model'}; each member and its curves: {run}/member-1 … 5")
    return json.loads(scores.read_text())["pred"]


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="clinx demo", description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="runs/demo", metavar="DIR", help="folder for all of it (default: runs/demo)")
    demo(Path(parser.parse_args(argv).out))
