"""Errors that say what happened, what state remains and which command comes next.

Every error a user can meet derives from :class:`LakewardenError`. Two mixins decide what is retried:
:class:`Transient` (the same call may succeed later) and :class:`Terminal` (it can't, until something changes).
"""

from __future__ import annotations


class LakewardenError(Exception):
    """A failure with its identifiers, the state that remains and the next command.

    Args:
        what: what happened, with identifiers, one sentence.
        state: what state remains (for example ``nothing was written``).
        next: the command to run next, or advice where no command helps.
    """

    def __init__(self, what: str, *, state: str = "", next: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.state = state
        self.next = next

    def __str__(self) -> str:
        lines = [self.what]
        if self.state:
            lines.append(f"state: {self.state}")
        if self.next:
            lines.append(f"next: {self.next}")
        return "\n".join(lines)


class Terminal:
    """Mixin: retrying the same call can't help."""


class Transient:
    """Mixin: the same call may succeed later."""


class ConfigurationError(Terminal, LakewardenError):
    """A setting, rule file, mapping or reference file can't be used as it stands."""


class ContractError(Terminal, LakewardenError):
    """A JSON Schema holds something that can't be compiled to vectorised checks."""


class SourceError(Terminal, LakewardenError):
    """A source of events is missing, unreadable or of an unknown kind."""


class LakeError(Terminal, LakewardenError):
    """The lake is missing, of another version, or holds something unexpected."""


class LakeBusyError(Transient, LakewardenError):
    """Another stream holds the lake."""


class FencedError(Transient, LakewardenError):
    """Another stream took the lake over while this one was paused: it can write no more."""


class StorageError(Transient, LakewardenError):
    """The storage refused a read or a write (a full disk, a lost connection)."""


class ModelError(Terminal, LakewardenError):
    """A model is missing, unreadable, or wants a feature that the flow does not give."""


class QueryError(Terminal, LakewardenError):
    """A SQL query can't be run over the published tables."""


class UsageError(Terminal, LakewardenError):
    """A command or a method was called with arguments that make no sense together."""
