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
import string
from dataclasses import dataclass
from typing import Any

from ftlab.display import Panel, box, say
from ftlab.errors import ConfigError, raise_unknown
from ftlab.files import data_path, read_data
from ftlab.teaching import progress

LETTERS = string.ascii_lowercase


@dataclass(frozen=True)
class Option:
    """One option of a question, and why it is right or not."""

    text: str
    why: str
    right: bool = False

    def reply(self, chosen: str = "") -> tuple[str, str]:
        """Return the explanation, with what was chosen if given, and its tone."""
        text = f"{'Right' if self.right else 'Not quite'}{chosen}. {self.why}"
        return text, "right" if self.right else "wrong"


@dataclass(frozen=True)
class Question:
    """A question with its options, one of them right."""

    text: str
    options: tuple[Option, ...]

    @property
    def right(self) -> int:
        """The position of the right option, from 0."""
        return [option.right for option in self.options].index(True)

    @property
    def lettered(self) -> list[tuple[str, Option]]:
        """The options, each with what is shown of it."""
        named = zip(LETTERS, self.options, strict=False)
        return [(f"{letter}) {option.text}", option) for letter, option in named]


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
        if number not in range(1, len(self.questions) + 1):
            wanted = f"a question from 1 to {len(self.questions)}"
            raise ConfigError(f"Quiz {self.lesson} has no question {number!r}; give {wanted}.")
        lettered = {one[0][0]: one for one in self.questions[number - 1].lettered}
        picked = str(letter).strip().lower()
        if picked not in lettered:
            raise_unknown("option", str(letter), lettered)
        shown, option = lettered[picked]
        progress.note(f"quiz {self.lesson}.{number}", passed=option.right)
        text, tone = option.reply(f": {shown}")
        say(text, tone=tone)

    def __str__(self) -> str:
        lines = [f"Quiz {self.lesson}", ""]
        for number, question in enumerate(self.questions, 1):
            options = [f"   {shown}" for shown, _ in question.lettered]
            lines += [f"{number}. {question.text}", *options, ""]
        lines.append(f'Answer with quiz("{self.lesson}").answer(1, "a"): question 1, option a.')
        return "\n".join(lines)

    def page(self) -> str:
        """Return the quiz for reading alone: each explanation folded under its option."""
        parts = [f"<h3>Quiz {self.lesson}</h3>"]
        for number, question in enumerate(self.questions, 1):
            rows = "".join(
                f"<details style='margin:0.2em 1.5em'><summary>{html.escape(shown)}</summary>"
                f"{box(*option.reply())}</details>"
                for shown, option in question.lettered
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
    return sorted(path.stem for path in data_path("quizzes").glob("*.yaml"))


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
    places = [(shown, index) for index, (shown, _) in enumerate(question.lettered)]
    radio = ipywidgets.RadioButtons(options=places, value=None, layout=wide)
    button = ipywidgets.Button(description="Check", tooltip=f"Check question {number}")
    reply = ipywidgets.HTML(layout=wide)

    def show(_: Any) -> None:
        if radio.value is None:
            reply.value = box("Choose an option first.", "note")
            return
        option = question.options[radio.value]
        progress.note(f"quiz {lesson}.{number}", passed=option.right)
        reply.value = box(*option.reply())

    button.on_click(show)
    return ipywidgets.VBox([title, radio, button, reply])
