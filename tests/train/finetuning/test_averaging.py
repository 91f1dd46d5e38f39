"""The moving average of the weights."""

import torch
from transformers import TrainerState, TrainingArguments

from clinx.finetuning.averaging import WeightAverage


def averaged(decay, updates):
    """A model of one weight that an update adds 1 to, after some updates, and its average."""
    model = torch.nn.Linear(1, 1, bias=False)
    model.weight.data.zero_()
    average, state = WeightAverage(model, decay), TrainerState()
    for step in range(1, updates + 1):
        model.weight.data += 1
        state.global_step = step
        average.on_step_end(None, state, None)
    return model, average


def test_the_average_is_exponential_and_begins_with_the_first_weights():
    model, average = averaged(0.3, 4)
    expected = 1.0
    for step, weight in ((2, 2), (3, 3), (4, 4)):
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    with average.in_model():
        assert torch.isclose(model.weight, torch.tensor(expected)).all()
    assert model.weight.item() == 4


def test_a_checkpoint_holds_both_and_training_goes_on_from_the_weights(tmp_path):
    model, average = averaged(0.3, 4)
    with average.in_model():
        average.save_raw(tmp_path)
        saved = model.weight.detach().clone()
    resumed = torch.nn.Linear(1, 1, bias=False)
    resumed.weight.data.copy_(saved)  # as the Trainer loads it
    again = WeightAverage(resumed, 0.3)
    again.load_raw(tmp_path)
    assert resumed.weight.item() == 4
    with again.in_model():
        assert torch.equal(resumed.weight, saved)


def test_without_a_best_checkpoint_the_average_is_what_stays(tmp_path):
    model, average = averaged(0.3, 4)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    average.on_train_end(arguments, TrainerState(), None)
    assert model.weight.item() < 4
    arguments.load_best_model_at_end = True
    model, average = averaged(0.3, 4)
    average.on_train_end(arguments, TrainerState(), None)  # none of its checkpoints was the best
    assert model.weight.item() < 4
    model, average = averaged(0.3, 4)
    average.on_train_end(arguments, TrainerState(best_model_checkpoint="checkpoint-2"), None)
    assert model.weight.item() == 4
