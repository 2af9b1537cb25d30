import pytest

from ftlab import decoding
from ftlab.decoding import _common, decode
from ftlab.errors import ConfigError
from ftlab.generation import continue_text, generate
from ftlab.templates import end_of_turn_ids, prompt_ids

QUESTIONS = [
    "Say hi!",
    "What is the capital of France? It is a fine town",
    "fox",
    "a dog and a fox",
    "fox " * 30,
    "The quick brown fox jumps over the lazy dog.",
    "Hello",
]
PROMPTS = [[{"role": "user", "content": text}] for text in QUESTIONS]
WILD = {"tie_word_embeddings": False, "initializer_range": 0.3}


def one_by_one(model, tokenizer, prompts, count):
    """Return what transformers writes to each prompt alone."""
    import torch

    texts = []
    for messages in prompts:
        ids = torch.tensor([prompt_ids(tokenizer, messages)])
        out = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=count,
            do_sample=False,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=end_of_turn_ids(tokenizer),
        )
        texts.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return texts


def of_class(make_tokenizer, kind, **settings):
    """Return a tiny random model of a transformers class, and a tokenizer for it."""
    import torch
    import transformers

    tokenizer = make_tokenizer("chatml")
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, initializer_range=0.3, **settings,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        name = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
        return getattr(transformers, name)(config).eval(), tokenizer


@pytest.mark.parametrize("family", ["chatml", "qwen2.5", "llama3", "gemma", "mistral"])
@pytest.mark.parametrize("size", [3, 64])
def test_greedy_text_is_that_of_one_prompt_at_a_time(make_model, family, size):
    model, tokenizer = make_model(family, **WILD)
    together = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=size)
    assert together == one_by_one(model, tokenizer, PROMPTS, 12)
    assert len(set(together)) > 1


# The first window is shorter than the texts, so transformers answers; the second one holds them.
@pytest.mark.parametrize(("window", "batched"), [(16, False), (128, True)])
def test_a_sliding_window_sees_what_it_sees_alone(make_model, monkeypatch, window, batched):
    model, tokenizer = make_model("mistral", sliding_window=window, **WILD)
    calls = []
    monkeypatch.setattr(decoding, "decode", lambda *a, **k: calls.append(1) or decode(*a, **k))
    together = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3)
    assert together == one_by_one(model, tokenizer, PROMPTS, 12)
    assert bool(calls) == batched


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
OTHERS = {
    "GPTNeoX": {**SMALL, "intermediate_size": 64},
    "GPT2": {"n_embd": 32, "n_layer": 2, "n_head": 2},  # learned positions
    "Bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},  # distances, no positions
    "Gemma2": {
        **SMALL, "intermediate_size": 64, "head_dim": 16, "num_key_value_heads": 1,
        "sliding_window": 8, "attn_implementation": "eager",
    },  # a window in every other layer
    "Qwen3Moe": {
        **SMALL, "intermediate_size": 64, "moe_intermediate_size": 16, "num_experts": 4,
        "num_key_value_heads": 1, "num_experts_per_tok": 2, "head_dim": 16,
    },
    "Mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},  # no keys and values
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_other_architectures_too(make_tokenizer, kind):
    model, tokenizer = of_class(make_tokenizer, kind, **OTHERS[kind])
    together = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3)
    assert together == one_by_one(model, tokenizer, PROMPTS, 12)


def test_an_adapter_answers_as_it_does_alone_and_merged(make_model):
    import torch
    from peft import LoraConfig, get_peft_model

    model, tokenizer = make_model("chatml", **WILD)
    plain = generate(model, tokenizer, PROMPTS, max_new_tokens=12)
    tuned = get_peft_model(model, LoraConfig(target_modules=["q_proj", "v_proj"])).eval()
    with torch.no_grad():
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(1))
    adapted = generate(tuned, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3)
    assert adapted == one_by_one(tuned, tokenizer, PROMPTS, 12) != plain
    merged = tuned.merge_and_unload()
    assert generate(merged, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3) == adapted


def test_the_makers_repetition_penalty_is_kept(make_model):
    model, tokenizer = make_model("qwen2.5", **WILD)
    free = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3)
    model.generation_config.repetition_penalty = 1.3
    fined = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=3)
    assert fined == one_by_one(model, tokenizer, PROMPTS, 12) != free


def test_finished_rows_are_not_computed_on(make_model):
    model, _ = make_model("chatml", **WILD)
    rows = []
    handle = model.register_forward_hook(
        lambda module, args, kwargs, output: rows.append(kwargs["input_ids"].shape[0]),
        with_kwargs=True,
    )
    rooms = [2, 9, 2, 2, 2, 2]
    answers = dict(decode(model, [[5, i] for i in range(6)], rooms, [3], 1, batch_size=3))
    handle.remove()
    assert all(len(answers[i]) <= rooms[i] for i in range(6)) and len(answers) == 6
    # The common token, then three at once; two by two where a row ended; and the long one alone.
    assert sum(rows[1:]) < 3 * len(rows[1:]) and rows[-1] == 1


def test_long_prompts_share_a_bounded_cache(make_model, monkeypatch):
    model, tokenizer = make_model("chatml", **WILD)
    plain = generate(model, tokenizer, PROMPTS, max_new_tokens=12)
    cells = []
    monkeypatch.setattr(decoding, "CACHED", 200)
    handle = model.register_forward_hook(
        lambda module, args, kwargs, output: cells.append(kwargs["attention_mask"].numel()),
        with_kwargs=True,
    )
    assert generate(model, tokenizer, PROMPTS, max_new_tokens=12) == plain
    handle.remove()
    assert max(cells) <= 200


def test_the_shared_beginning_leaves_a_token_for_each():
    assert _common([[1, 2, 3], [1, 2, 4]]) == [1, 2]
    assert _common([[1, 2], [1, 2]]) == [1]
    assert _common([[1, 2, 3], [1]]) == []
    assert _common([[1, 2, 3]]) == []


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


def test_a_sampled_answer_does_not_depend_on_the_batch(make_model):
    import torch

    model, tokenizer = make_model("chatml")
    how = {"max_new_tokens": 12, "temperature": 1.0, "seed": 1}
    state = torch.random.get_rng_state()
    alone = generate(model, tokenizer, PROMPTS, batch_size=1, **how)
    assert generate(model, tokenizer, PROMPTS, batch_size=4, **how) == alone
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_follow_the_models_probabilities(make_model):
    import torch

    model, _ = make_model("chatml", initializer_range=0.3)
    with torch.no_grad():
        want = (model(torch.tensor([[5, 6]])).logits[0, -1] / 2.0).softmax(-1)
    drawn = decode(model, [[5, 6]] * 2000, [1] * 2000, [], 1, batch_size=1000, temperature=2.0)
    got = torch.bincount(torch.tensor([t for _, (t,) in drawn]), minlength=len(want)) / 2000
    # 2,000 draws are 0.17 from the truth by chance alone; the half of the L1 norm is meant.
    assert (got - want).abs().sum() / 2 < 0.2 < (got - want.flip(0)).abs().sum() / 2


def test_progress_counts_up_to_all(make_model):
    model, tokenizer = make_model("chatml")
    seen = []
    generate(
        model, tokenizer, PROMPTS, max_new_tokens=2, batch_size=3,
        progress=lambda done, total, left: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(3, 7), (6, 7), (7, 7)]


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
    with pytest.raises(ConfigError, match="no text"):
        continue_text(model, tokenizer, "")


def test_each_answer_has_the_room_that_its_own_prompt_leaves(make_model):
    model, tokenizer = make_model("chatml", max_position_embeddings=60, **WILD)
    prompts = [[{"role": "user", "content": text}] for text in ("fox", "fox " * 20)]
    together = generate(model, tokenizer, prompts, max_new_tokens=100)
    rooms = [60 - len(prompt_ids(tokenizer, prompt)) for prompt in prompts]
    assert together == [
        one_by_one(model, tokenizer, [prompt], room)[0]
        for prompt, room in zip(prompts, rooms, strict=True)
    ]
