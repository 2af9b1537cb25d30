from ftlab.teaching.memory import sliders

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_hidden_layers": 6, "vocab_size": 512,
}  # fmt: skip


def test_the_widget_follows_its_choices_and_its_start_stays_when_saved(monkeypatch):
    start = sliders(TINY, gpu="T4", length=32, batch_size=2)
    bundle = start._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}  # a terminal, or a saved notebook
    assert "fits T4" in bundle["text/plain"] and 'role="img"' in bundle["text/html"]

    monkeypatch.setattr("ftlab.teaching.memory.in_notebook", lambda: True)
    live = start._repr_mimebundle_()
    assert set(live) - set(bundle) == {"application/vnd.jupyter.widget-view+json"}

    box = start.widget()
    method, _, length, *_, shown = box.children
    assert "rank 32" in shown.value and "2 × 32 tokens" in shown.value
    method.value = "full"
    assert "together" in shown.value and "rank 32" not in shown.value
    length.value = 64
    assert "2 × 64 tokens" in shown.value
