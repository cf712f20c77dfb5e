"""What all configurations have in common: checked once, an error that names the key, and nothing changes later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from maladist.errors import InputError

OLD_TRUTHS: Final = frozenset({"yes", "no", "on", "off"})
"""Words that were truth values in YAML 1.1; as texts they all count as true in Python."""


def _in_folder(value: str, info: ValidationInfo) -> str:
    """A path from the folder of the configuration's file, where there is one."""
    folder = (info.context or {}).get("folder")
    return value if folder is None else str(Path(folder).resolve() / value)


def no_old_truths(value: object) -> object:
    """Refuse, among values for another library, a word that was once a truth value: it would silently be true."""
    if isinstance(value, str) and value.lower() in OLD_TRUTHS:
        raise ValueError(f"true or false, not the text {value!r}")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        no_old_truths(part)
    return value


FilePath = Annotated[str, AfterValidator(_in_folder)]
"""A path; a relative one is taken from the folder of the configuration's file."""

Options = Annotated[dict[str, object], AfterValidator(no_old_truths)]
"""Options that go to a class of another library as they are."""


class Section(BaseModel):
    """A mapping of a configuration: a key that is not known is an error, and nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    error: ClassVar[type[InputError]] = InputError
    """The class of the error that `of` raises."""

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        kinds = _kinds(cls.model_fields[str(info.field_name)].annotation)
        # Before pydantic converts: afterwards 1 and true are the same.
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise ValueError("a number")  # Python takes true for 1
        return value

    @classmethod
    def of(cls, values: object, source: str = "config", folder: str | Path | None = None) -> Self:
        """Check a mapping.

        Parameters
        ----------
        values
            The mapping, as a YAML file holds it.
        source
            Name of the mapping's source, for errors.
        folder
            Folder that relative paths are taken from; None leaves them as they are.

        Raises
        ------
        InputError
            Naming the first key that is wrong, what came and what was wanted.
        """
        if not isinstance(values, dict):
            needed = [f"'{name}'" for name, field in cls.model_fields.items() if field.is_required()]
            # The keys that cannot be left out are what an empty file lacks.
            wanted = f"a mapping with the keys {', '.join(needed)}" if needed else "a mapping"
            raise cls.error(source, f"a {type(values).__name__}", wanted)
        try:
            return cls.model_validate(values, context={"folder": folder})
        except ValidationError as error:
            raise _first_error(error, source, cls, values) from None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and YAML hold them."""
        return self.model_dump(mode="json")


def _kinds(annotation: object) -> set[object]:
    """The types that an annotation allows, without what else it says of them."""
    if get_origin(annotation) is Annotated:
        return _kinds(get_args(annotation)[0])
    # `int | None` and Optional[int] come as two kinds of union.
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*(_kinds(part) for part in get_args(annotation)))
    return {annotation}


def _first_error(error: ValidationError, source: str, top: type[Section], values: object) -> InputError:
    """The error of the first wrong key of a configuration of class ``top``; and how many there are."""
    by_key: dict[str, list[ErrorDetails]] = {}
    for one in error.errors(include_url=False):
        by_key.setdefault(_key(one, values), []).append(one)
    # A key that nobody knows first: what is missing may be what it was meant for.
    unknown = (k for k, errors in by_key.items() if errors[0]["type"] == "extra_forbidden")
    first = next(unknown, next(iter(by_key)))
    # A union's parts complain each at its own depth: these are one mistake.
    same = [k for k in by_key if f"{k}.".startswith(f"{first}.") or f"{first}.".startswith(f"{k}.")]
    key = max(same, key=len)  # of a union's parts the one that went deepest was meant
    errors = by_key[key]
    said = [_came_and_wanted(one, top) for one in errors]  # several where a union allows several types
    inner, remedy = errors[0].get("ctx", {}).get("error"), ""
    if isinstance(inner, InputError):
        remedy = inner.remedy
        key = ".".join(dict.fromkeys([k for k in (key, *inner.argument.split()) if k]))
    came, wanted = said[0][0], " or ".join(dict.fromkeys(wanted for _, wanted in said))
    others = len(by_key) - len(same)
    more = f"{others} more {'key is' if others == 1 else 'keys are'} wrong." if others else ""
    return top.error(f"{source}: {key}" if key else source, came, wanted, f"{remedy} {more}".strip())


def _came_and_wanted(one: ErrorDetails, top: type[Section]) -> tuple[str, str]:
    """What came and what was wanted."""
    inner = one.get("ctx", {}).get("error")
    if isinstance(inner, InputError):
        return inner.came, inner.wanted
    if one["type"] == "missing":
        return "is missing", "a value"
    if one["type"] == "extra_forbidden":
        section = _section(one["loc"][:-1], top)
        return "is not a key", f"one of {', '.join(section.model_fields)}" if section else "a known key"
    together = isinstance(one["input"], dict) and inner is not None
    came = "values that do not go together" if together else f"{one['input']!r:.80}"
    return came, str(inner) if inner is not None else one["msg"].removeprefix("Input should be ")


def _key(one: ErrorDetails, values: Any) -> str:
    """Where in the values an error is; pydantic's own path also names the parts of unions."""
    parts = []
    for part in one["loc"]:
        keys = values if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
        here = part in keys
        if here:
            values = values[part]
        if here or (one["type"] == "missing" and part == one["loc"][-1]):
            parts.append(str(part))
    return ".".join(parts)


def _section(loc: Sequence[int | str], top: type[BaseModel]) -> type[BaseModel] | None:
    """The section that a path of keys leads to."""
    section: type[BaseModel] | None = top
    for key in loc:
        if section is not None and str(key) in section.model_fields:
            kinds = _kinds(section.model_fields[str(key)].annotation)
            section = next((k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)), None)
    return section
