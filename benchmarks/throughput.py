"""What document reading costs beside the bare encoder, packed beside sentence windows, and the CRF in a training step.

Real notes (`meddocan/dev`) and a model repo that was fine-tuned on MEDDOCAN.
"""

import os
from itertools import islice
from pathlib import Path

import torch
from report import arguments, finish, interleaved
from transformers import AutoTokenizer, pipeline

from clinx.corpora import read_corpus
from clinx.finetuning.batches import WindowCollator
from clinx.finetuning.windows import TrainingWindows
from clinx.scoring.evaluation import evaluate_documents
from modeling_clinx import ClinXForTokenClassification, ClinXPipeline
from modeling_clinx.prediction_clinx import DocumentPredictor
from modeling_clinx.windows_clinx import tokenize


def encoder_batches(model, tokenizer, texts, batch_size=16):
    """The very batches that the predictor makes of these texts: lists of windows, in the same order and grouping."""
    predictor = DocumentPredictor(model, tokenizer, batch_size)
    remaining = iter(texts)
    while texts_ahead := list(predictor.read_ahead(remaining)):
        for batch in predictor.window_batches(texts_ahead, tokenize(tokenizer, texts_ahead)):
            yield batch.input_ids, batch.attention_mask, int(batch.attention_mask.sum())


def main():
    parser = arguments(__doc__)
    parser.add_argument("--model", required=True, help="folder of a model fine-tuned on MEDDOCAN")
    parser.add_argument("--corpora", default=os.environ.get("CLINX_CORPORA", "../shared/corpora"))
    parser.add_argument("--notes", type=int, default=20, help="notes of meddocan/dev for the timings")
    parser.add_argument("--judged", type=int, default=100, help="notes of meddocan/dev for the two strict F1")
    parser.set_defaults(repeats=5, threads=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dev = sorted(read_corpus(Path(args.corpora, "meddocan", "dev")), key=lambda d: d.id)
    notes = dev[: args.notes]
    texts = [note.text for note in notes]
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = ClinXForTokenClassification.from_pretrained(args.model).to(args.device).eval()
    ner = pipeline("ner", model=model, tokenizer=tokenizer, pipeline_class=ClinXPipeline, device=args.device)
    batches = list(encoder_batches(model, tokenizer, texts))
    subwords = int(sum(count for _, _, count in batches))

    @torch.inference_mode()
    def bare_encoder():
        for ids, attention, _ in batches:
            model.encoder(ids.to(args.device), attention_mask=attention.to(args.device))

    reading = interleaved({"encoder": bare_encoder, "pipeline": lambda: ner(texts)}, args.repeats, args.device)

    def read_as(segmentation):
        def run():
            model.config.segmentation = segmentation
            ner(texts)

        return run

    by_segmentation = interleaved(
        {name: read_as(name) for name in ("packed", "sentence")}, min(3, args.repeats), args.device
    )
    f1, judged = {}, dev[: args.judged]
    for name in ("packed", "sentence"):
        model.config.segmentation = name
        f1[name] = evaluate_documents(judged, DocumentPredictor(model, tokenizer)).scores["f1"]
    model.config.segmentation = "packed"

    # A training step (forward, backward, AdamW) on the same windows, with the CRF and with a linear head.
    train = islice(read_corpus(Path(args.corpora, "meddocan", "train")), 8)
    features = TrainingWindows(train, tokenizer, model.config).features
    batch = WindowCollator(tokenizer.pad_token_id)(sorted(features, key=lambda f: -len(f["input_ids"]))[:8])
    batch = {name: tensor.to(args.device) for name, tensor in batch.items()}

    def training_step(head):
        config = model.config.__class__.from_dict({**model.config.to_dict(), "head": head})
        network = ClinXForTokenClassification(config).to(args.device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)

        def run():
            network(**batch).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return run

    steps = interleaved({head: training_step(head) for head in ("linear", "crf")}, 2 * args.repeats, args.device)
    ratio = reading["encoder"] / reading["pipeline"]
    speedup = by_segmentation["sentence"] / by_segmentation["packed"]
    overhead = steps["crf"] / steps["linear"] - 1
    result = {
        "notes": len(notes),
        "window_subwords": subwords,
        "subwords_per_second": {name: round(subwords / seconds) for name, seconds in reading.items()},
        "pipeline_of_encoder": round(ratio, 3),
        "documents_per_second": {name: round(len(notes) / s, 2) for name, s in by_segmentation.items()},
        "packed_of_sentence": round(speedup, 2),
        "judged_notes": len(judged),
        "strict_f1": {name: round(value, 4) for name, value in f1.items()},
        "training_step_ms": {name: round(1e3 * s, 1) for name, s in steps.items()},
        "crf_overhead": round(overhead, 3),
    }
    rows = [
        ("bare encoder", f"{subwords / reading['encoder']:,.0f} subwords/s"),
        ("pipeline", f"{subwords / reading['pipeline']:,.0f} subwords/s, {ratio:.2f} of the encoder's"),
        (
            "packed windows",
            f"{len(notes) / by_segmentation['packed']:.2f} documents/s, {speedup:.1f} times sentence windows",
        ),
        (f"strict F1 on {len(judged)} notes", ", ".join(f"{name} {100 * value:.2f} %" for name, value in f1.items())),
        (
            "training step",
            f"CRF {1e3 * steps['crf']:.0f} ms, linear {1e3 * steps['linear']:.0f} ms: {100 * overhead:+.1f} %",
        ),
    ]
    finish("throughput", result, rows, args.out, args.device)


if __name__ == "__main__":
    main()
