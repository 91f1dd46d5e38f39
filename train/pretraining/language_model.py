"""The masked language model that a run begins with: as it is, with a vocabulary of its own, or with random weights."""

import json
import sys
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

import torch
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForMaskedLM,
    AutoTokenizer,
    ModernBertConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    XLMRobertaConfig,
)

from hub_cards.repo import save_tokenizer

from ..console import Progress
from ..errors import InputError
from ..run_folder import RunFolder
from ..writing import write_json
from .blocks import Lowest, order
from .filters import TextFilter
from .recipe import PretrainingRecipe, TextSettings
from .seen import SeenTexts
from .texts import read_texts, state_of
from .vocabulary import train_tokenizer, with_vocabulary


ENCODERS = ("Model", "ForMaskedLM", "ForPreTraining")  # how classes are called whose weights a run can start from
VOCABULARY_TEXTS = 100_000  # from which a vocabulary is learned, of more at random
SIZES = {  # of XLM-R, by which a model without learned weights begins; the two last are as published
    "mini": {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}
TINY = {  # of ModernBERT: one layer sees the whole window, one the eight subwords on either side
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 192,  # twice: it is gated
    "global_attn_every_n_layers": 2,
    "local_attention": 16,
}
SPREADS = {"tiny": 0.05, "mini": 0.05}  # of random weights: 0.02, as of the others, is too little for narrow layers


class LanguageModel(NamedTuple):
    """A masked language model to go on from; whether its head is new, so that its perplexity means nothing yet."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    has_new_head: bool


def read_language_model(recipe: PretrainingRecipe) -> LanguageModel:
    """The language model that the recipe begins with, in float32, and its fast tokenizer.

    It is the masked language model that the recipe names, or an encoder with a new head; with `train_tokenizer` it gets
    a vocabulary learned from the texts, which is kept in the run's folder; with `from_scratch` its weights are random.
    One process should call this at a time.

    Raises InputError for a model that is neither, and for a tokenizer or block length that does not go with it.
    """
    if recipe.from_scratch:
        tokenizer = _learned_tokenizer(recipe) if recipe.train_tokenizer else _read_tokenizer(recipe)
        read = LanguageModel(_random_model(recipe, tokenizer), tokenizer, True)
    else:
        read = _read_published(recipe)
        if recipe.train_tokenizer:
            tokenizer = _learned_tokenizer(recipe, pad_first=read.model.config.pad_token_id == 0)
            read = read._replace(tokenizer=tokenizer, model=with_vocabulary(read.model, read.tokenizer, tokenizer))
    check_tokenizer(recipe.model, read.tokenizer, read.model)
    check_block_length(recipe, read.tokenizer, read.model)
    return read


def _read_published(recipe: PretrainingRecipe) -> LanguageModel:
    hub_kwargs = {"revision": recipe.revision} if recipe.revision else {}
    try:
        config = AutoConfig.from_pretrained(recipe.model, **hub_kwargs)
        check_kind(recipe.model, config)
        tokenizer = _read_tokenizer(recipe)
        model, report = AutoModelForMaskedLM.from_pretrained(
            recipe.model, config=config, dtype=torch.float32, output_loading_info=True, **hub_kwargs
        )
    except (OSError, ValueError) as error:
        raise InputError(f"cannot start from the model {recipe.model}: {error}") from error
    missing = sorted(report["missing_keys"])
    if lost := [name for name in missing if name.startswith(f"{model.base_model_prefix}.")]:
        raise InputError(
            f"{recipe.model} lacks {len(lost)} weights of its encoder, such as {lost[0]}: its files differ"
        )
    if missing:
        print(
            f"note: {recipe.model} has no head that predicts subwords: a new one is trained with it, and the "
            "perplexity before training means nothing",
            file=sys.stderr,
        )
    return LanguageModel(model, tokenizer, bool(missing))


def _read_tokenizer(recipe: PretrainingRecipe) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(recipe.model, **({"revision": recipe.revision} if recipe.revision else {}))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the tokenizer of {recipe.model}: {error}") from error


def _random_model(recipe: PretrainingRecipe, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """Of XLM-R's architecture, which counts positions from the id of the pad token.

    The tiny one is of ModernBERT's (Warner et al. 2024): it learns from a few hundred updates what stands beside a
    subword, since its attention knows distances and one layer looks nearby; where each position has a vector of its
    own, 500 updates were too few for that.
    """
    pad, longest = tokenizer.pad_token_id or 0, max(512, recipe.block_length)
    common = {
        "initializer_range": SPREADS.get(recipe.from_scratch, 0.02),
        "vocab_size": len(tokenizer),
        "pad_token_id": pad,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    if recipe.from_scratch == "tiny":
        ends = {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        config = ModernBertConfig(**TINY, **common, **ends, max_position_embeddings=longest)
    else:
        positions = {"max_position_embeddings": longest + pad + 1, "type_vocab_size": 1}
        config = XLMRobertaConfig(**SIZES[recipe.from_scratch], **common, **positions)
    return AutoModelForMaskedLM.from_config(config)


def _learned_tokenizer(recipe: PretrainingRecipe, pad_first: bool = False) -> PreTrainedTokenizerBase:
    """A tokenizer of the recipe's texts: that in the run's folder, if it is of the same, since a vocabulary that is
    learned once more may be another."""
    folder = recipe.folder / "tokenizer"
    names = (*TextSettings.__dataclass_fields__, "train_tokenizer", "seed")
    content = [pad_first, {name: getattr(recipe, name) for name in names}]
    content += [state_of(path) for path in (*recipe.train, *(recipe.exclude or ()))]
    inputs = sha256(json.dumps(content).encode("ascii")).hexdigest()
    try:
        is_same = json.loads((folder / "inputs.json").read_text(encoding="utf-8")) == inputs
        if is_same or RunFolder(recipe.folder).is_begun:  # then the blocks tell whether the texts are others
            return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError):
        pass  # there is none, or half of one
    texts = _sample(recipe)
    try:
        tokenizer = train_tokenizer(texts, recipe.train_tokenizer, pad_first)
    except Exception as error:  # tokenizers raises nothing more special
        raise InputError(f"train_tokenizer is {recipe.train_tokenizer}: {error}") from error
    if len(tokenizer) > recipe.train_tokenizer:
        raise InputError(
            f"train_tokenizer is {recipe.train_tokenizer}, but special tokens and the letters of the texts alone are "
            f"{len(tokenizer)} pieces: set as many or more"
        )
    print(
        f"note: a vocabulary of {len(tokenizer):,} pieces was learned from {len(texts):,} texts. Names of people that "
        f"stand in several of them can be pieces: look at {folder / 'tokenizer.json'} before you share the model",
        file=sys.stderr,
    )
    save_tokenizer(tokenizer, folder)
    write_json(folder / "inputs.json", inputs)
    return AutoTokenizer.from_pretrained(folder)


def _sample(recipe: PretrainingRecipe) -> list[str]:
    """The texts that pass the filters, of too many some at random, but not as those are chosen that are held out."""
    chosen = Lowest(VOCABULARY_TEXTS, order(f"vocabulary {recipe.seed}"))
    progress = Progress("Reading for the vocabulary", "documents")
    texts = progress.through(read_texts(recipe.train, recipe.text_column))
    with SeenTexts.opened(recipe.folder / ".seen.sqlite") as seen:
        for text in islice(TextFilter(recipe, seen).through(texts), recipe.max_train_documents):
            chosen.push(text)
    return [text for _, text in chosen.texts()]


def check_kind(name: str, config) -> None:
    """Raises InputError for a model that is neither a masked language model nor an encoder that could be one."""
    (architecture,) = (config.architectures or [""])[:1]
    if config.is_encoder_decoder or type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        fault = f"a model of type {config.model_type}, which has no masked language model"
    elif architecture and not architecture.endswith(ENCODERS):
        fault = f"a {architecture}"
    else:
        return
    raise InputError(f"{name}: found {fault}, expected a masked language model or an encoder such as BERT or XLM-R")


def check_tokenizer(name: str, tokenizer, model) -> None:
    """Raises InputError for a tokenizer with which no masked language model can be trained."""
    n_embeddings = model.get_input_embeddings().num_embeddings
    if not tokenizer.is_fast:
        raise InputError(
            f"{name} has no fast tokenizer, which tells where words begin: save one there (tokenizer.json)"
        )
    if tokenizer.mask_token_id is None:
        raise InputError(
            f"the tokenizer of {name} has no mask token, so that nothing can be masked: choose another model"
        )
    if len(tokenizer) > n_embeddings:
        raise InputError(
            f"the tokenizer of {name} knows {len(tokenizer)} subwords, and the model {n_embeddings}: they are not of "
            "one model"
        )


def check_block_length(recipe: PretrainingRecipe, tokenizer, model) -> None:
    """Raises InputError where the model has fewer positions than a block: it is tried, since each kind counts its own
    way."""
    try:
        with torch.inference_mode():
            model.base_model(torch.full((1, recipe.block_length), tokenizer.mask_token_id))
    except (IndexError, RuntimeError) as error:
        raise InputError(
            f"block_length is {recipe.block_length}, and {recipe.model} cannot read as many subwords (its "
            f"max_position_embeddings is {getattr(model.config, 'max_position_embeddings', 'unknown')}, of which some "
            f"models use two for themselves): make block_length smaller"
        ) from error
