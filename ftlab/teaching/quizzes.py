"""Quizzes: five questions a lesson, with an explanation for every option, right or wrong.

The questions are in `data/quizzes/`, a file a lesson.

In a notebook each question is a set of radio buttons and a button "Check" (Tab, the arrow keys and
Space are enough). Where no widget can be drawn, in a terminal, or in a saved notebook that is only
looked at, the same quiz is a text, and `answer` takes the place of the button.

>>> options = (Option("3", "One too many."), Option("2", "So it is.", right=True))
>>> sum_quiz = Quiz("99", (Question("What is 1 + 1?", options),))
>>> print(sum_quiz)
Quiz 99
<BLANKLINE>
1. What is 1 + 1?
   a) 3
   b) 2
<BLANKLINE>
Answer with quiz("99").answer(1, "a"): question 1, option a.
>>> sum_quiz.answer(1, "a")
Not quite: a) 3. One too many.
"""

import html
import pkgutil
import string
from dataclasses import dataclass
from typing import Any

from ftlab.display import Panel, box, say
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import read_data
from ftlab.teaching import progress

LETTERS = string.ascii_lowercase


@dataclass(frozen=True)
class Option:
    """One option of a question, and why it is right or not."""

    text: str
    why: str
    right: bool = False

    @property
    def tone(self) -> str:
        """The colour of its explanation."""
        return "right" if self.right else "wrong"

    def reply(self, chosen: str = "") -> str:
        """Return the explanation, with what was chosen if it does not stand beside it."""
        return f"{'Right' if self.right else 'Not quite'}{chosen}. {self.why}"


@dataclass(frozen=True)
class Question:
    """A question with its options, one of them right."""

    text: str
    options: tuple[Option, ...]

    @property
    def right(self) -> int:
        """The position of the right option, from 0."""
        return [option.right for option in self.options].index(True)


@dataclass(frozen=True, repr=False)
class Quiz(Panel):
    """A lesson's quiz: widgets in a notebook, text elsewhere."""

    lesson: str
    questions: tuple[Question, ...]

    def answer(self, number: int, letter: str) -> None:
        """Show whether an option is right, and why.

        Args:
            number: the question, from 1.
            letter: the option: "a", "b", …
        """
        if not (isinstance(number, int) and 1 <= number <= len(self.questions)):
            wanted = f"a question from 1 to {len(self.questions)}"
            raise ConfigError(f"Quiz {self.lesson} has no question {number!r}; give {wanted}.")
        options = self.questions[number - 1].options
        letters = LETTERS[: len(options)]
        picked = str(letter).strip().lower()
        if len(picked) != 1 or picked not in letters:
            raise_unknown("option", str(letter), letters)
        option = options[letters.index(picked)]
        progress.note(f"quiz {self.lesson}.{number}", passed=option.right)
        say(option.reply(f": {picked}) {option.text}"), tone=option.tone)

    def __str__(self) -> str:
        lines = [f"Quiz {self.lesson}", ""]
        for number, question in enumerate(self.questions, 1):
            lines.append(f"{number}. {question.text}")
            for letter, option in zip(LETTERS, question.options, strict=False):
                lines.append(f"   {letter}) {option.text}")
            lines.append("")
        lines.append(f'Answer with quiz("{self.lesson}").answer(1, "a"): question 1, option a.')
        return "\n".join(lines)

    def page(self) -> str:
        """Return the quiz for reading alone: each explanation folded under its option."""
        parts = [f"<h3>Quiz {self.lesson}</h3>"]
        for number, question in enumerate(self.questions, 1):
            rows = "".join(
                f"<details style='margin:0.2em 1.5em'><summary>{letter}) "
                f"{html.escape(option.text)}</summary>"
                f"{box(option.reply(), option.tone)}</details>"
                for letter, option in zip(LETTERS, question.options, strict=False)
            )
            parts.append(f"<p><b>{number}. {html.escape(question.text)}</b></p>{rows}")
        return "".join(parts)

    def widget(self) -> Any:
        """Return the quiz as one ipywidgets box."""
        import ipywidgets

        # Long options must wrap, where the widgets' own style cuts them at one line.
        style = ipywidgets.HTML(
            "<style>.ftlab-quiz label{height:auto!important;white-space:normal!important;"
            "line-height:1.5!important}.ftlab-quiz .widget-radio-box{width:auto;max-width:100%}"
            f"</style><h3>Quiz {html.escape(self.lesson)}</h3>"
        )
        rows = [
            _question_widget(self.lesson, n, question)
            for n, question in enumerate(self.questions, 1)
        ]
        whole = ipywidgets.VBox([style, *rows])
        whole.add_class("ftlab-quiz")
        return whole


def lessons() -> list[str]:
    """Return the lessons' two digits, sorted."""
    import ftlab.teaching

    names = [module.name for module in pkgutil.iter_modules(ftlab.teaching.__path__)]
    return sorted(name.removeprefix("lesson") for name in names if name.startswith("lesson"))


def quiz(lesson: str) -> Quiz:
    """Return a lesson's quiz; as the last line of a notebook cell it is shown.

    Args:
        lesson: the lesson's two digits, as in "00".

    Raises:
        ConfigError: the lesson does not exist.
    """
    if lesson not in lessons():
        raise_unknown("lesson", str(lesson), lessons())
    rows = read_data(f"quizzes/{lesson}.yaml")
    return Quiz(lesson, tuple(
        Question(row["question"], tuple(Option(**option) for option in row["options"]))
        for row in rows
    ))  # fmt: skip


def _question_widget(lesson: str, number: int, question: Question) -> Any:
    """One question: its text, the radio buttons, the button, and room for the explanation."""
    import ipywidgets

    wide = ipywidgets.Layout(width="auto", max_width="60em")
    title = ipywidgets.HTML(f"<b>{number}. {html.escape(question.text)}</b>")
    lettered = [
        (f"{letter}) {option.text}", index)
        for index, (letter, option) in enumerate(zip(LETTERS, question.options, strict=False))
    ]
    radio = ipywidgets.RadioButtons(options=lettered, value=None, layout=wide)
    button = ipywidgets.Button(description="Check", tooltip=f"Check question {number}")
    reply = ipywidgets.HTML(layout=wide)

    def show(_: Any) -> None:
        if radio.value is None:
            reply.value = box("Choose an option first.", "note")
            return
        option = question.options[radio.value]
        progress.note(f"quiz {lesson}.{number}", passed=option.right)
        reply.value = box(option.reply(), option.tone)

    button.on_click(show)
    return ipywidgets.VBox([title, radio, button, reply])
