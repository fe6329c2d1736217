"""What is wrong with a filled-in form is told in words for whoever fills it in, with what they call the field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app import form_faults
from app.errors import InputError
from app.knowledge.sync.sources import Sources

SOURCES = Sources()


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("imap", {}, "Server: Fill this in."),
        ("imap", {"host": "", "user": "a"}, "Server: Fill this in."),
        (
            "imap",
            {"host": "x", "user": "a", "port": 99_999},
            "Port: Type a number from 0 to 65,535.",
        ),
        ("folder", {}, "Folder: Fill this in."),
        (
            "folder",
            {"path": "/x", "watching": "?"},
            "Watch for changes: Choose one: at once, every 10 seconds, no.",
        ),
        ("s3", {"bucket": "a"}, "Bucket: Type at least 3 characters."),
        ("website", {"start": []}, "Start addresses: Fill in at least one."),
        (
            "website",
            {"start": ["x"]},
            "Start addresses: 'x' is no web address; it starts with https:// or http://.",
        ),
        (
            "github",
            {"organization": "a b"},
            "Organization: This cannot be one: look for a space or a sign that does not belong.",
        ),
        (
            "confluence",
            {"url": "x"},
            "Site address: Enter an address that starts with https://.",
        ),
    ],
)
def test_settings_of_a_source_that_do_not_fit(kind: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as refused:
        SOURCES.validated(kind, given)
    assert refused.value.message == says


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        ("confluence", {}, "API token: Fill this in."),
        (
            "llama_reader",
            {"arguments": "token: hunter2"},
            'Secret constructor arguments: Write it as { name = "value" }.',
        ),
    ],
)
def test_a_secret_that_does_not_fit_is_named_and_never_repeated(
    kind: str, given: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError) as refused:
        SOURCES.secrets(kind, given)
    assert refused.value.message == says


PROGRAMMERS = ("Input should", "Value error", "String should", "Tuple should")


@pytest.mark.parametrize("kind", [kind.kind for kind in SOURCES.kinds()])
def test_no_field_of_any_source_answers_in_words_for_programmers(kind: str) -> None:
    """Whatever is typed into it, as far as its form lets it be typed."""
    models = next((k.settings_model, k.secrets_model) for k in SOURCES.kinds() if k.kind == kind)
    for model in models:
        for name, field in model.model_fields.items():
            typed = [[], ["x"]] if "tuple" in str(field.annotation) else ["", "a b", "x" * 5000]
            numbers = [-1, 10**9] if field.annotation in (int, float) else []
            for value in numbers or typed:
                try:
                    model.model_validate({name: value})
                except ValidationError as error:
                    words = form_faults.told(model, error).get(name, "")
                    assert not any(said in words for said in PROGRAMMERS), (name, value, words)
