"""How a configuration's JSON schema reads as a form that a person fills in."""

from __future__ import annotations

from typing import Any


def as_form(schema: dict[str, Any]) -> None:
    """Change the JSON schema of one model so that a form made of it is readable.

    Fields keep their names, which the documents and the error messages use, and their order (``position``: a
    database may keep keys in one of its own). The explanation is the first paragraph of the docstring. One of
    several forms is called as its tag.

    Examples
    --------
    >>> schema = {
    ...     "title": "Blur",
    ...     "description": "Blurs an image.",
    ...     "properties": {"type": {"const": "blur", "title": "Type"}, "sigma_px": {"title": "Sigma Px"}},
    ... }
    >>> as_form(schema)
    >>> schema["title"], schema["description"]
    ('blur', 'Blurs an image.')
    >>> schema["properties"]["sigma_px"]
    {'title': 'sigma_px', 'position': 1}
    """
    properties: dict[str, dict[str, Any]] = schema.get("properties", {})
    for position, (name, field) in enumerate(properties.items()):
        field.update(title=name, position=position)
    tag = properties.get("type", {}).get("const")
    if tag is not None:
        schema["title"] = tag
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].partition("\n\n")[0].split())
