import itertools
import json
import math
import random

import pytest

from ftlab import data
from ftlab.errors import ConfigError, DataError, TrainingError
from ftlab.templates import encode
from ftlab.training import methods, sft

RECORDS = [
    data.example(f"Say {w}!", f"the {w} {w}") for w in ("fox", "dog", "capital", "Paris", "hi")
]
FAST = {"epochs": 1, "batch_size": 2, "seed": 3}


def test_labels_are_the_mask_that_is_shown(make_tokenizer):
    tokenizer = make_tokenizer("llama3")
    rows = sft.prepare(tokenizer, RECORDS, max_length=512)
    for record, row in zip(RECORDS, rows, strict=True):
        shown = encode(tokenizer, record)
        assert row["input_ids"] == shown.input_ids
        kept = [label for label in row["labels"] if label != -100]
        assert tokenizer.decode(kept) == data.answer(record) + "<|eot_id|>"


@pytest.mark.parametrize("family", ["chatml", "gemma"])
def test_the_loss_is_that_of_transformers_over_supervised_tokens(make_model, family, monkeypatch):
    import torch

    monkeypatch.setenv("FTLAB_PROFILE", "cpu")
    monkeypatch.setattr("ftlab.hardware.bf16_speedup", lambda **_: 1.0)
    model, tokenizer = make_model(family)
    rows = sft.prepare(tokenizer, RECORDS[:2], max_length=512)
    width = max(len(row["input_ids"]) for row in rows)
    ids, labels = (
        torch.tensor([row[key] + [fill] * (width - len(row[key])) for row in rows])
        for key, fill in (("input_ids", tokenizer.pad_token_id), ("labels", -100))
    )
    mask = (torch.arange(width) < torch.tensor([[len(row["input_ids"])] for row in rows])).long()
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask, labels=labels).loss.item()
    run = sft.train(model, tokenizer, RECORDS[:2], **FAST)
    assert run.history[0]["loss"] == pytest.approx(expected, rel=1e-3)


def test_training_lowers_the_loss_and_counts_what_it_did(make_model):
    model, tokenizer = make_model("chatml")
    told = []
    run = sft.train(
        model, tokenizer, RECORDS, epochs=8, batch_size=2, learning_rate=5e-3,
        eval_records=RECORDS[:2], on_step=lambda *args: told.append(args),
    )  # fmt: skip
    assert run.steps == 24 and [t[0] for t in told] == list(range(1, 25))
    assert told[-1][3] == 0 and all(t[1] == 24 for t in told)
    assert run.history[-1]["loss"] < run.history[0]["loss"] - 1
    assert len(run.evals) == 8 and run.eval_loss == run.evals[-1]["eval_loss"]
    assert run.eval_loss < run.evals[0]["eval_loss"]
    rows = sft.prepare(tokenizer, RECORDS, max_length=512)
    assert run.total_tokens == 8 * sum(len(row["input_ids"]) for row in rows)
    assert 0 < run.supervised_tokens < run.total_tokens
    assert run.trainable == run.parameters


def test_the_same_seed_gives_the_same_weights(make_model):
    import torch

    def weights(seed):
        run = sft.train(*make_model("chatml"), RECORDS, **(FAST | {"seed": seed}))
        return torch.cat([p.detach().flatten() for p in run.model.parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_batches_hold_like_lengths_in_random_order():
    rng = random.Random(0)
    lengths = [rng.randrange(10, 200) for _ in range(330)]
    order = sft.by_length(lengths, 16, random.Random(1))
    assert sorted(order) == list(range(330))
    assert order == sft.by_length(lengths, 16, random.Random(1))
    assert order != sft.by_length(lengths, 16, random.Random(2))
    batches = [[lengths[i] for i in order[k : k + 16]] for k in range(0, 320, 16)]
    assert max(max(batch) - min(batch) for batch in batches) < 40
    firsts = [batch[0] for batch in batches]
    rises = sum(b > a for a, b in itertools.pairwise(firsts))
    assert 4 <= rises <= 15  # neither sorted up nor down


def test_lora_trains_an_adapter_and_leaves_the_base_alone(make_model, tmp_path):
    import torch
    from peft import PeftModel

    model, tokenizer = make_model("qwen2.5")
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run = sft.train(model, tokenizer, RECORDS, method="lora", rank=4, **FAST)
    assert 0 < run.trainable < 0.3 * run.parameters
    saved = run.save(tmp_path / "adapter")
    assert (saved / "adapter_config.json").exists()
    assert not list(saved.glob("*.bin"))
    for name, parameter in run.model.get_base_model().named_parameters():
        if "lora" not in name:
            assert torch.equal(parameter, before[name.replace(".base_layer", "")])
    fresh, _ = make_model("qwen2.5")
    again = PeftModel.from_pretrained(fresh, saved)
    ids = torch.tensor([tokenizer("the fox")["input_ids"]])
    with torch.no_grad():
        assert torch.allclose(again(ids).logits, run.model(ids).logits, atol=1e-5)


def test_a_saved_run_says_how_it_was_made_and_is_never_overwritten(make_model, tmp_path):
    run = sft.train(*make_model("chatml"), RECORDS, **FAST)
    folder = run.save(tmp_path / "tuned")
    told = json.loads((folder / "training.json").read_text())
    assert told["settings"]["seed"] == 3 and len(told["settings"]["data"]) == 64
    assert told["settings"]["learning_rate"] == methods.LEARNING_RATES["full"]
    with pytest.raises(DataError, match="not empty"):
        run.save(folder)
    assert not list(tmp_path.glob(".saving-*"))


def test_a_record_that_does_not_fit_is_told_and_not_cut(make_model):
    model, tokenizer = make_model("chatml")
    long = [*RECORDS, data.example("Say", "dog " * 600)]
    with pytest.raises(DataError, match=r"1 of 6 records .* first is record 6"):
        sft.train(model, tokenizer, long, **FAST)
    with pytest.raises(DataError, match="no records"):
        sft.train(model, tokenizer, [], **FAST)


def test_bad_settings_are_told_at_once(make_model):
    model, tokenizer = make_model("chatml")
    with pytest.raises(ConfigError, match="Did you mean 'lora'"):
        sft.train(model, tokenizer, RECORDS, method="lorra")
    with pytest.raises(ConfigError, match=r"epochs must.*batch_size must"):
        sft.train(model, tokenizer, RECORDS, epochs=0, batch_size=-1)


def test_a_loss_that_is_no_number_stops_the_run(make_model):
    model, tokenizer = make_model("chatml")
    model.model.norm.weight.data.fill_(math.nan)
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        sft.train(model, tokenizer, RECORDS, **FAST)


def test_an_interrupt_is_one_message(make_model):
    model, tokenizer = make_model("chatml")

    def stop(step, *_):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="at step 2 of 3"):
        sft.train(model, tokenizer, RECORDS, on_step=stop, **FAST)
