"""The Hugging Face Trainer with this project's batches, one-cycle schedule, and strict F1 on whole documents."""

import re
import time
from functools import partial

import torch
from accelerate.utils import gather_object
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from modeling_clinx import DocumentPredictor

from ..recipe import Recipe
from ..scoring.evaluation import predict_documents
from ..scoring.scores import score
from ..training import BeginEpoch, SoundTrainer
from .batches import WindowBatchSampler, WindowCollator, by_length
from .distillation import distillation_loss


class ClinXTrainer(SoundTrainer):
    """Trains on windows and evaluates on documents.

    Args besides those of `SoundTrainer`:
        validation: annotated documents; `evaluate` runs the document predictor on them, under several processes each
            on its share.
        recipe: how large a batch of one process is, the schedule, and the learning rates of layers and head.
    """

    def __init__(self, *, processing_class, validation, recipe: Recipe, **kwargs):
        self.knows_fsdp = not recipe.distill  # whose loss takes the CRF's weights, outside of the model's forward
        kwargs["args"].accelerator_config.even_batches = False  # batches are of any size, and as many in every process
        collator = WindowCollator(processing_class.pad_token_id or 0, len(kwargs["model"].crf.tags))
        super().__init__(**kwargs, processing_class=processing_class, eval_dataset=validation, data_collator=collator)
        self.recipe, self.batch_size = recipe, recipe.batch_sentences or recipe.batch_subwords

    def get_train_dataloader(self) -> DataLoader:
        seed = self.args.seed if self.args.data_seed is None else self.args.data_seed
        multiple_of = self.args.world_size * self.args.gradient_accumulation_steps
        counts_windows = bool(self.recipe.batch_sentences)  # which are sentences
        sampler = WindowBatchSampler(self.train_dataset, self.batch_size, seed, multiple_of, counts_windows)
        self.add_callback(BeginEpoch(sampler))
        loader = DataLoader(
            self.train_dataset,
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory and torch.cuda.is_available(),
        )
        return self.accelerator.prepare(loader)

    def get_decay_parameter_names(self, model) -> list[str]:
        """The parameters that decay: not those of the CRF, which are biases of tags and of pairs of tags."""
        return [name for name in super().get_decay_parameter_names(model) if "crf" not in name.split(".")]

    def create_optimizer(self, model=None):
        optimizer = super().create_optimizer(model)
        rates = self._learning_rates()
        for group in list(optimizer.param_groups):
            settings = {key: value for key, value in group.items() if key not in ("params", "lr")}
            parameters, group["params"] = group["params"], []
            for rate in sorted({rates[id(parameter)] for parameter in parameters} - {group["lr"]}):
                of_rate = [parameter for parameter in parameters if rates[id(parameter)] == rate]
                optimizer.add_param_group({"params": of_rate, "lr": rate, **settings})
            group["params"] = [parameter for parameter in parameters if rates[id(parameter)] == group["lr"]]
        return optimizer

    def _learning_rates(self) -> dict[int, float]:
        """The learning rate of each parameter, by its id: the last layer has the encoder's, the head its own."""
        named, rates = dict(self.model.named_parameters()), {}
        depths = {name: _depth(name) for name in named}
        last = max((depth for depth in depths.values() if depth is not None), default=0)
        for name, parameter in named.items():
            below = 0 if depths[name] is None else last - depths[name]
            rates[id(parameter)] = self.args.learning_rate * self.recipe.layerwise_lr_decay**below
            if name.startswith(("classifier.", "crf.")):
                rates[id(parameter)] = self.recipe.head_learning_rate or self.args.learning_rate
        return rates

    def create_scheduler(self, num_training_steps: int, optimizer=None):
        optimizer = self.optimizer if optimizer is None else optimizer
        if not self.recipe.one_cycle:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            rates = [group["lr"] for group in optimizer.param_groups]
            n_steps = num_training_steps + 1
            share = self.recipe.pct_start
            rise = share if share * n_steps > 1 else 0.0  # a rise of one step divides by zero
            self.lr_scheduler = OneCycleLR(optimizer, rates, total_steps=n_steps, pct_start=rise, cycle_momentum=False)
        return self.lr_scheduler

    def training_step(self, model, inputs, num_items_in_batch=None) -> torch.Tensor:
        """One backward pass for each group of windows of about equal length, so that little is computed for padding.

        The loss is a sum over windows: the gradients of the groups add up to those of the batch.
        """
        *groups, last = [inputs] if self.is_fsdp_enabled else by_length(inputs)  # which reads in all processes at once
        step = partial(super().training_step, model, num_items_in_batch=num_items_in_batch)
        with self.accelerator.no_sync(model):  # processes exchange gradients once, however many groups each has
            losses = [step(group) for group in groups]
        return sum(losses, step(last))

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        """The model's own loss; for windows that an ensemble has read, the distance from its marginals.

        Both are sums over labelled subwords, divided by the batch size that was asked for, so that every subword (or
        window) counts alike however full its batch, and accumulated batches, or those of several processes, are as one.
        """
        if "teacher_tags" in inputs:
            teacher = (inputs.pop("teacher_tags"), inputs.pop("teacher_pairs"))
            output = model(**{name: value for name, value in inputs.items() if name != "labels"})
            crf = self.accelerator.unwrap_model(model).crf
            output.loss = distillation_loss(crf, output.emissions, inputs["core_mask"], inputs["edge_mask"], *teacher)
            n_subwords = inputs["core_mask"].sum()
        else:
            output = model(**inputs)
            n_subwords = (inputs["labels"] >= 0).sum()
        output.loss = output.loss * n_subwords / self.batch_size
        return (output.loss, output) if return_outputs else output.loss

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Strict micro precision, recall and F1 of the document predictor on whole documents.

        In float32, as the run is judged at its end and whoever loads the model uses it, also where it trains in bf16:
        what is autocast is the model's `forward`, and the predictor does not go through it.
        """
        documents = list(eval_dataset or self.eval_dataset)
        start = time.perf_counter()
        predictor = DocumentPredictor(self.whole_model(), self.processing_class, self.args.per_device_eval_batch_size)
        share = documents[self.args.process_index :: self.args.world_size]
        predicted = [d for d, _ in predict_documents(share, predictor, quiet=self.args.disable_tqdm)]
        predicted = gather_object(predicted)
        result = score(documents, predicted)
        seconds = time.perf_counter() - start
        metrics = {"strict_f1": result["f1"], "precision": result["precision"], "recall": result["recall"]}
        metrics |= {"runtime": seconds, "documents_per_second": len(documents) / seconds}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _depth(name: str) -> int | None:
    """How far from the text a parameter of the encoder is: 0 for embeddings, then by layers; None for what is above."""
    layer = re.search(r"\.(?:layers?|h|blocks?)\.(\d+)\.", name)
    return int(layer[1]) + 1 if layer else 0 if "embed" in name else None
