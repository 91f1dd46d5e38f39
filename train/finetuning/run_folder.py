"""The folder of a run: who it belongs to, its checkpoints, and its figures."""

import json
import shutil
from pathlib import Path

from ..errors import InputError
from ..recipe import RENAMED, Recipe
from ..writing import write_json


CHECKPOINT_FILES = ("model*.safetensors", "optimizer.*", "scheduler.pt", "rng_state*.pth")


class RunFolder:
    """`recipe.yaml`, `model/`, `metrics.json`, `curves.png`, and checkpoints until the run is done.

    Attributes:
        path: the folder.
        model: the model repo in it.
    """

    def __init__(self, path: Path):
        self.path, self.model = path, path / "model"

    @property
    def is_done(self) -> bool:
        """Whether the run is finished: its figures are written last."""
        return (self.path / "metrics.json").exists()

    def claim(self, recipe: Recipe) -> bool:
        """Writes the recipe into the folder; True if it holds a finished run of the same.

        Raises InputError where the folder, or a member's in it, holds checkpoints or a model of other settings; names
        the first that differs.
        """
        runs = (self, *map(RunFolder, self.path.glob("member-*")))
        begun = any(run.is_done or run.last_checkpoint() for run in runs)
        before, now = self._recorded() if begun else {}, recipe.recorded()
        for name in sorted({*before} & {*now}):  # an older release may have recorded fewer
            if before[name] != now[name]:
                raise InputError(
                    f"{self.path} holds a run with {name} {before[name]!r}, not {now[name]!r}: "
                    "choose another --output_dir, or remove that folder"
                )
        if not before:
            recipe.write(self.path / "recipe.yaml")
        return self.is_done and bool(before)

    def _recorded(self) -> dict:
        """The settings that the folder belongs to; those of an older release are in recipe.json."""
        if (self.path / "recipe.yaml").exists():
            return Recipe.read(self.path / "recipe.yaml").recorded()
        if (self.path / "recipe.json").exists():
            settings = json.loads((self.path / "recipe.json").read_text())
            return {RENAMED.get(name, name): value for name, value in settings.items()}
        return {}

    def last_checkpoint(self) -> Path | None:
        """The newest whole checkpoint: the Trainer writes `trainer_state.json` last, and deletes in any order."""
        for checkpoint in sorted(self.path.glob("checkpoint-*"), key=lambda path: -int(path.name.split("-")[1])):
            try:
                json.loads((checkpoint / "trainer_state.json").read_text())
            except (OSError, ValueError):
                continue
            if all(any(checkpoint.glob(part)) for part in CHECKPOINT_FILES):
                return checkpoint
        return None

    def read_metrics(self) -> dict:
        """The figures of a finished run."""
        return json.loads((self.path / "metrics.json").read_text())

    def write_metrics(self, metrics: dict) -> None:
        """Writes the figures, and with them finishes the run."""
        write_json(self.path / "metrics.json", metrics)

    def clear_checkpoints(self) -> None:
        """Removes what only an unfinished run needs."""
        for checkpoint in self.path.glob("checkpoint-*"):
            shutil.rmtree(checkpoint)
