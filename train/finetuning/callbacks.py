"""What watches a fine-tuning: it selects by training loss, or ends it early."""

from pathlib import Path

from transformers import EarlyStoppingCallback, TrainerCallback


class EarlyStopping(EarlyStoppingCallback):
    """Transformers' own, which here goes on counting where an interrupted run goes on."""

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        saved = state.stateful_callbacks.get(type(self).__name__, {}).get("attributes", {})
        self.early_stopping_patience_counter = saved.get("early_stopping_patience_counter", 0)


class SelectByTrainingLoss(TrainerCallback):
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
