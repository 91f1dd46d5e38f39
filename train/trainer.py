"""The Hugging Face Trainer with this project's batches, one-cycle schedule, and strict F1 on whole documents."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from accelerate.utils import gather_object
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import Trainer, TrainerCallback

from modeling_clinx.prediction_clinx import DocumentPredictor

from .distill import distillation_loss
from .documents import Document, Entity
from .errors import InputError
from .features import SubwordBatchSampler, WindowCollator
from .score import score


def predicted(documents: Sequence[Document], predictions) -> list[Document]:
    """The documents with what a `DocumentPredictor` found in place of their entities."""
    return [
        Document(document.id, document.text, entities_of(found))
        for document, found in zip(documents, predictions, strict=True)
    ]


def entities_of(prediction) -> list[Entity]:
    return [Entity(span.start, span.end, span.label, span.score, span.agreement) for span in prediction.rows()]


class ClinXTrainer(Trainer):
    """Trains on windows and evaluates on documents.

    Args:
        validation: annotated documents; `evaluate` runs the document predictor on them, under several processes each
            on its share.
        batch_subwords: labelled subwords in a batch of one process.
        one_cycle: the one-cycle schedule (Smith 2018) rather than `lr_scheduler_type`.
        head_learning_rate: of classifier and CRF, where it differs from `learning_rate`.
    """

    def __init__(
        self, *, processing_class, validation, batch_subwords, one_cycle=True, head_learning_rate=None, **kwargs
    ):
        collator = WindowCollator(processing_class.pad_token_id or 0, len(kwargs["model"].crf.tags))
        super().__init__(**kwargs, processing_class=processing_class, eval_dataset=validation, data_collator=collator)
        self.batch_subwords, self.one_cycle, self.head_learning_rate = batch_subwords, one_cycle, head_learning_rate

    def get_train_dataloader(self) -> DataLoader:
        sizes = [int((feature["labels"] >= 0).sum()) for feature in self.train_dataset]
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        sampler = SubwordBatchSampler(sizes, self.batch_subwords, seed, multiple_of=self.args.world_size)
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory and torch.cuda.is_available(),
        )
        return self.accelerator.prepare(loader)

    def create_optimizer(self, model=None):
        optimizer = super().create_optimizer(model)
        if self.head_learning_rate is not None:
            head = {id(p) for name, p in self.model.named_parameters() if name.startswith(("classifier.", "crf."))}
            for group in list(optimizer.param_groups):
                mine = [p for p in group["params"] if id(p) in head]
                group["params"] = [p for p in group["params"] if id(p) not in head]
                settings = {k: v for k, v in group.items() if k not in ("params", "lr")}
                if mine:
                    optimizer.add_param_group({"params": mine, "lr": self.head_learning_rate, **settings})
        return optimizer

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        optimizer = self.optimizer if optimizer is None else optimizer
        if not self.one_cycle:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            rates = [group["lr"] for group in optimizer.param_groups]
            self.lr_scheduler = OneCycleLR(optimizer, rates, total_steps=num_training_steps + 1, cycle_momentum=False)
        return self.lr_scheduler

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """The model's own loss; for windows that an ensemble has read, the distance from its marginals."""
        if "teacher_tags" not in inputs:
            return super().compute_loss(model, inputs, return_outputs, **kwargs)
        teacher = (inputs.pop("teacher_tags"), inputs.pop("teacher_pairs"))
        output = model(**{name: value for name, value in inputs.items() if name != "labels"})
        crf = self.accelerator.unwrap_model(model).crf
        output.loss = distillation_loss(crf, output.emissions, inputs["core_mask"], inputs["edge_mask"], *teacher)
        return (output.loss, output) if return_outputs else output.loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Strict micro precision, recall and F1 of the document predictor on whole documents."""
        documents = list(eval_dataset or self.eval_dataset)
        start = time.perf_counter()
        model = self.accelerator.unwrap_model(self.model)
        predictor = DocumentPredictor(model, self.processing_class, self.args.per_device_eval_batch_size)
        mine = documents[self.args.process_index :: self.args.world_size]
        texts = (document.text for document in mine)
        bar = tqdm(predictor(texts), "Evaluation", len(mine), leave=False, disable=self.args.disable_tqdm or None)
        with self.compute_loss_context_manager():
            found = gather_object(predicted(mine, bar))
        result = score(documents, found)
        seconds = time.perf_counter() - start
        metrics = {"strict_f1": result["f1"], "precision": result["precision"], "recall": result["recall"]}
        metrics |= {"runtime": seconds, "documents_per_second": len(documents) / seconds}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


class StopOnPoisonedLoss(TrainerCallback):
    """Ends the training with an error when the loss is no number, before a checkpoint of it is written."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise InputError(f"the loss is not a number at step {state.global_step}: lower the learning rate")


class LowestTrainingLoss(TrainerCallback):
    """Without validation documents the best checkpoint is that with the lowest mean loss since the one before.

    The Trainer itself chooses by metrics of an evaluation only. What is chosen is known before the checkpoint is
    written, and stands in it, so that an interrupted run goes on with it.
    """

    def on_step_end(self, args, state, control, **kwargs):
        control.should_log |= control.should_save
        return control

    def on_epoch_end(self, args, state, control, **kwargs):
        control.should_log |= control.should_save
        if control.should_save and state.log_history and state.log_history[-1]["step"] == state.global_step:
            self._choose(args, state)  # logged at this step already, and not again
        return control

    def on_log(self, args, state, control, logs=None, **kwargs):
        if control.should_save and "loss" in (logs or {}):
            self._choose(args, state)

    def _choose(self, args, state):
        since = max((row["step"] for row in state.log_history if "checkpoint_loss" in row), default=0)
        total, before = 0.0, since
        for row in state.log_history:
            if "loss" in row and row["step"] > since:
                total += row["loss"] * (row["step"] - before)
                before = row["step"]
        loss = total / (before - since)
        state.log_history[-1]["checkpoint_loss"] = loss
        if state.best_metric is None or loss < state.best_metric:
            state.best_metric, state.best_global_step = loss, state.global_step
            state.best_model_checkpoint = str(Path(args.output_dir, f"checkpoint-{state.global_step}"))
