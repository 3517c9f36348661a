"""Names of persons (VR PN), parsed into their components: PS3.5 section 6.2.1."""

import strawberry

from orthancproxy.archive.parsing import NameGroup, PersonNameParts


@strawberry.type(description="One component group of a person name (PS3.5 section 6.2.1).")
class PersonNameGroup:
    family: str | None = strawberry.field(description="Family name.")
    given: str | None = strawberry.field(description="Given name.")
    middle: str | None = strawberry.field(description="Middle name.")
    prefix: str | None = strawberry.field(description="Name prefix, e.g. `Dr`.")
    suffix: str | None = strawberry.field(description="Name suffix, e.g. `Jr`.")
    formatted: str = strawberry.field(description="For display, like that of the name.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Return whether the value is of this type."""
        return isinstance(value, NameGroup)


@strawberry.type(description="A DICOM person name (VR PN), parsed into components.")
class PersonName:
    formatted: str = strawberry.field(
        description="For display: `Family, Given Middle` in Latin script; other scripts have no comma."
    )
    family: str | None = strawberry.field(description="Family name in the alphabetic group.")
    given: str | None = strawberry.field(description="Given name in the alphabetic group.")
    middle: str | None = strawberry.field(description="Middle name in the alphabetic group.")
    prefix: str | None = strawberry.field(description="Name prefix in the alphabetic group, e.g. `Dr`.")
    suffix: str | None = strawberry.field(description="Name suffix in the alphabetic group, e.g. `Jr`.")
    ideographic: str | None = strawberry.field(description="The ideographic group as stored, e.g. `洪^吉洞`.")
    phonetic: str | None = strawberry.field(description="The phonetic group as stored, e.g. `홍^길동`.")
    alphabetic: PersonNameGroup | None = strawberry.field(description="The components of the alphabetic group.")
    ideographic_group: PersonNameGroup | None = strawberry.field(description="Those of the ideographic group.")
    phonetic_group: PersonNameGroup | None = strawberry.field(description="Those of the phonetic group.")

    @classmethod
    def is_type_of(cls, value: object, _info: object) -> bool:
        """Return whether the value is of this type."""
        return isinstance(value, PersonNameParts)
