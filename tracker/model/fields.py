"""What all descriptions of a run have in common: fields that turn into plain values and back.

A field is a parameter of the class's constructor. Plain values leave out what is empty, so that a description says what somebody chose
and nothing else. Values that are secret are left out as well, of `repr` too, unless `secrets=True` asks for them by name: then the caller
is about to hand them to the job itself, and to nobody else.
"""

import enum
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Self

from tracker.errors import InvalidRequest
from tracker.wire import encode_json


class ModelObj:
    """A description with named fields."""

    secret_fields: ClassVar[tuple[str, ...]] = ()  # never shown unless asked for
    strip_fields: ClassVar[tuple[str, ...]] = ()  # what `strip` leaves out: it tells what happened, not what was asked for
    extra_fields: ClassVar[tuple[str, ...]] = ()  # fields that are no parameters of the constructor
    struct_fields: ClassVar[dict[str, type["ModelObj"]]] = {}  # fields that are descriptions themselves

    def to_dict(
        self, fields: Sequence[str] | None = None, exclude: Sequence[str] | None = None, strip: bool = False, *, secrets: bool = False
    ) -> dict[str, Any]:
        """The fields that are not empty, as plain values: all, or those in `fields`, without those in `exclude`.

        `strip` leaves out what is not needed to define the object, `secrets` adds the fields that are secret.
        """
        left_out = {*(exclude or ()), *(self.strip_fields if strip else ()), *(() if secrets else self.secret_fields)}
        found: dict[str, Any] = {}
        for name in fields or (*fields_of(type(self)), *self.extra_fields):
            value = None if name in left_out else _plain(getattr(self, name, None), strip, secrets)
            if value is not None and not (isinstance(value, (str, dict, list)) and not value):
                found[name] = value
        return found

    @classmethod
    def from_dict(cls, struct: Any = None, fields: Sequence[str] | None = None, deprecated_fields: Mapping[str, str] | None = None) -> Self:
        """An object from plain values. `deprecated_fields` maps old names of fields to new ones; names that are no field are left out."""
        if isinstance(struct, ModelObj):
            struct = struct.to_dict(secrets=True)
        if struct is not None and not isinstance(struct, Mapping):
            raise InvalidRequest(f"{cls.__name__} is made from a dict, not from {type(struct).__name__}", field=cls.__name__)
        given = dict(struct or {})
        for old, new in (deprecated_fields or {}).items():
            if old in given:
                given.setdefault(new, given.pop(old))
        known = fields_of(cls)
        wanted = {name: given[name] for name in fields or (*known, *cls.extra_fields) if name in given}
        made = cls(**{name: value for name, value in wanted.items() if name in known})
        for name in cls.extra_fields:
            if name in wanted:
                setattr(made, name, wanted[name])
        return made

    def to_json(self, exclude: Sequence[str] | None = None, **kwargs: Any) -> str:
        """`to_dict` as JSON; `kwargs` are `to_dict`'s."""
        try:
            return encode_json(self.to_dict(exclude=exclude, **kwargs)).decode()
        except (TypeError, UnicodeEncodeError) as error:
            raise InvalidRequest(f"{type(self).__name__} holds a value that JSON cannot hold: {error}", field=type(self).__name__) from None

    def to_yaml(self, exclude: Sequence[str] | None = None, **kwargs: Any) -> str:
        """`to_dict` as YAML. Needs PyYAML: pip install 'run-tracker[yaml]'."""
        try:
            import yaml
        except ImportError:
            raise InvalidRequest("to_yaml needs PyYAML: pip install 'run-tracker[yaml]'", field="yaml") from None
        return str(yaml.safe_dump(self.to_dict(exclude=exclude, **kwargs), sort_keys=False, allow_unicode=True))

    def to_str(self) -> str:
        """`to_dict` as text for people."""
        return str(self.to_dict())

    def copy(self) -> Self:
        """An object that shares nothing with this one."""
        return deepcopy(self)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.to_dict().items())
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_dict(secrets=True) == other.to_dict(secrets=True)

    __hash__ = None  # type: ignore[assignment] # it changes

    def __setattr__(self, name: str, value: Any) -> None:
        kind = self.struct_fields.get(name.removeprefix("_"))
        if kind is not None and isinstance(value, Mapping):
            value = kind.from_dict(value)
        elif kind is not None and value is not None and not isinstance(value, kind):
            raise InvalidRequest(f"{name} must be a {kind.__name__} or a dict, not {type(value).__name__}", field=name)
        super().__setattr__(name, value)


def fields_of(kind: type) -> tuple[str, ...]:
    """The names of a description's fields: its constructor's parameters, in their order."""
    code = kind.__init__.__code__  # type: ignore[misc] # `inspect.signature` says the same, in fifty times the time
    return tuple(code.co_varnames[1 : code.co_argcount])


def mapping(value: Any, field: str) -> dict[str, Any]:
    """A copy of a dict, an empty one for None. Raises InvalidRequest naming the field."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{field} must be a dict, not {type(value).__name__}", field=field)
    return dict(value)


def sequence(value: Any, field: str) -> list[Any]:
    """A copy of a list, an empty one for None. Raises InvalidRequest naming the field, for a text, too, which is no list of its letters."""
    if value is None:
        return []
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, (Sequence, set, frozenset)):
        raise InvalidRequest(f"{field} must be a list, not {type(value).__name__}", field=field)
    return list(value)


def text(value: Any, field: str) -> str:
    """A text, "" for None; paths, and members of enums that are texts, are texts. Raises InvalidRequest naming the field."""
    value = getattr(value, "value", value) if isinstance(value, enum.Enum) else value
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if hasattr(value, "__fspath__"):
        return str(value)
    raise InvalidRequest(f"{field} must be text, not {type(value).__name__}", field=field)


def _plain(value: Any, strip: bool, secrets: bool) -> Any:
    if isinstance(value, ModelObj):
        return value.to_dict(strip=strip, secrets=secrets)
    if isinstance(value, Mapping):
        return {key: _plain(item, strip, secrets) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, strip, secrets) for item in value]
    return value
