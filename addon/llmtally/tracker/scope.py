"""The account filter that every query about usage takes."""

from __future__ import annotations

from dataclasses import dataclass

from .totals import UNKNOWN


@dataclass(frozen=True, slots=True)
class Scope:
    """Account filter. Without arguments it includes every account."""

    account: str | None = None
    """The one account that is included, unless `every`; None: calls that showed no credential."""
    every: bool = True
    """Whether all accounts are included."""

    @classmethod
    def of(cls, select: str | None) -> Scope:
        """The scope that a query parameter names. `None`: all accounts; `unknown`: calls that
        showed no credential."""
        if select is None:
            return cls()
        return cls.only(None if select == UNKNOWN else select)

    @classmethod
    def only(cls, account: str | None) -> Scope:
        """The scope of one account; None: calls that showed no credential."""
        return cls(account, every=False)

    def includes(self, account: str | None) -> bool:
        """Whether an account is included."""
        return self.every or account == self.account
