"""Looks prices up in order, and prices calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..providers import PRICE_IDS
from ..record import Call, Cost, Usage
from .catalogue import Catalogue
from .context import PricingContext, billed_model, pricing_context
from .overlay import price_listed
from .overrides import Overrides, PriceFileError, read_file
from .rates import BASE, FREE, RateCard, charge

CARDS_CAP = 4096
"""Rate cards in the cache: one for each model, tier and half hour. If it is full it is emptied; a
card takes 30 microseconds to make."""

SLOT_SECONDS = 1800
"""Every boundary in the price data (dates, peak hours) falls on a half hour, so a card holds until
the next one."""

_ABORTED = frozenset({"client_aborted", "upstream_aborted"})
_RANKS = ("override", "overlay", "prices", "local")


class Pricer:
    """Prices calls. Not thread-safe; building one takes about 20 ms the first time."""

    def __init__(
        self, *, override_path: Path | None = None, price_ids: Mapping[str, str] = PRICE_IDS
    ) -> None:
        self._price_ids = price_ids
        self._catalogue = Catalogue()
        self._cards: dict[tuple[object, ...], RateCard | None] = {}
        self._path = override_path
        self._stamp: tuple[int, ...] | None = None
        self._ahead: _PriceFile | None = None
        """The price file that `load_prices` has read for the next reload."""
        self._overrides = Overrides()
        self._warning = self._load()

    @property
    def outdated(self) -> bool:
        """Whether the user's price file changed since it was read."""
        return self._path is not None and _stamp(self._path) != self._stamp

    def load_prices(self) -> None:
        """Read the user's price file for the next `reload_if_changed`, in any thread while others
        price: litellm's takes 20 ms."""
        if self._path is not None:
            self._ahead = _read(self._path)

    def reload_if_changed(self) -> str | None:
        """Read the user's price file again if it changed. Returns a warning where it cannot be
        used; then the prices in force stay."""
        earlier, self._warning = self._warning, None
        return self._load() if self.outdated else earlier

    def price(self, call: Call) -> Cost:
        """What the call cost at the time when it was made. Never raises."""
        computed = self._computed(call)
        if call.cost_source == "provider" and call.cost_usd is not None:
            return Cost(
                call.cost_usd,
                "provider",
                list_cost_usd=computed.cost_usd,
                parts=computed.parts,
                rates=computed.rates,
            )
        return computed

    def _computed(self, call: Call) -> Cost:
        """The cost by the price lists, whatever the response states."""
        if call.parts:
            return self._price_parts(call)
        if not call.usage:
            return Cost()
        card = self._card(call, billed_model(call))
        billed = charge(call.usage, card) if card else None
        if card is None or billed is None:
            return Cost()
        return Cost(
            billed.cost_usd,
            card.source,
            billed.approximate or _incomplete(call),
            rates=billed.rates,
        )

    def _price_parts(self, call: Call) -> Cost:
        """Price each part by its model. If one has no price, the call has none: a sum that leaves
        something out is not its cost."""
        cards = [self._card(call, _part_model(call, index)) for index in range(len(call.parts))]
        usages = _part_usages(call)
        bills = [
            charge(usage, card) if card else None for usage, card in zip(usages, cards, strict=True)
        ]
        parts = tuple(bill.cost_usd if bill else None for bill in bills)
        known = [bill for bill in bills if bill is not None]
        if len(known) < len(bills):
            return Cost(parts=parts)
        return Cost(
            sum(bill.cost_usd for bill in known),
            max((card.source for card in cards if card), key=_RANKS.index),
            # A part is the sum of several turns of one model, and perhaps none of them was long
            # enough for a dearer band.
            any(bill.approximate or bill.threshold > BASE for bill in known) or _incomplete(call),
            parts=parts,
        )

    def _card(self, call: Call, model: str | None) -> RateCard | None:
        try:
            slot = int(call.timestamp // SLOT_SECONDS)
        except (ValueError, OverflowError):
            return None
        key = (
            call.provider,
            call.host,
            call.path if call.provider == "google_anthropic" else "",
            call.api,
            call.billing,
            model,
            call.service_tier,
            call.request_service_tier,
            call.speed,
            call.inference_geo,
            slot,
        )
        try:
            return self._cards[key]
        except KeyError:
            if len(self._cards) >= CARDS_CAP:
                self._cards.clear()
            card = self._cards[key] = self._resolve(call, model)
            return card

    def _resolve(self, call: Call, model: str | None) -> RateCard | None:
        """The rate card of a call's model, with rates for all buckets; None if no source has a
        price."""
        try:
            context = pricing_context(call, model, self._price_ids.get(call.provider))
        except (ValueError, OverflowError, OSError):  # a time that a calendar does not have
            return None
        listed = None if context.local else price_listed(context, self._catalogue)
        card = self._choose(context, listed)
        return card.completed(claude=context.claude is not None) if card else None

    def _choose(self, context: PricingContext, listed: RateCard | None) -> RateCard | None:
        if (override := self._overrides.find(context)) is not None:
            return override.over(listed, context)
        if context.local:
            return FREE
        return listed or self._overrides.find_litellm(context)

    def _load(self) -> str | None:
        if self._path is None:
            return None
        file, self._ahead = self._ahead or _read(self._path), None
        self._stamp = file.stamp
        if isinstance(file.prices, PriceFileError):
            return f"Price file {self._path} {file.prices}. The prices in force stay."
        self._overrides = file.prices
        self._cards.clear()
        return None


class _PriceFile(NamedTuple):
    """What was read from a price file."""

    stamp: tuple[int, ...]
    """Changes when the file does."""
    prices: Overrides | PriceFileError
    """The prices, or the error that says why the file cannot be used."""


def _read(path: Path) -> _PriceFile:
    stamp = _stamp(path)  # before reading: a change in between is seen the next time
    try:
        return _PriceFile(stamp, read_file(path))
    except PriceFileError as error:
        return _PriceFile(stamp, error)


def _stamp(path: Path) -> tuple[int, ...]:
    """A value that changes when the file does; empty if there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _part_model(call: Call, index: int) -> str | None:
    """The model of one part. A first part without a name has the call's; a later one may have any
    other."""
    model = call.parts[index].model
    if index == 0 and model is None:
        return billed_model(call)
    return billed_model(call) if model and model == call.model else model


def _part_usages(call: Call) -> list[Usage]:
    """The usage of each part. Server tools that are reported for all parts together are billed with
    the first."""
    usages = [part.usage for part in call.parts]
    if call.usage.server_tools and not any(usage.server_tools for usage in usages):
        usages[0] = usages[0]._replace(server_tools=call.usage.server_tools)
    return usages


def _incomplete(call: Call) -> bool:
    """Whether tokens were certainly used that are not counted."""
    usage = call.usage
    return (usage.output_tokens is None and call.outcome in _ABORTED) or (
        usage.input_tokens is None and usage.output_tokens is not None
    )
