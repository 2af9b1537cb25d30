import pytest

from ftlab.errors import ConfigError
from ftlab.evaluation.generate import continue_text, generate
from ftlab.templates import prompt_ids

QUESTIONS = [
    "Say hi!",
    "What is the capital of France? It is a fine town",
    "fox",
    "a dog and a fox",
]
PROMPTS = [[{"role": "user", "content": text}] for text in QUESTIONS]


@pytest.mark.parametrize("family", ["chatml", "qwen2.5", "llama3", "gemma", "mistral"])
def test_batched_greedy_text_is_that_of_one_prompt_at_a_time(make_model, family):
    import torch

    model, tokenizer = make_model(family, tie_word_embeddings=False, initializer_range=0.3)
    together = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3)
    for messages, answer in zip(PROMPTS, together, strict=True):
        ids = torch.tensor([prompt_ids(tokenizer, messages)])
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        alone = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        assert answer == alone
    assert len(set(together)) > 1


def test_generation_stops_at_the_end_of_a_turn(make_model, monkeypatch):
    import torch

    model, tokenizer = make_model("chatml")
    said = tokenizer("fox")["input_ids"]
    script = [*said, tokenizer.convert_tokens_to_ids("<|im_end|>"), *said]
    place = iter(range(100))

    def scripted(module, inputs, output):
        output.logits = torch.full_like(output.logits, -10.0)
        output.logits[:, -1, script[next(place)]] = 10.0
        return output

    handle = model.register_forward_hook(scripted)
    assert generate(model, tokenizer, PROMPTS[:1], max_new_tokens=9) == ["fox"]
    handle.remove()
    assert next(place) == len(said) + 1


def test_sampling_is_fixed_by_the_seed(make_model):
    model, tokenizer = make_model("chatml")
    how = {"max_new_tokens": 12, "temperature": 1.0}
    first = generate(model, tokenizer, PROMPTS, seed=1, **how)
    assert first == generate(model, tokenizer, PROMPTS, seed=1, **how)
    assert first != generate(model, tokenizer, PROMPTS, seed=2, **how)


def test_progress_counts_up_to_all(make_model):
    model, tokenizer = make_model("chatml")
    seen = []
    generate(
        model, tokenizer, PROMPTS, max_new_tokens=2, batch_size=3,
        progress=lambda done, total, left: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(3, 4), (4, 4)]


def test_no_prompts_no_answers(make_model):
    assert generate(*make_model("chatml"), []) == []


def test_plain_text_is_continued_without_a_template(make_model):
    model, tokenizer = make_model("chatml")
    assert isinstance(continue_text(model, tokenizer, "The quick", max_new_tokens=3), str)


def test_values_out_of_range_and_prompts_too_long_are_told(make_model):
    model, tokenizer = make_model("chatml")
    with pytest.raises(ConfigError, match="max_new_tokens"):
        generate(model, tokenizer, PROMPTS, max_new_tokens=0)
    with pytest.raises(ConfigError, match="context holds 512"):
        generate(model, tokenizer, [[{"role": "user", "content": "dog " * 600}]])
