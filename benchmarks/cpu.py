"""Ways to read faster on a CPU, beside float32 as it is: number formats, runtimes, batch sizes, less context.

One model that was fine-tuned before reads the same real notes in every way. Speed: the ways take turns. F1: on further
notes, once each.
"""

import copy
import tempfile
import warnings
from functools import partial
from itertools import islice
from pathlib import Path

import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from report import arguments, finish, interleaved
from torch import nn
from transformers import AutoTokenizer

from clinx.corpora import read_corpus
from clinx.scoring.evaluation import evaluate_documents
from modeling_clinx import ClinXForTokenClassification, DocumentPredictor


BASE = "float32, batches of 16 windows"


class FixedBatches(DocumentPredictor):
    """Reads batches of the size that is asked for, on a CPU too."""

    def windows_at_a_time(self) -> int:
        return self.batch_size


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", required=True, help="folder of a fine-tuned model")
    parser.add_argument("--gold", required=True, metavar="PATH", help="annotated notes that it has not seen")
    parser.add_argument("--notes", type=int, default=10, help="the first N for the timings")
    parser.add_argument("--judged", type=int, default=100, help="the first N for strict F1")
    parser.set_defaults(repeats=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", module="torch|onnx")

    gold = list(islice(read_corpus(args.gold), args.judged))
    texts = [document.text for document in gold[: args.notes]]
    with tempfile.TemporaryDirectory() as folder:
        ways = ways_to_read(args.model, Path(folder), args.threads)
        seconds = interleaved({name: partial(read, way, texts) for name, way in ways.items()}, args.repeats)
        judged = [name for name in ways if name == BASE or "batches" not in name]  # whose size changes nothing
        f1 = {name: evaluate_documents(gold, ways[name]).scores["f1"] for name in judged}
    rows, result = [], {}
    for name in ways:
        faster = seconds[BASE] / seconds[name]
        result[name] = {"documents_per_second": len(texts) / seconds[name], "faster": faster}
        row = f"{faster:.2f} times as fast"
        if name in f1:
            result[name]["f1"] = f1[name]
            row += f", strict F1 {100 * f1[name]:.2f}"
        rows.append((name, row))
    finish("cpu", {"notes": len(texts), "judged_notes": len(gold), "ways": result}, rows, args.out)


def read(predictor: DocumentPredictor, texts: list[str]) -> None:
    list(predictor(texts))


def ways_to_read(folder: str, work: Path, threads: int) -> dict[str, DocumentPredictor]:
    """Predictors of the same model."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = ClinXForTokenClassification.from_pretrained(folder).eval()

    def predictor(batch_size: int = 16, **settings) -> DocumentPredictor:
        other = copy.deepcopy(model)
        other.config.update(settings)
        return FixedBatches(other, tokenizer, batch_size)

    ways = {BASE: predictor()} | {f"batches of {size}": predictor(size) for size in (4, 2, 1)}
    ways |= {f"context of {size}": predictor(context_size=size) for size in (50, 25)}
    for name, size in (("bfloat16", 16), ("bfloat16, batches of 2", 2)):
        ways[name] = predictor(size)
        ways[name].model.encoder.to(torch.bfloat16)
    ways["torch, int8"] = predictor()
    encoder = ways["torch, int8"].model.encoder
    torch.ao.quantization.quantize_dynamic(encoder, {nn.Linear}, dtype=torch.qint8, inplace=True)
    exported, quantized = work / "emissions.onnx", work / "int8.onnx"
    export(model, tokenizer, exported)
    quantize_dynamic(
        exported, quantized, per_channel=True, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"]
    )
    for name, file, size in (
        ("ONNX, float32", exported, 16),
        ("ONNX, int8", quantized, 16),
        ("ONNX, int8, batches of 2", quantized, 2),
    ):
        ways[name] = predictor(size)
        ways[name].model.compute_emissions = emissions_by_onnx(file, threads)
    return ways


def export(model, tokenizer, file: Path) -> None:
    """Writes the encoder with the emission layer."""
    model = copy.deepcopy(model)
    model.forward = model.compute_emissions
    encoded = tokenizer(["Toma dos.", "No."], padding=True, return_tensors="pt")
    shape = {0: torch.export.Dim("windows"), 1: torch.export.Dim("subwords", max=model.config.window_length)}
    torch.onnx.export(
        model,
        (encoded["input_ids"], encoded["attention_mask"]),
        dynamo=True,
        dynamic_shapes=(shape, shape),
        input_names=["input_ids", "attention_mask"],
        output_names=["emissions"],
        verbose=False,
    ).save(file)


def emissions_by_onnx(file: Path, threads: int):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options)

    def compute_emissions(input_ids, attention_mask):
        inputs = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        return torch.from_numpy(session.run(None, inputs)[0])

    return compute_emissions


if __name__ == "__main__":
    main()
