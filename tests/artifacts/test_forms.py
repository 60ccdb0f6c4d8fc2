"""A schema of parameters as a form: names as documented, in their order, explained in one line."""

from typing import Annotated, Literal

from pydantic import Field

from inception_loop.artifacts.identity import Config


class Blur(Config):
    """Blurs an image
    a little.

    Notes
    -----
    Slowly.
    """

    type: Literal["blur"] = "blur"
    sigma_px: float = Field(1.0, gt=0, description="Width, px.")


class Sharpen(Config):
    type: Literal["sharpen"] = "sharpen"


class Asked(Config):
    """What is asked."""

    z_um: int = Field(description="Depth.")
    filter: Annotated[Blur | Sharpen, Field(discriminator="type")] = Field(Blur(), description="Which.")
    blur: Blur = Field(Blur(), description="Another.")
    word: Literal["a", "b"] | None = Field(None, description="One or none.")
    steps: tuple[Annotated[Blur | Sharpen, Field(discriminator="type")], ...] = Field((), description="All.")


SCHEMA = Asked.model_json_schema()


def test_fields_are_called_as_in_the_documents_and_stand_in_their_order() -> None:
    fields = SCHEMA["properties"]
    assert [(name, field["title"], field["position"]) for name, field in fields.items()] == [
        ("z_um", "z_um", 0),
        ("filter", "filter", 1),
        ("blur", "blur", 2),
        ("word", "word", 3),
        ("steps", "steps", 4),
    ]
    assert fields["blur"]["description"] == "Another."


def test_one_of_several_forms_is_called_as_its_tag_and_explained_without_examples() -> None:
    blur, sharpen = SCHEMA["$defs"]["Blur"], SCHEMA["$defs"]["Sharpen"]
    assert (blur["title"], blur["description"]) == ("blur", "Blurs an image a little.")
    assert (sharpen["title"], "description" in sharpen) == ("sharpen", False)
    assert SCHEMA["title"] == "Asked"


def test_forms_to_choose_from_have_titles_and_stand_under_any_of() -> None:
    fields = SCHEMA["properties"]
    assert [form["title"] for form in fields["word"]["anyOf"]] == ["one of", "none"]
    for several in (fields["filter"], fields["steps"]["items"]):
        assert "oneOf" not in several
        assert [form["$ref"] for form in several["anyOf"]] == ["#/$defs/Blur", "#/$defs/Sharpen"]
