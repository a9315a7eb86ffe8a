"""Drives calls through proxies, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from wsproto.utilities import ProtocolError

from .calls import Request, Unit
from .ledger import Ledger
from .peers import Client, Provider


def numbers_of(unit: Unit) -> Sequence[int]:
    """The numbers of a unit's calls."""
    return (unit.number,) if isinstance(unit, Request) else unit.numbers


class Load:
    """Connections that make calls one after the other, until they are told to stop or their proxy
    is gone."""

    def __init__(
        self, ports: Sequence[int], concurrency: int, provider: Provider, ledger: Ledger
    ) -> None:
        self.made = 0
        """Calls that have ended well enough for the client."""
        self._ledger = ledger
        self._stopping = False
        self._under_way: set[int] = set()
        self._clients = [
            Client(ports[at % len(ports)], provider, self._ended) for at in range(concurrency)
        ]

    async def drive(self, units: Iterator[Unit], limit: int | None = None) -> None:
        """Make calls until `stop`, or at least `limit` of them. Calls that a dead proxy has cut off
        are given up in the ledger."""
        await asyncio.gather(*(self._work(client, units, limit) for client in self._clients))

    @property
    def is_idle(self) -> bool:
        """Whether no call is under way."""
        return not self._under_way

    def stop(self) -> None:
        """Make no further calls; those under way are brought to their ends."""
        self._stopping = True

    async def _work(self, client: Client, units: Iterator[Unit], limit: int | None) -> None:
        while not self._stopping and (limit is None or self.made + len(self._under_way) < limit):
            unit = next(units, None)
            if unit is None:
                break
            numbers = numbers_of(unit)
            self._ledger.begin(unit)
            self._under_way.update(numbers)
            try:
                await client.ask(unit)
            except (OSError, EOFError, asyncio.LimitOverrunError, ProtocolError):
                self._stopping = True  # the proxy is gone, for all connections
                self._ledger.give_up(set(numbers) & self._under_way)
            finally:
                self._under_way.difference_update(numbers)
        client.close()

    def _ended(self, number: int) -> None:
        self.made += 1
        self._under_way.discard(number)
        self._ledger.end(number)
