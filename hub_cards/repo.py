"""Assembles the folder of a model repo: weights, configuration, code if any, and tokenizer, for plain transformers."""

import json
import shutil
from pathlib import Path


def save_model_repo(model, tokenizer, folder: str | Path) -> Path:
    """Writes a complete model repo; a folder that is there already is replaced once the new one is whole.

    Args:
        model: a `ClinXForTokenClassification` or an ensemble of them, whose code is written beside its weights; or a
            model of transformers, which needs none.
        tokenizer: its fast tokenizer.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    save_tokenizer(tokenizer, partial)
    for weights in partial.glob("*.safetensors"):  # which safetensors lets only their owner read
        shutil.copymode(partial / "config.json", weights)
    if folder.exists():
        shutil.rmtree(folder)
    return partial.rename(folder)


def save_tokenizer(tokenizer, folder: str | Path) -> None:
    """Writes a fast tokenizer so that transformers 4 can load it too."""
    tokenizer.save_pretrained(folder)
    config_file = Path(folder) / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    if config.get("tokenizer_class") == "TokenizersBackend":  # a name that transformers 4 does not know
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        config_file.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
