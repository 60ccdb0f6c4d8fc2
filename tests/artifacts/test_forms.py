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


SCHEMA = Asked.model_json_schema()


def test_fields_are_called_as_in_the_documents_and_stand_in_their_order() -> None:
    fields = SCHEMA["properties"]
    assert [(name, field["title"], field["position"]) for name, field in fields.items()] == [
        ("z_um", "z_um", 0),
        ("filter", "filter", 1),
        ("blur", "blur", 2),
    ]
    assert fields["blur"]["description"] == "Another."


def test_one_of_several_forms_is_called_as_its_tag_and_explained_without_examples() -> None:
    blur, sharpen = SCHEMA["$defs"]["Blur"], SCHEMA["$defs"]["Sharpen"]
    assert (blur["title"], blur["description"]) == ("blur", "Blurs an image a little.")
    assert (sharpen["title"], "description" in sharpen) == ("sharpen", False)
    assert SCHEMA["title"] == "Asked"
