import pytest

from ftlab.training import memory

SIZE = 60_000_000


def test_the_peak_counts_and_not_what_is_left():
    with memory.growth() as grown:
        block = bytearray(SIZE)
        del block
    assert SIZE * 0.9 < grown.bytes < SIZE * 1.5
    with memory.growth() as grown:
        pass
    assert grown.bytes < SIZE / 10  # an earlier peak is not this block's


def test_where_the_system_keeps_no_mark_it_is_looked_at(monkeypatch):
    import time

    monkeypatch.setattr(memory, "_reset", lambda: False)
    with memory.growth() as grown:
        block = bytearray(SIZE)
        time.sleep(0.1)
        del block
    assert SIZE * 0.9 < grown.bytes < SIZE * 1.5 and "5 ms" in grown.how


def test_weights_are_counted_once_and_as_they_are_held(make_model):
    import torch

    model, _ = make_model("chatml")  # its head is its embeddings
    count = sum(p.numel() for p in model.parameters())
    extra = sum(b.numel() * b.element_size() for b in model.buffers())
    assert memory.weights_bytes(model) == pytest.approx(4 * count + extra, abs=256)
    assert memory.weights_bytes(model.to(torch.bfloat16)) < 0.6 * 4 * count + extra


@pytest.mark.gpu
def test_on_a_gpu_torch_counts():
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA here")
    with memory.growth("cuda") as grown:
        torch.empty(SIZE, dtype=torch.uint8, device="cuda")
    assert SIZE <= grown.bytes < SIZE * 1.1
