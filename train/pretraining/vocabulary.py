"""A new vocabulary: a Unigram tokenizer as XLM-R has it, learned from texts, and a model with rows for its pieces."""

import copy
import itertools
import json
from collections import Counter
from collections.abc import Sequence

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.nn.functional import embedding_bag
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast


MIN_TEXTS = 3  # that hold a piece: what fewer hold is a name rather than a word
SPACE = "▁"  # with which a piece begins that begins a word
SPECIAL_TOKENS = {  # in the order of their ids
    "bos_token": "<s>",
    "pad_token": "<pad>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "mask_token": AddedToken("<mask>", lstrip=True, special=True),
}
ROLES = (*SPECIAL_TOKENS, "cls_token", "sep_token")


def train_tokenizer(texts: Sequence[str], vocab_size: int, pad_first: bool = False) -> PreTrainedTokenizerFast:
    """Trains a Unigram tokenizer (Kudo 2018) of at most `vocab_size` pieces.

    Punctuation and digits are split off, so that no piece crosses a mention's edge. Pieces of two characters or more
    that fewer than three of the texts hold are dropped. A letter with which words begin is a piece of its own there,
    other than the letter within a word: so even a word that no piece knows shows where it begins.

    Args:
        pad_first: the pad token has the id 0, as in BERT, rather than 1, as in XLM-R: some models count positions from
            that id.
    """
    tokens = SPECIAL_TOKENS if not pad_first else {"pad_token": "<pad>", **SPECIAL_TOKENS}
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    splits = [pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), *splits])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=[*tokens.values()], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = _with_first_letters(_without_rare_pieces(tokenizer, texts), texts, vocab_size)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **SPECIAL_TOKENS, cls_token="<s>", sep_token="</s>", model_max_length=512
    )


def _without_rare_pieces(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokenizer:
    n_texts = Counter()  # by piece
    for text in texts:
        n_texts.update(set(tokenizer.encode(text, add_special_tokens=False).tokens))
    content = json.loads(tokenizer.to_str())
    special = {token["content"] for token in content["added_tokens"]}
    pieces = content["model"]["vocab"]
    kept = [
        (piece, score)
        for piece, score in pieces[len(special) :]
        if len(piece.removeprefix(SPACE)) <= 1 or n_texts[piece] >= MIN_TEXTS
    ]
    content["model"]["vocab"] = pieces[: len(special)] + sorted(kept)  # by name: scores are rounded by chance
    return Tokenizer.from_str(json.dumps(content))


def _with_first_letters(tokenizer: Tokenizer, texts: Sequence[str], vocab_size: int) -> Tokenizer:
    """With pieces of a space and a letter where words begin so; the least probable longer pieces make room for them."""
    n_texts = Counter()  # by piece
    for text in texts:
        tokens = tokenizer.encode(text, add_special_tokens=False).tokens
        pairs = itertools.pairwise(tokens)
        n_texts.update({SPACE + after[0] for before, after in pairs if before == SPACE and after[0].isalpha()})
    content = json.loads(tokenizer.to_str())
    special = len(content["added_tokens"])
    pieces = dict(content["model"]["vocab"][special:])
    for piece, n in n_texts.items():
        if n >= MIN_TEXTS:  # as probable as the letter within a word
            pieces.setdefault(piece, pieces[piece[-1]])
    long = sorted((score, piece) for piece, score in pieces.items() if len(piece.removeprefix(SPACE)) > 1)
    for _, piece in long[: max(0, special + len(pieces) - vocab_size)]:
        del pieces[piece]
    content["model"]["vocab"][special:] = sorted(pieces.items())
    return Tokenizer.from_str(json.dumps(content))


def with_vocabulary(
    model: PreTrainedModel, before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase
) -> PreTrainedModel:
    """The masked language model with another vocabulary: the rows of each new piece, in its embeddings and its head,
    are the mean of the rows of the old pieces that it is made of; special tokens keep theirs.

    Args:
        before, after: the model's tokenizer, and the new one.
    """
    config = copy.deepcopy(model.config)
    config.vocab_size = len(after)
    for role in ("bos", "pad", "eos", "cls", "sep"):
        if getattr(config, f"{role}_token_id", None) is not None:
            setattr(config, f"{role}_token_id", getattr(after, f"{role}_token_id"))
    new = AutoModelForMaskedLM.from_config(config)
    other = copy.deepcopy(config)
    other.vocab_size = model.config.vocab_size + 1
    with torch.device("meta"):
        larger = AutoModelForMaskedLM.from_config(other).state_dict()
    old_ids, state = _old_ids(before, after), model.state_dict()
    for name, weight in state.items():
        if weight.shape != larger[name].shape:  # (V, …): a row for each piece, also where the new V is the old one
            state[name] = _mean_rows(weight, old_ids)
    new.load_state_dict(state)
    return new


def _mean_rows(weight: torch.Tensor, rows: list[list[int]]) -> torch.Tensor:
    offsets = torch.tensor([0, *(len(of_piece) for of_piece in rows[:-1])]).cumsum(0)
    flat = torch.tensor([row for of_piece in rows for row in of_piece])
    return embedding_bag(flat, weight.reshape(len(weight), -1), offsets, mode="mean").reshape(-1, *weight.shape[1:])


def _old_ids(before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase) -> list[list[int]]:
    """For each id of the new vocabulary, the old pieces that its text is made of: one, if it was a piece already."""
    vocabulary, unknown = before.get_vocab(), [before.unk_token_id or 0]
    pieces = after.convert_ids_to_tokens(range(len(after)))
    encoded = before([piece.replace(SPACE, " ") for piece in pieces], add_special_tokens=False)["input_ids"]
    old_ids = [
        [vocabulary[piece]] if piece in vocabulary else ids or unknown
        for piece, ids in zip(pieces, encoded, strict=True)
    ]
    for role in ROLES:
        if (id := getattr(before, f"{role}_id")) is not None:
            old_ids[getattr(after, f"{role}_id")] = [id]
    return old_ids
