"""Training on splits: the members of an ensemble one after another or side by side, and the ensemble of them."""

import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from json import loads
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoTokenizer

from hub_cards.repo import save_model_repo
from modeling_clinx import ClinXEnsembleForTokenClassification, ClinXForTokenClassification, DocumentPredictor

from .arguments import settings_of
from .errors import InputError
from .finetune import claim_run_folder, finetune, judge, read_documents, write_json
from .splits import median_member


def finetune_members(data, model_args, optimization, splitting, args, argv: list[str]) -> Path:
    """Trains the members of an ensemble, each as `finetune` does in a folder `member-N`, and returns the run's folder.

    The folder also gets `splits.json`, `model/` (the ensemble as one model repo), `metrics.json`, and with `soup` a
    model `soup/` of the members' mean weights. A member that fails leaves the others as they are; the same command
    goes on with what is missing.

    Args:
        argv: the command's arguments, for processes that train members side by side.

    Raises:
        InputError: data or settings that cannot be used, or members that failed.
    """
    folder = Path(args.output_dir)
    if splitting.split == "all":
        raise InputError("split all trains one model on everything: leave splits out")
    splits, _, test = read_documents(data, splitting)
    numbers = range(1, len(splits.members) + 1)
    if splitting.member is None:
        settings = settings_of(data, model_args, optimization, splitting, args)
        with args.main_process_first(local=False, desc="claim the run's folder"):
            is_done = claim_run_folder(folder, settings)
        if args.process_index == 0:
            splits.write(folder / "splits.json")
        done = loads((folder / "metrics.json").read_text()) if is_done else {}
        if done.get("vote") == splitting.vote and ("soup" in done or not splitting.soup):
            print(f"{folder} is a finished run of this recipe: its ensemble is in {folder / 'model'}")
            show(done)
            return folder
    elif splitting.member not in numbers:
        raise InputError(f"member is {splitting.member}, expected 1 to {len(numbers)}")
    else:
        numbers = [splitting.member]

    gpus = _gpus()
    at_once = min(splitting.members_at_once or len(gpus), len(numbers))
    if at_once > 1 and args.world_size == 1:
        failed = _side_by_side(numbers, at_once, gpus, folder, argv)
    else:
        failed = _one_by_one(numbers, data, model_args, optimization, splitting, args)
    if failed:
        raise InputError(
            f"{len(failed)} of {len(numbers)} members failed, the others are complete:\n  "
            + "\n  ".join(f"member {number}: {error}" for number, error in sorted(failed.items()))
            + "\nmend the cause and give the same command again: it goes on with what is missing"
        )
    if splitting.member is None and args.process_index == 0:
        combine(folder, len(numbers), test, splitting, args.per_device_eval_batch_size)
    return folder


def _one_by_one(numbers, data, model_args, optimization, splitting, args) -> dict[int, str]:
    failed = {}
    for number in numbers:
        print(f"member {number} of {numbers[-1]}", flush=True)
        mine = copy(args)
        mine.output_dir = str(Path(args.output_dir, f"member-{number}"))
        try:
            finetune(data, model_args, optimization, splitting, mine, number)
        except Exception as error:
            if args.world_size > 1 or (isinstance(error, InputError) and number == numbers[0]):
                raise  # other processes wait for this one; or it is a fault of the input, which all members share
            traceback.print_exc()
            failed[number] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return failed


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [named[i] if i < len(named) and named[i] else str(i) for i in range(torch.cuda.device_count())]


def _side_by_side(numbers, at_once: int, gpus: list[str], folder: Path, argv: list[str]) -> dict[int, str]:
    """Trains several members at a time, each in a process and, where there are GPUs, on one of its own."""
    free, threads = list(range(at_once)), str(max(1, (os.cpu_count() or 1) // at_once))
    failed = {}

    def train(number):
        place = free.pop()
        command = [sys.executable, "-P", "-m", "clinx", "finetune", *argv, "--member", str(number)]
        environment = {"OMP_NUM_THREADS": threads, **os.environ}
        if gpus:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
        with open(folder / f"member-{number}.log", "w") as log:
            done = subprocess.run([*command, "--output_dir", str(folder)], env=environment, stdout=log, stderr=log)
        free.append(place)
        if done.returncode:
            failed[number] = f"exit status {done.returncode}, see {log.name}"
        print(f"member {number} {'failed' if done.returncode else 'is done'}: {log.name}", flush=True)

    print(f"{at_once} members at a time; their output goes to {folder}/member-N.log", flush=True)
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(train, numbers))
    return failed


def combine(folder: Path, n_members: int, test: list, splitting, batch_size: int) -> dict:
    """Writes the ensemble of a run's members, with `soup` their mean, and the figures of all; returns the figures."""
    folders = [folder / f"member-{number}" for number in range(1, n_members + 1)]
    members = [loads((member / "metrics.json").read_text()) for member in folders]
    models = [member / "model" for member in folders]
    tokenizer = AutoTokenizer.from_pretrained(models[0])
    ensemble = ClinXEnsembleForTokenClassification.from_members(models, vote=splitting.vote)
    save_model_repo(ensemble, tokenizer, folder / "model")
    metrics = {
        "vote": splitting.vote,
        "members": [{part: one[part] for part in ("validation", "test", "seconds") if part in one} for one in members],
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if test:
        predictor = DocumentPredictor(ensemble.to(device), tokenizer, batch_size)
        metrics["ensemble"] = {"test": judge(predictor, test, folder / "test.jsonl")}
    if splitting.soup:
        save_model_repo(mean(ensemble.to("cpu")), tokenizer, folder / "soup")
        metrics["soup"] = {}
        if test:
            soup = ClinXForTokenClassification.from_pretrained(folder / "soup").to(device)
            found = judge(DocumentPredictor(soup, tokenizer, batch_size), test, folder / "soup-test.jsonl")
            metrics["soup"] = {"test": found}
    write_json(folder / "metrics.json", metrics)
    show(metrics)
    print(f"ensemble: {folder / 'model'}; figures: {folder / 'metrics.json'}; splits: {folder / 'splits.json'}")
    return metrics


def mean(ensemble) -> ClinXForTokenClassification:
    """The model with the members' mean weights (a uniform soup, Wortsman et al. 2022), in place of the first member."""
    soup, *others = ensemble.members
    states = [member.state_dict() for member in others]
    with torch.no_grad():
        for name, weight in soup.state_dict().items():
            for state in states:
                weight += state[name]
            weight /= len(ensemble.members)
    return soup


def show(metrics: dict) -> None:
    """Prints strict F1 of the members, their median and best, the ensemble, and the soup if there is one."""
    members = metrics["members"]
    table = Table("", title="strict F1, %", title_justify="left")
    columns = [part for part in ("validation", "test") if part in members[0]]
    for column in columns:
        table.add_column(column + (" (its own part)" if column == "validation" else ""), justify="right")
    for number, member in enumerate(members, 1):
        table.add_row(f"member {number}", *(f"{100 * member[part]['f1']:.2f}" for part in columns))
    table.add_section()
    scores = {part: [member[part]["f1"] for member in members] for part in columns}
    table.add_row("median", *(f"{100 * ones[median_member(ones)]:.2f}" for ones in scores.values()))
    table.add_row("best", *(f"{100 * max(ones):.2f}" for ones in scores.values()))
    for name in ("ensemble", "soup"):
        if metrics.get(name):
            table.add_row(name, *(f"{100 * metrics[name][p]['f1']:.2f}" if p == "test" else "" for p in columns))
    console = Console()
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)
    if "ensemble" not in metrics:
        print("name `test` documents (or a test_fraction) to judge the ensemble: its members saw all others")
