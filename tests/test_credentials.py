"""Addresses with a name or a key in them are found, by the program and by the schema of a form alike."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.credentials import WITHOUT, holds_credentials, refuse_credentials
from inception_loop.errors import ConfigurationError
from inception_loop.watch_parameters import WatchParameters

HELD = (
    "s3://AKIA:hush@bucket/x",
    "s3://AKIA:hu/sh@bucket",
    "s3://AKIA:hush",
    "s3://hush@bucket",
    "https://me:hush@host:8443/x",
    "https:/me:hush@host",  # as a path object writes it
    "tls://me:hush@10.0.0.1:8786",
    "first s3://bucket, then\nhttps://hush@host",
    "s3://bucket/x?X-Amz-Signature=hush",
    "https://host/b/x?versionId=1&X-Amz-Credential=hush",
    "https://host/x?sv=2024&sig=hush",
    "https://host/x?access_token=hush",
)
NONE = (
    "s3://bucket/2026-11-23T20:00/a@b",
    "s3://arn:aws:s3:eu-central-1:123:accesspoint/x",
    "file:///data/me@rig/17-1-2.nwb",
    "tcp://10.0.0.1:8786",
    "http://[::1]:4200/api",
    "http://host:4200?x=1",
    "s3://bucket/x?versionId=1&signatures=2",
    "s3://bucket/token=a",
    "/data/a:b@c",
    "me@example.org",
    "mouse{animal_id}:{session}@{scan_idx}",
    "memory://notebook",
    "",
)


@pytest.mark.parametrize("text", HELD)
def test_a_key_is_found_and_not_repeated(text) -> None:
    assert holds_credentials(text)
    for values in ({"a": [{"b": text}]}, {"a": {text: 1}}, [text], text):
        with pytest.raises(ConfigurationError, match="holds credentials; expected none in it") as caught:
            refuse_credentials(values, "what")
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("text", NONE)
def test_other_texts_are_left_alone(text) -> None:
    assert not holds_credentials(text)
    refuse_credentials({"a": [{"b": text, text: None}], "c": 1}, "what")


parts = st.sampled_from(
    ["s3:", "https:/", "/", "//", "@", ":", "me", "8786", " ", "\n", "arn:", "[", "?", "sig=", "X-Amz-A="]
)


@given(st.lists(parts, max_size=9).map("".join))
def test_the_schema_of_a_form_refuses_the_same_texts(text) -> None:
    assert (re.search(WITHOUT, text) is None) == holds_credentials(text)


@pytest.mark.timeout(60)
def test_a_long_text_takes_no_long_time() -> None:
    for text in (
        "a" * 10**6,
        "aa://a/" * 10**5,
        "aa://" + "a" * 10**6,
        "?X-Amz-" * 10**5,
        "a" * 10**6 + "://me:hush@host",
    ):
        assert (re.search(WITHOUT, text) is None) == holds_credentials(text) == ("hush" in text)


def test_every_text_of_a_form_has_the_schema() -> None:
    properties = WatchParameters.model_json_schema()["properties"]
    assert properties["folder"]["pattern"] == properties["pattern"]["pattern"] == WITHOUT


def test_an_error_of_a_model_repeats_no_value() -> None:
    with pytest.raises(ValueError, match="gone") as caught:
        WatchParameters.model_validate({"folder": "/a", "gone": "https://me:hush@host"})
    assert "hush" not in str(caught.value)
