"""A tiny masked language model from scratch, in a minute on a CPU: the demonstration's encoder."""

from pathlib import Path

from transformers import (
    DataCollatorForLanguageModeling,
    Trainer,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    set_seed,
)

from hub_cards.repo import save_tokenizer

from .tokenizer import train_tokenizer


BLOCK = 126  # subwords of a training example, without its two special tokens


def pretrain_tiny(folder: Path, texts: list[str], steps: int) -> None:
    """Trains a tokenizer and a tiny masked language model on texts, and writes both to `folder`."""
    set_seed(0)
    tokenizer = train_tokenizer(texts)
    ids = tokenizer("\n".join(texts), add_special_tokens=False, verbose=False)["input_ids"]
    blocks = [{"input_ids": [0, *ids[i : i + BLOCK], 2]} for i in range(0, len(ids) - BLOCK, BLOCK)]
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=384,
        max_position_embeddings=514,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.0,
        type_vocab_size=1,
        initializer_range=0.08,  # near 1 / sqrt(width): with the 0.02 of large models it learns little at first
    )
    args = TrainingArguments(
        output_dir=str(folder.with_name("pretraining")),
        per_device_train_batch_size=16,
        max_steps=steps,
        learning_rate=2e-3,
        lr_scheduler_type="linear",
        warmup_steps=steps // 10,
        logging_steps=steps // 4,
        save_strategy="no",
        dataloader_pin_memory=False,
        report_to="none",
    )
    model = XLMRobertaForMaskedLM(config)
    Trainer(model, args, DataCollatorForLanguageModeling(tokenizer), blocks, processing_class=tokenizer).train()
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
