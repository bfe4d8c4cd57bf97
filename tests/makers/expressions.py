"""The expression language of Data Factory and of ARM templates, as far as `deploy/` uses it: read, and told what it names."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+)|(?P<name>[A-Za-z]\w*)|(?P<mark>[().,]))")


@dataclass
class Call:
    """A function, what it is called with, and the fields that are read of what it gives."""

    name: str
    arguments: list = field(default_factory=list)
    fields: list[str] = field(default_factory=list)

    def all(self):
        """This call and every one within it."""
        yield self
        for argument in self.arguments:
            if isinstance(argument, Call):
                yield from argument.all()


def read(text: str) -> Call:
    """The call that an expression is. Raises ValueError where a bracket, a comma or a quote is out of place."""
    tokens, at = [], 0
    while at < len(text.rstrip()):
        found = TOKEN.match(text, at)
        if not found:
            raise ValueError(f"{text!r} can't be read from {text[at:]!r} on")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    tokens.append(("end", ""))
    value, at = _value(tokens, 0)
    if tokens[at][0] != "end" or not isinstance(value, Call):
        raise ValueError(f"{text!r} is not one call")
    return value


def _value(tokens, at):
    kind, text = tokens[at]
    if kind == "text":
        return text[1:-1].replace("''", "'"), at + 1
    if kind == "number":
        return int(text), at + 1
    if kind != "name" or tokens[at + 1] != ("mark", "("):
        raise ValueError(f"{text!r} stands where a value should")
    call, at = Call(text), at + 2
    while tokens[at] != ("mark", ")"):
        if call.arguments:
            if tokens[at] != ("mark", ","):
                raise ValueError(f"{tokens[at][1]!r} stands where a comma should")
            at += 1
        argument, at = _value(tokens, at)
        call.arguments.append(argument)
    at += 1
    while tokens[at] == ("mark", "."):
        if tokens[at + 1][0] != "name":
            raise ValueError("nothing stands behind a point")
        call.fields.append(tokens[at + 1][1])
        at += 2
    return call, at
