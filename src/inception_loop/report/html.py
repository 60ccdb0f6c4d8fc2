"""How every page becomes HTML: templates, pictures as data URIs, unrounded numbers beside the text."""

from __future__ import annotations

import base64
from functools import cache
from importlib import resources

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from inception_loop.report import words
from inception_loop.report.figures.canvas import Figure


def text(name: str) -> str:
    """Return one of the templates as it is."""
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Return the environment of every template: what is undefined is an error, values are escaped."""
    made = Environment(
        loader=FunctionLoader(text),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "percent": words.percent,
        "p_value": words.p_value,
        "number": words.number,
        "counted": words.count,
        "general": words.general,
        "whole": words.whole,
        "uri": figure_uri,
    }
    made.globals |= {"datum": datum}
    return made


def figure_uri(figure: Figure) -> str:
    """Return a figure as a data URI."""
    return data_uri("image/svg+xml", figure.svg)


def data_uri(mime: str, content: bytes) -> str:
    """Return bytes as a data URI."""
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"


def datum(key: str, value: float, text: str) -> Markup:
    """Return a number with the value that it was rounded from."""
    return Markup('<data data-key="{}" value="{}">{}</data>').format(key, repr(value), text)
