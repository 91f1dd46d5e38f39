"""An exponential moving average of the weights, which is judged and kept in their place (Polyak & Juditsky 1992)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback


RAW_WEIGHTS = "raw_weights.safetensors"  # of a checkpoint, whose model is the average


class WeightAverage(TrainerCallback):
    """After each update the average takes in the weights with 1 − `decay`, and with more in the first updates.

    Args:
        model: that is trained.
        decay: of the average, as 0.99: it reaches back over about 1 / (1 − decay) updates.
    """

    def __init__(self, model: torch.nn.Module, decay: float):
        self.weights = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.decay, self.average = decay, {}

    def on_step_end(self, args, state, control, **kwargs):
        if not self.average:
            self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
            return
        decay = min(self.decay, (1 + state.global_step) / (10 + state.global_step))  # as TensorFlow's and timm's
        with torch.no_grad():
            torch._foreach_lerp_([*self.average.values()], [*self.weights.values()], 1 - decay)

    def on_train_end(self, args, state, control, **kwargs):
        if not (args.load_best_model_at_end and state.best_model_checkpoint):  # whose average has been loaded already
            self.swap()

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Inside, the model's weights are the average."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def swap(self) -> None:
        """Exchanges the model's weights and the average, if there is one yet."""
        for name, average in self.average.items():
            weight = self.weights[name]
            weight.data, self.average[name] = average, weight.data

    def save_raw(self, checkpoint: str) -> None:
        """Writes the weights, while the model is the average, beside it."""
        if self.average:
            save_file(
                {name: weight.contiguous() for name, weight in self.average.items()}, Path(checkpoint, RAW_WEIGHTS)
            )

    def load_raw(self, checkpoint: str) -> None:
        """Takes the model of a checkpoint for the average, and goes on with the weights that were saved beside it."""
        file = Path(checkpoint, RAW_WEIGHTS)
        if file.exists():
            self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
            for name, raw in load_file(file).items():
                self.weights[name].data.copy_(raw)
