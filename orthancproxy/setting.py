"""What a setting is: its default, its bounds and its description."""

from dataclasses import dataclass, field
from math import inf
from typing import Any, Generic, Self, TypeVar, cast, overload

from django.conf import settings

T = TypeVar("T")

_TYPES: dict[type, tuple[str, tuple[type, ...]]] = {
    str: ("text", (str,)),
    float: ("a number", (int, float)),
    int: ("a whole number", (int,)),
    bool: ("true or false", (bool,)),
    tuple: ("a list", (list, tuple)),
}


@dataclass(frozen=True)
class Setting(Generic[T]):
    """A setting: it takes its name from the attribute that it is assigned to, and its type from its default.

    As an attribute of `conf`, it is the value in effect.
    """

    default: T = field(repr=False)
    description: str
    above: float = -inf
    minimum: float = -inf
    maximum: float = inf
    secret: bool = False
    name: str = field(default="", init=False)

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> Self | T:
        """Return the value in effect, or the Setting itself when read from the class."""
        if instance is None:
            return self
        return cast("T", getattr(settings, self.name, self.default))

    @property
    def expected(self) -> str:
        """What a valid value is, such as "a whole number from 1 to 1000"."""
        noun, _ = _TYPES[type(self.default)]
        if self.above > -inf:
            return f"{noun} above {self.above:,} and at most {self.maximum:,}"
        if self.maximum < inf:
            return f"{noun} from {self.minimum:,} to {self.maximum:,}"
        return f"{noun} of at least {self.minimum:,}" if self.minimum > -inf else noun

    def has_type(self, value: object) -> bool:
        """Whether a value is of the type; a whole number is also a number, and a list is accepted for a tuple."""
        _, types = _TYPES[type(self.default)]
        # bool is a subclass of int
        return isinstance(value, types) and isinstance(value, bool) is (bool in types)

    def is_within_bounds(self, value: object) -> bool:
        """Whether a number is within the bounds; NaN never is. Other values have no bounds."""
        return not isinstance(value, int | float) or (self.above < value and self.minimum <= value <= self.maximum)

    def display(self, value: object) -> str:
        """Return a value as a message may show it: a secret is masked."""
        return "********" if self.secret else repr(value)


def declared(owner: type) -> tuple[Setting[Any], ...]:
    """Return the settings that are attributes of a class."""
    return tuple(value for value in vars(owner).values() if isinstance(value, Setting))
