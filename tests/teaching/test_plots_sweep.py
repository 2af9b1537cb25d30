from ftlab.teaching import plots_sweep
from ftlab.training.study import Sweep, Trial
from ftlab.training.sweep import defaults

DEFAULT = defaults("lora")


def made(*losses):
    trials = [
        Trial(
            i, DEFAULT | {"learning_rate": 1e-3 * (i or 2), "epochs": 3 - i % 2},
            "complete" if loss else "pruned", loss, {1: 0.9, 4: loss} if loss else {1: 0.9}, 30,
        )
        for i, loss in enumerate(losses)
    ]  # fmt: skip
    return Sweep({"default": DEFAULT, "finalists": 2}, trials, [], 2.0).to_json()


def test_both_pictures_tell_what_they_show():
    told = made(0.5, 0.4, None, 0.6)
    lines = plots_sweep.parallel(told)
    assert "3 trials by learning_rate, rank, epochs, batch_size" in lines.alt
    assert "lowest is trial 1 at 0.4000; 1 were pruned or failed" in lines.alt
    axes = lines.figure.axes[0]
    assert len([line for line in axes.lines if len(line.get_xdata()) == 5]) == 3
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {
        "default", "lowest: 1", "pruned or failed",
    }  # fmt: skip
    spent = plots_sweep.minutes(told)
    assert "over 2.0 minutes of search, from 0.5000 to 0.4000" in spent.alt
    assert spent.png().startswith(b"\x89PNG") and lines.png().startswith(b"\x89PNG")


def test_a_sweep_of_the_default_alone_can_be_drawn():
    told = made(0.5)
    assert "from 0.5000 to 0.5000" in plots_sweep.minutes(told).alt
    assert plots_sweep.parallel(told).png()
