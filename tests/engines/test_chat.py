"""Chat templates: rendered like the model expects, and unable to do harm."""

from __future__ import annotations

import pytest

from hatcat.engines.chat import ChatTemplate
from hatcat.engines.llama import LlamaEngine
from hatcat.errors import EngineError, InvalidRequest

HELLO = [{"role": "user", "content": "Hello"}]


def render(source: str | None, messages: list[dict[str, str]] = HELLO) -> str:
    return ChatTemplate(source, "<s>", "</s>").render(messages)


def test_the_models_own_template(engine: LlamaEngine) -> None:
    messages = [{"role": "system", "content": "Be brief."}, *HELLO]
    assert engine.render(messages) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_rendered_conversation_becomes_control_tokens(engine: LlamaEngine) -> None:
    ids = engine.chat(HELLO)
    assert engine.tokenize("<|im_start|>", special=True) == ids[:1]
    assert b"<|im_start|>" not in b"".join(engine.token_bytes(i) for i in ids)


def test_a_model_without_template_gets_plain_turns() -> None:
    turns = [*HELLO, {"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Bye"}]
    assert render(None, turns) == "User: Hello\n\nAssistant: Hi\n\nUser: Bye\n\nAssistant:"
    assert not ChatTemplate(None, "", "").own
    assert ChatTemplate("x", "", "").own


def test_what_templates_are_given() -> None:
    source = "{{ bos_token }}{% for m in messages %}{{ m['content'] | tojson }}{% endfor %}{{ eos_token }}"
    assert render(source, [{"role": "user", "content": 'é "quoted"'}]) == '<s>"é \\"quoted\\""</s>'
    assert render("{{ strftime_now('%Y') }}").startswith("20")


def test_blocks_leave_no_white_space() -> None:
    assert render("{% for m in messages %}\n  {% if true %}\n{{ m.role }}\n  {% endif %}\n{% endfor %}\n") == "user\n"


def test_a_template_that_refuses_the_messages_says_why() -> None:
    with pytest.raises(InvalidRequest, match="roles must alternate") as caught:
        render("{{ raise_exception('roles must alternate') }}")
    assert caught.value.param == "messages"


def test_a_template_that_is_no_jinja_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="chat template is broken"):
        ChatTemplate("{% for %}", "", "")


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__['json'] }}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_the_sandbox_holds(source: str) -> None:
    with pytest.raises(InvalidRequest):
        render(source)


@pytest.mark.parametrize("source", ["{{ messages[9].content.x }}", "{{ 1 + 'a' }}", "{{ '%d' % 'a' }}", "{{ 1 / 0 }}"])
def test_a_template_that_fails_while_rendering_is_the_requests_error(source: str) -> None:
    with pytest.raises(InvalidRequest, match="refuses these messages"):
        render(source)
