"""The Hugging Face Trainer with this project's masks, a loss that counts every masked subword alike, and perplexity."""

import math
import time
from collections.abc import Sequence

import torch
from accelerate.utils import gather_object
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ..training import BeginEpoch, SoundTrainer
from .masking import NOT_PREDICTED, BlockSampler, HeldOutBlocks, TrainingBlocks


class MaskedLanguageModelTrainer(SoundTrainer):
    """Trains on blocks, and measures the perplexity of held-out blocks.

    Args besides those of `SoundTrainer`:
        train_blocks, validation_blocks: datasets with the columns `input_ids` and `word_starts`.
        update_blocks: blocks of an update, over all processes and steps of accumulation.
    """

    def __init__(self, *, train_blocks, validation_blocks, update_blocks: int, **kwargs):
        super().__init__(
            train_dataset=TrainingBlocks(train_blocks, kwargs["args"].seed),
            eval_dataset=HeldOutBlocks(validation_blocks),
            compute_loss_func=masked_loss,
            **kwargs,
        )
        self.update_blocks = update_blocks

    def get_train_dataloader(self) -> DataLoader:
        args, blocks = self.args, self.train_dataset
        seed = args.seed if args.data_seed is None else args.data_seed
        sampler = BlockSampler(len(blocks), self.update_blocks, args.per_device_train_batch_size, seed)
        self.add_callback(BeginEpoch(sampler))
        loader = DataLoader(
            blocks,
            batch_sampler=sampler,
            collate_fn=self.data_collator,
            num_workers=args.dataloader_num_workers,
            pin_memory=args.dataloader_pin_memory and torch.cuda.is_available(),
        )
        return self.accelerator.prepare(loader)

    def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval") -> dict[str, float]:
        """Loss and perplexity of the held-out blocks, of which each process reads its share."""
        start = time.perf_counter()
        share = range(self.args.process_index, len(self.eval_dataset), self.args.world_size)
        totals, counts = zip(*gather_object([self.summed_loss(share)]), strict=True)
        metrics = {**measures(sum(totals), sum(counts)), "runtime": time.perf_counter() - start}
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def summed_loss(self, rows: Sequence[int]) -> tuple[float, int]:
        """The loss summed over the masked subwords of held-out blocks, and how many subwords these are."""
        model = self.accelerator.unwrap_model(self.model).to(self.args.device).eval()
        size = self.args.per_device_eval_batch_size
        total, count = 0.0, 0
        for i in range(0, len(rows), size):
            inputs = self._prepare_inputs(self.data_collator([self.eval_dataset[row] for row in rows[i : i + size]]))
            labels = inputs.pop("labels")
            with torch.inference_mode():
                total += masked_loss(model(**inputs), labels, 1).item()
            count += (labels != NOT_PREDICTED).sum().item()
        return total, count


def measures(total: float, count: int) -> dict[str, float]:
    """Mean loss in nats, and perplexity, of a summed loss; a perplexity stays a number up to 700 nats."""
    loss = total / max(1, count)
    return {"perplexity": math.exp(min(loss, 700.0)), "loss": loss}


def masked_loss(outputs, labels: torch.Tensor, num_items_in_batch) -> torch.Tensor:
    """Cross-entropy of the masked subwords, divided by how many the whole update has, over all its batches and
    processes: accumulated batches are as one, and so are those of several processes."""
    is_masked = labels != NOT_PREDICTED  # (B, T)
    logits = outputs.logits[is_masked].float()  # (masked, vocabulary)
    return cross_entropy(logits, labels[is_masked], reduction="sum") / max(1, num_items_in_batch)
