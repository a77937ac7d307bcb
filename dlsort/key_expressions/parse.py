"""The text of an expression as a tree: sqlglot reads it, in DuckDB's SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlsort.errors import BadKeyError, shown
from dlsort.key_expressions.functions import FUNCTIONS, TYPES, UNITS
from dlsort.key_expressions.tree import ARROW, Arrow, Call, Column, Node, Value
from dlsort.wording import did_you_mean

__all__ = ["read_expression"]

_DIALECT = "duckdb"

# sqlglot's classes: the function or operator, and the names of its arguments in order.
_CALLS = {
    "Abs": ("abs", "this"),
    "Add": ("+", "this expression"),
    "And": ("and", "this expression"),
    "Ceil": ("ceil", "this"),
    "DPipe": ("||", "this expression"),
    "Day": ("day", "this"),
    "DayOfMonth": ("day", "this"),
    "DayOfWeek": ("dayofweek", "this"),
    "DayOfYear": ("dayofyear", "this"),
    "Div": ("/", "this expression"),
    "EQ": ("=", "this expression"),
    "Floor": ("floor", "this"),
    "GT": (">", "this expression"),
    "GTE": (">=", "this expression"),
    "Hour": ("hour", "this"),
    "LT": ("<", "this expression"),
    "LTE": ("<=", "this expression"),
    "Left": ("left", "this expression"),
    "Length": ("length", "this"),
    "Lower": ("lower", "this"),
    "Minute": ("minute", "this"),
    "Mod": ("%", "this expression"),
    "Month": ("month", "this"),
    "Mul": ("*", "this expression"),
    "NEQ": ("<>", "this expression"),
    "Neg": ("negative", "this"),
    "Not": ("not", "this"),
    "Nullif": ("nullif", "this expression"),
    "Or": ("or", "this expression"),
    "Quarter": ("quarter", "this"),
    "Replace": ("replace", "this expression replacement"),
    "Reverse": ("reverse", "this"),
    "Right": ("right", "this expression"),
    "Round": ("round", "this decimals"),
    "Second": ("second", "this"),
    "Sign": ("sign", "this"),
    "Sqrt": ("sqrt", "this"),
    "Sub": ("-", "this expression"),
    "Substring": ("substr", "this start length"),
    "Upper": ("upper", "this"),
    "Week": ("week", "this"),
    "WeekOfYear": ("week", "this"),
    "Year": ("year", "this"),
}
_MANY = {"Coalesce": "coalesce", "Concat": "concat", "Greatest": "greatest", "Least": "least"}
_PARTS = {"dow": "dayofweek", "doy": "dayofyear"}
_SYNTAX = frozenset({"and", "or", "not", "in", "case", "negative"})
_SIDES = {"LEADING": "ltrim", "TRAILING": "rtrim", "": "trim"}


def read_expression(text: str) -> Node:
    """Return the tree of an expression.

    Raises
    ------
    BadKeyError
        If it can't be read, or calls a function that there is none of.

    Examples
    --------
    >>> read_expression("lower(name)")
    Call(name='lower', args=(Column(name='name'),))
    """
    import sqlglot  # a tenth of a second, which only computed keys take
    from sqlglot.errors import SqlglotError

    try:
        statement = sqlglot.parse_one(f"SELECT {text}\n", read=_DIALECT)
        found = statement.args.get("expressions") or []
        others = [name for name, value in statement.args.items() if value]
        if type(statement).__name__ != "Select" or len(found) != 1 or others != ["expressions"]:
            raise _unreadable(text)
        return _Reader(text).read(found[0])
    except (SqlglotError, RecursionError, ValueError) as error:
        if isinstance(error, BadKeyError):
            raise
        raise _unreadable(text) from error


def _unreadable(text: str) -> BadKeyError:
    msg = (
        f"can't read the key {shown(text)}; expected one expression, such as lower(name), "
        "cast(x as bigint) or a + b. A column's own name stands in double quotes."
    )
    return BadKeyError(msg)


class _Reader:
    """Makes our tree of sqlglot's."""

    def __init__(self, text: str) -> None:
        self.text = text

    def read(self, node: Any) -> Node:
        kind = type(node).__name__
        if kind in _CALLS:
            name, names = _CALLS[kind]
            return self._call(name, [node.args.get(each) for each in names.split()], node)
        if kind in _MANY:
            return self._call(_MANY[kind], [node.this, *node.expressions], node)
        reader: Callable[[Any], Node] | None = getattr(self, f"_{kind.lower()}", None)
        if reader is None:
            raise self._unknown(self._name(node))
        return reader(node)

    def _name(self, node: Any) -> str:
        names = getattr(type(node), "sql_names", None)
        return str(names()[0] if names else type(node).__name__).lower()

    def _call(self, name: str, args: list[Any], node: Any = None) -> Node:
        given = [each for each in args if each is not None]
        if node is not None:
            used = {id(each) for each in given}
            for value in node.args.values():
                for each in value if isinstance(value, list) else [value]:
                    if hasattr(each, "args") and id(each) not in used:
                        raise _unreadable(self.text)  # more than we know the meaning of
        least, most = FUNCTIONS[name].n_args
        if not least <= len(given) <= most:
            wanted = f"{least}" if least == most else f"{least} to {most}"
            wanted = f"at least {least}" if most > 99 else wanted
            msg = (
                f"the key {shown(self.text)} gives {name} {len(given)} arguments; expected "
                f"{wanted}."
            )
            raise BadKeyError(msg)
        return Call(name, tuple(self.read(each) for each in given))

    def _unknown(self, name: str) -> BadKeyError:
        usable = sorted(
            each for each in FUNCTIONS if each.isidentifier() and each not in _SYNTAX
        )
        msg = (
            f"the key {shown(self.text)} has {name}, which is no function here."
            f"{did_you_mean(name, usable)} The functions are: {', '.join(usable)}. A column's "
            "own name stands in double quotes."
        )
        return BadKeyError(msg)

    # Of sqlglot's other classes, in lower case.

    def _paren(self, node: Any) -> Node:
        return self.read(node.this)

    def _column(self, node: Any) -> Node:
        return Column(".".join(part.name for part in node.parts))

    def _dot(self, node: Any) -> Node:
        names = [part.name for part in node.parts]
        return Column(".".join(names))

    def _trim(self, node: Any) -> Node:
        side = str(node.args.get("position") or "").upper()
        return self._call(_SIDES.get(side, "trim"), [node.this], node)

    def _literal(self, node: Any) -> Node:
        if node.is_string:
            return Value(node.this)
        return Value(int(node.this) if node.this.isdigit() else float(node.this))

    def _boolean(self, node: Any) -> Node:
        return Value(bool(node.this))

    def _null(self, _: Any) -> Node:
        return Value(None)

    def _cast(self, node: Any) -> Node:
        kind = node.args["to"].sql(dialect=_DIALECT).lower().replace(", ", ",")
        name = kind.partition("(")[0]
        if name not in TYPES or (name != kind and name != "decimal"):
            msg = (
                f"the key {shown(self.text)} casts to {kind}.{did_you_mean(name, TYPES)} The "
                f"types are: {', '.join(TYPES)}."
            )
            raise BadKeyError(msg)
        return Call("cast", (self.read(node.this), Value(kind)))

    def _is(self, node: Any) -> Node:
        if type(node.expression).__name__ != "Null":
            return self._call("=", [node.this, node.expression])
        return self._call("is null", [node.this])

    def _in(self, node: Any) -> Node:
        if not node.expressions:
            raise _unreadable(self.text)
        return self._call("in", [node.this, *node.expressions], node)

    def _between(self, node: Any) -> Node:
        low = self._call(">=", [node.this, node.args["low"]])
        return Call("and", (low, self._call("<=", [node.this, node.args["high"]])))

    def _case(self, node: Any) -> Node:
        whole = node.this
        args: list[Node] = []
        for each in node.args["ifs"]:
            found = self.read(each.this)
            args.append(found if whole is None else Call("=", (self.read(whole), found)))
            args.append(self.read(each.args["true"]))
        default = node.args.get("default")
        return Call("case", (*args, Value(None) if default is None else self.read(default)))

    def _if(self, node: Any) -> Node:
        default = node.args.get("false")
        last = Value(None) if default is None else self.read(default)
        return Call("case", (self.read(node.this), self.read(node.args["true"]), last))

    def _unit(self, unit: Any) -> str:
        return str(unit.name).lower()

    def _extract(self, node: Any) -> Node:
        part = self._unit(node.this)
        name = _PARTS.get(part, part)
        if name not in FUNCTIONS:
            raise self._unknown(f"extract({part})")
        return self._call(name, [node.expression])

    def _datetrunc(self, node: Any) -> Node:
        unit = self._unit(node.args["unit"])
        if unit not in UNITS:
            msg = (
                f"the key {shown(self.text)} truncates to {unit}.{did_you_mean(unit, UNITS)} "
                f"The units are: {', '.join(UNITS)}."
            )
            raise BadKeyError(msg)
        return Call("date_trunc", (Value(unit), self.read(node.this)))

    _timestamptrunc = _datetrunc

    def _anonymous(self, node: Any) -> Node:
        name = str(node.this).lower()
        args = list(node.expressions)
        if name == ARROW and len(args) == 1 and args[0].is_string:
            return Arrow(args[0].this)
        if name not in FUNCTIONS or not name.isidentifier():
            raise self._unknown(name)
        return self._call(name, args)
