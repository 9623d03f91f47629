"""Chat templates: the Jinja text inside a GGUF, rendered in a sandbox.

A template is a program that comes with a model file, so it runs sandboxed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hatcat.errors import EngineError, InvalidRequest

# For models without a template (base models): plain turns, which a base model continues well enough.
PLAIN = (
    "{% for m in messages %}{{ {'user': 'User', 'assistant': 'Assistant', 'system': 'System'}[m.role] }}: "
    "{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)


class ChatTemplate:
    """One model's template. ``own`` tells whether the model brought it."""

    def __init__(self, source: str | None, bos: str, eos: str) -> None:
        """Compile. Raises EngineError if the model's template is no valid Jinja."""
        self.own = source is not None
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda fmt: datetime.now().astimezone().strftime(fmt)
        try:
            self._template = environment.from_string(source or PLAIN)
        except TemplateError as error:
            raise EngineError(f"the model's chat template is broken: {error}") from error
        self._bos, self._eos = bos, eos

    def render(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The conversation as the model's text, ending where the assistant is to speak.

        Raises InvalidRequest when the template refuses the messages (roles out of order, say).
        """
        try:
            return self._template.render(
                messages=list(messages), add_generation_prompt=True, bos_token=self._bos, eos_token=self._eos
            )
        except (
            TemplateError,
            TypeError,
            LookupError,
            AttributeError,
            ValueError,
            ArithmeticError,
            RecursionError,
        ) as error:
            raise InvalidRequest(
                f"the model's chat template refuses these messages: {error}", param="messages"
            ) from error


def _refuse(message: str) -> None:
    raise TemplateError(message)
