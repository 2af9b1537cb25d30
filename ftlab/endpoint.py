"""A model behind OpenAI's protocol: asked with the official client, its errors named.

The client waits and tries again on 429 and 5xx (`Retry-After` is obeyed). Its settings come from
arguments or from the variables that it reads everywhere: OPENAI_BASE_URL, OPENAI_API_KEY; and
OPENAI_MODEL.
"""

import difflib
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ftlab.errors import ConfigError, ModelError, OfflineError

__all__ = ["Answer", "Messages", "NoAnswer", "Teacher", "connect", "reach", "request_hash"]

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What a model wrote, as it wrote it, and what that took."""

    text: str
    tokens_in: int = 0
    tokens_out: int = 0
    finished: bool = True  # False where the limit on its length cut it off
    model: str = ""  # who wrote it, as the endpoint says
    seconds: float = 0.0


class NoAnswer(Exception):
    """A request came to nothing. `lasting` says that asking again would not help."""

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


def request_hash(messages: Messages, **settings: Any) -> str:
    """Return what names a request: 16 hex digits of the hash of its roles, contents and settings.

    >>> request_hash([{"role": "user", "content": "Hi"}])
    'd7760b4ba3077c46'
    """
    calls = [m for m in messages if m.get("tool_calls")]
    said = [[message.get("role"), message.get("content")] for message in messages]
    more = [calls, settings] if calls or settings else []
    text = json.dumps([said, more] if more else said, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Teacher:
    """A model at an endpoint, with the settings that its answers follow from; see `connect`."""

    def __init__(
        self, client: Any, model: str, *, answer_tokens: int = 1024,
        temperature: float | None = None,
    ) -> None:  # fmt: skip
        self.client, self.model = client, model
        self.answer_tokens, self.temperature = answer_tokens, temperature
        self._limit = "max_tokens"  # OpenAI's newer models want the other name, and say so
        self._heat: dict[str, float] = {} if temperature is None else {"temperature": temperature}

    def settings(self, sample: int = 0) -> dict[str, Any]:
        """Return what an answer depends on beside the messages; the address is no part of it."""
        own = {"model": self.model, "answer_tokens": self.answer_tokens}
        more = {"sample": sample} if sample else {}
        return {**own, "temperature": self.temperature, **more}

    def ask(self, messages: Messages, *, sample: int = 0, **more: Any) -> Answer:
        """Return the model's answer; `sample`, sent as `seed`, says which of several.

        `more` are further parameters of the protocol, such as `tools`.

        Raises:
            NoAnswer: this request came to nothing.
            ConfigError, ModelError, OfflineError: no request can succeed.
        """
        import openai

        begun = time.perf_counter()
        key = request_hash(messages, **self.settings(sample), **more)
        more |= {"seed": sample} if sample else {}
        while True:
            try:
                reply = self.client.chat.completions.create(
                    model=self.model, messages=[dict(message) for message in messages],
                    extra_headers={"Idempotency-Key": key},
                    **{self._limit: self.answer_tokens}, **self._heat, **more,
                )  # fmt: skip
                return _answer(reply, messages, time.perf_counter() - begun)
            except openai.BadRequestError as error:
                if self._limit == "max_tokens" and "max_completion_tokens" in str(error):
                    self._limit = "max_completion_tokens"
                elif self._heat and "temperature" in str(error):  # some take none but their own
                    self._heat = {}
                else:
                    reason = f"the endpoint refused it: {_message(error)}"
                    raise NoAnswer(reason, lasting=True) from None
            except openai.APIError as error:
                raise _meaning(error, self.model, str(self.client.base_url)) from None
            except (ValueError, AttributeError, IndexError, TypeError):  # no JSON, or of no use
                raise NoAnswer("the reply was not JSON of a chat completion") from None


def connect(
    model: str | None = None, *, base_url: str | None = None, api_key: str | None = None,
    answer_tokens: int = 1024, temperature: float | None = None, timeout: float = 120.0,
    retries: int = 5,
) -> Teacher:  # fmt: skip
    """Return a model behind an OpenAI-compatible endpoint, once it is known to be there.

    Args:
        model: its name there; by default OPENAI_MODEL.
        base_url: such as http://localhost:8000/v1; by default OPENAI_BASE_URL, else OpenAI's own.
        api_key: by default OPENAI_API_KEY; an endpoint on this machine needs none.
        answer_tokens: most tokens in an answer.
        temperature: None leaves it to the endpoint.
        timeout: seconds to wait for an answer.
        retries: times to try again, with growing pauses, on 429, 5xx or a lost connection.

    Raises:
        ConfigError: no model or no key is named, or the key is refused.
        ModelError: the endpoint has no such model; the message lists those that it has.
        OfflineError: the endpoint cannot be reached.
    """
    import openai

    url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    at_home = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if at_home else "")
    if not key:
        raise ConfigError(
            f"The endpoint {url} needs a key: set OPENAI_API_KEY in the environment. For an "
            "endpoint of your own, set --base-url or OPENAI_BASE_URL, such as "
            "http://localhost:8000/v1."
        )
    client = openai.OpenAI(api_key=key, base_url=url, timeout=timeout, max_retries=retries)
    name = model or os.environ.get("OPENAI_MODEL") or ""
    return reach(client, name, answer_tokens=answer_tokens, temperature=temperature)


def reach(
    client: Any, model: str, *, answer_tokens: int = 1024, temperature: float | None = None
) -> Teacher:
    """Return a model at a client's endpoint, once it is known to be there; raises as `connect`."""
    import openai

    url = str(client.base_url).rstrip("/")
    try:
        quick = client.with_options(max_retries=min(client.max_retries, 2))
        offered = sorted(found.id for found in quick.models.list().data)
    except (openai.NotFoundError, ValueError, AttributeError, TypeError):
        offered = []  # the endpoint does not list its models
    except openai.APIError as error:
        problem = _meaning(error, model, url)
        if isinstance(problem, NoAnswer):
            problem = ModelError(f"The endpoint {url} does not answer: {problem}. Try again later.")
        raise problem from None
    names = f" It offers: {', '.join(offered[:20])}{', …' * (len(offered) > 20)}." * bool(offered)
    if not model:
        raise ConfigError(f"Name a model of {url}: --model NAME, or set OPENAI_MODEL.{names}")
    if offered and model not in offered:
        near = difflib.get_close_matches(model, offered, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"The endpoint {url} has no model {model!r}.{hint}{names}")
    return Teacher(client, model, answer_tokens=answer_tokens, temperature=temperature)


def _answer(reply: Any, messages: Messages, seconds: float) -> Answer:
    """Read a chat completion; tokens that the endpoint does not tell are guessed."""
    choice, used = reply.choices[0], reply.usage
    text = choice.message.content or getattr(choice.message, "refusal", None) or ""
    size = sum(len(message.get("content") or "") for message in messages)
    into, out = (
        (used.prompt_tokens, used.completion_tokens) if used else (size // 4, len(text) // 4)
    )
    return Answer(
        text, into, out, choice.finish_reason != "length", reply.model or "", round(seconds, 3)
    )


def _message(error: Any) -> str:
    """Return what an endpoint said, on one line."""
    body = error.body if isinstance(getattr(error, "body", None), dict) else {}
    return " ".join(str(body.get("message") or error).split())[:300]


def _meaning(error: Any, model: str, url: str) -> Exception:
    """Return what an error of the client means for the user: to mend, or to try again."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return NoAnswer("no answer in time")
    if isinstance(error, openai.APIConnectionError):
        why = error.__cause__ or error
        return OfflineError(
            f"The endpoint {url} cannot be reached: {why}. Start it, or set --base-url (or "
            "OPENAI_BASE_URL) to where it is."
        )
    if isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
        return ConfigError(
            f"The endpoint {url} refused the key: {_message(error)}. "
            "Set OPENAI_API_KEY to a valid one."
        )
    if isinstance(error, openai.NotFoundError):
        return ModelError(
            f"The endpoint {url} found nothing for the model {model!r}: {_message(error)}. Check "
            "the model's name, and that the URL ends as the endpoint wants it, often in /v1."
        )
    if getattr(error, "code", None) == "insufficient_quota":
        return ConfigError(f"The account at {url} has nothing left to spend: {_message(error)}.")
    if isinstance(error, openai.APIStatusError):
        lasting = error.status_code < 500 and error.status_code not in (408, 409, 429)
        return NoAnswer(f"error {error.status_code}: {_message(error)}", lasting=lasting)
    return NoAnswer(_message(error))
