"""The orders of a lake, for whoever holds its lease: which are due, carrying them out, and the receipt of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakewardenError
from lakewarden.lake import orders, pins

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.orders import Done, Order
    from lakewarden.operations.job import Clocks

LOOK_SECONDS: Final = 0.2
REMOTE_LOOK_SECONDS: Final = 2.0
"""How often a stream looks for orders; on an object store a look is a request."""


class Orders:
    """Carries the orders of one lake out, in their order. The caller holds the lease, and publishes nothing meanwhile.

    Args:
        house: the lake.
        clocks: wall clock and timer.
        receipt: leaves the receipt of an order that is done; a failure is told to `remark`, and whoever gave the order makes it good.
        remark: told of each order that was carried out.
        step: told the name of each step before it; for tests that stop there.
    """

    def __init__(
        self,
        house: Lakehouse,
        clocks: Clocks,
        receipt: Callable[[Order, Done], object],
        remark: Callable[[str], None],
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._house, self._clocks, self._receipt, self._remark, self._step = house, clocks, receipt, remark, step
        self._every = LOOK_SECONDS if house.store.local is not None else REMOTE_LOOK_SECONDS
        self._looked: float | None = None
        self._settled = -1
        self._halfway: list[tuple[Order, orders.Execution]] = []

    def due(self) -> bool:
        """Whether there are orders to carry out; looks now and then, and costs nothing between."""
        now = self._clocks.monotonic()
        if self._looked is not None and now - self._looked < self._every:
            return False
        self._looked = now
        return bool(self._pending())

    def _pending(self) -> list[Order]:
        numbers = [number for number in orders.numbers(self._house.store) if number > self._settled]
        found = orders.pending(self._house.store, self._settled) if numbers else []
        self._settled = min(found[0].number - 1, max(numbers)) if found else max(numbers, default=self._settled)
        return found

    def take_up(self) -> bool:
        """At a start: exchange the rest of orders that were begun and cut short; readers see it when `conclude` publishes. Says if any."""
        store = self._house.store
        for order in self._pending():
            if orders.verdict(store, order.number) == orders.CARRIED_OUT:
                execution = self._execution(order)
                execution.tables()
                self._halfway.append((order, execution))
        return bool(self._halfway)

    def conclude(self, batch: int, next_seq: int) -> None:
        """Publish what `take_up` exchanged, with the micro-batches that were finished meanwhile."""
        for order, execution in self._halfway:
            self._ended(order, execution.publish(batch, next_seq))
        self._halfway.clear()

    def carry_out(self, batch: int, next_seq: int) -> bool:
        """Carry every order out that waits; says whether the stages' state is another one now.

        Args:
            batch: the newest micro-batch, finished in every table.
            next_seq: the place of the next event in the order of arrival.
        """
        rebuild = False
        for order in self._pending():
            execution = self._execution(order)
            if execution.tables():
                self._ended(order, execution.publish(batch, next_seq))
                rebuild |= order.rebuild
        return rebuild

    def _execution(self, order: Order) -> orders.Execution:
        return orders.Execution(self._house, order, self._clocks.now, self._step)

    def _ended(self, order: Order, done: Done) -> None:
        if order.undoes is not None:  # what it pinned is a part of the tables again
            for name in order.changes:
                pin_id = orders.pin_of(self._house.store, order.undoes, name)
                if pin_id is not None and pins.get(self._house.store, pin_id) is not None:
                    pins.release(self._house.store, pin_id)
        try:
            self._receipt(order, done)
        except LakewardenError as error:
            self._remark(f"Order {order.number} was carried out; its receipt can't be written yet: {error.what}")
        self._remark(f"{order.kind} of {order.subject} was carried out in {done.seconds:.2f} s (published point {done.point}).")
