"""How a configuration's JSON schema reads as a form that a person fills in."""

from __future__ import annotations

from typing import Any

from inception_loop.credentials import WITHOUT

CALLED = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "yes or no",
    "array": "list",
    "object": "table",
    "null": "none",
}
"""What plain forms of one value are called where a form offers several."""
_LIMITED = {"pattern", "format", "enum", "const"}


def as_form(schema: dict[str, Any]) -> None:
    """Change the JSON schema of one model so that a form made of it is readable.

    Fields keep their names, which the documents and the error messages use, and their order (``position``: a
    database may keep keys in one of its own). The explanation is the first paragraph of the docstring. One of
    several forms is called as its tag, or in plain words; all are under ``anyOf``, which every form knows. A
    text is refused if an address in it holds credentials: whoever checks the form keeps what it takes.

    Examples
    --------
    >>> schema = {
    ...     "title": "Blur",
    ...     "description": "Blurs an image.",
    ...     "properties": {
    ...         "type": {"const": "blur", "title": "Type"},
    ...         "sigma_px": {"anyOf": [{"type": "number"}, {"type": "null"}], "title": "Sigma Px"},
    ...     },
    ... }
    >>> as_form(schema)
    >>> schema["title"], schema["description"], schema["properties"]["sigma_px"]["title"]
    ('blur', 'Blurs an image.', 'sigma_px')
    >>> [form["title"] for form in schema["properties"]["sigma_px"]["anyOf"]]
    ['number', 'none']
    """
    properties: dict[str, dict[str, Any]] = schema.get("properties", {})
    for position, (name, field) in enumerate(properties.items()):
        _several(field)
        field.update(title=name, position=position)
    tag = properties.get("type", {})
    if "const" in tag:
        schema["title"] = tag["const"]
        tag.setdefault("description", "Names this form.")
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].partition("\n\n")[0].split())


def _several(field: dict[str, Any]) -> None:
    """Put the forms that a value, or what it holds, may have under ``anyOf``, each with a title."""
    if field.get("type") == "string" and not _LIMITED & field.keys():
        field["pattern"] = WITHOUT
    if "oneOf" in field:
        field["anyOf"] = field.pop("oneOf")
    for form in field.get("anyOf", ()):
        if "type" in form:
            form.setdefault("title", "one of" if "enum" in form else CALLED[form["type"]])
    inner = [field.get("items"), field.get("additionalProperties"), *field.get("anyOf", ())]
    for one in [*inner, *field.get("prefixItems", ())]:
        if isinstance(one, dict):
            _several(one)
