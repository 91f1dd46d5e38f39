"""The folder of a run: who it belongs to, its checkpoints, and its figures."""

import json
import shutil
import sys
from pathlib import Path

from .errors import InputError
from .recipe import RecipeBase
from .writing import write_json


Inputs = dict[str, str | dict[str, str]]  # a model's digest or commit, or the digests of documents by their ids
CHECKPOINT_FILES = ("model*.safetensors", "optimizer.*", "scheduler.pt", "rng_state*.pth")


class RunFolder:
    """`recipe.yaml`, `inputs.json`, `model/`, `metrics.json`, `curves.png`, and checkpoints until the run is done.

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

    def claim(self, recipe: RecipeBase, inputs: Inputs) -> bool:
        """Writes the recipe into the folder, and what it learns from; True if it holds a finished run of the same.

        The settings on which no result depends may differ, and are recorded anew until the run is finished.

        Raises InputError where the folder, or a member's in it, holds checkpoints or a model of other settings, other
        notes or another model to start from; names the first that differs.
        """
        before = self.refuse_other_settings(recipe)
        if before:
            self.refuse_other_inputs(inputs)
        else:
            write_json(self.path / "inputs.json", inputs)
        is_done = self.is_done and before
        if not is_done:
            recipe.write(self.path / "recipe.yaml")
        return is_done

    @property
    def is_begun(self) -> bool:
        """Whether it, or a member's run in it, holds checkpoints or a model."""
        return any(run.is_done or run.last_checkpoint() for run in (self, *map(RunFolder, self.path.glob("member-*"))))

    def refuse_other_settings(self, recipe: RecipeBase) -> bool:
        """Whether a run of this recipe has begun here; raises InputError where one of other settings has."""
        before, now = self._recorded(type(recipe)) if self.is_begun else {}, recipe.recorded()
        for name in sorted({*before} & {*now}):  # an older release may have recorded fewer
            if before[name] != now[name]:
                raise self.other(f"{name} {before[name]!r}, not {now[name]!r}")
        return bool(before)

    def refuse_other_inputs(self, now: Inputs) -> None:
        """Raises InputError, with the first difference, where the run that has begun here depends on others."""
        before = self.read_inputs()
        if not before:
            print(f"note: an older release began {self.path}, which did not record its notes", file=sys.stderr)
            return
        for name in sorted({*before, *now}):
            if isinstance(before.get(name) or now.get(name), str):
                if before.get(name) != now.get(name):
                    raise self.other(f"another {name}")
            elif difference := _differences(before.get(name, {}), now.get(name, {})):
                raise self.other(f"other {name} documents, {difference}")

    def other(self, difference: str) -> InputError:
        """The error that says in what the run in the folder differs."""
        return InputError(
            f"{self.path} holds a run with {difference}: choose another --output_dir, or remove that folder"
        )

    def _recorded(self, kind: type[RecipeBase]) -> dict:
        """The settings that the folder belongs to; those of an older release are in recipe.json."""
        if (self.path / "recipe.yaml").exists():
            return kind.read(self.path / "recipe.yaml").recorded()
        if (self.path / "recipe.json").exists():
            settings = json.loads((self.path / "recipe.json").read_text())
            return {kind.renamed.get(name, name): value for name, value in settings.items()}
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

    def read_inputs(self) -> Inputs:
        """What the run learns from and is judged on; empty for one of an older release."""
        path = self.path / "inputs.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

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


def _differences(before: dict[str, str], now: dict[str, str]) -> str:
    """How two sets of documents differ, with a document of each kind."""
    changed = sorted(id for id in before.keys() & now.keys() if before[id] != now[id])
    kinds = {"changed": changed, "new": sorted(now.keys() - before), "gone": sorted(before.keys() - now)}
    return ", ".join(f"{len(ids)} {kind} (as {ids[0]})" for kind, ids in kinds.items() if ids)
