"""Who takes part in which contest of the throughput benchmark."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.benchmarks.specs import BFLOAT16, FLOAT32, Spec
from tests.benchmarks.targets import (
    KERAS_1,
    KERAS_32,
    ONE_BY_ONE,
    TEACHER_IN_BFLOAT16,
    TWO_DEVICES,
    TWO_WORKERS,
)
from tests.benchmarks.workloads import WORKLOADS

# Workloads whose contenders alternate, because a target compares them.
CONTESTS = (("W1", "W2"), ("W3",), ("W4",), ("W5",), ("W6",), ("W7",))
SHORT = ("W1", "W2", "W3")  # of the short mode, in float32 alone

Found = Sequence[Mapping[str, Any]]  # what a search tried: "tuning" and "secs" of each
Search = Callable[[str, str], Found]  # of a workload and a precision


class Entries:
    """Makes specs; searches for the tuning of Keras where one takes part."""

    def __init__(self, prepared: str, *, turn_secs: float, search: Search) -> None:
        """`search` is asked once for each workload and precision."""
        self._given: dict[str, Any] = {"prepared": prepared, "turn_secs": turn_secs}
        self._search = search

    def of(self, names: Sequence[str], *, short: bool) -> list[Spec]:
        """Those of a contest, of the workloads that are asked for.

        The short ones are without bfloat16, and without other ways of ours.
        """
        makers = {
            "W1": self._w1,
            "W3": self._w3,
            "W6": self._w6,
            "W7": lambda name: self._plain(name, "ours", "keras", "floor"),
        }
        specs = [spec for name in names for spec in makers.get(name, self._usual)(name)]
        if short:
            return specs
        if "W1" in names:
            teacher = f"teacher.precision='{BFLOAT16}'"
            specs.append(self._ours("W1", TEACHER_IN_BFLOAT16, teacher))
            specs += self._usual("W1", precision=BFLOAT16)
            specs.append(self.matmul(BFLOAT16))
        if "W3" in names:
            specs.append(self._ours("W3", ONE_BY_ONE))
        return specs

    def matmul(self, precision: str = FLOAT32) -> Spec:
        """The peak, which is nobody's workload; it is shown with W1."""
        return Spec(
            workload="W1", contender="matmul", precision=precision, **self._given
        )

    def _ours(self, name: str, label: str, *settings: str, **more: Any) -> Spec:
        """Of the trainer in another way than the workload's own."""
        return Spec(
            workload=name,
            contender="ours",
            label=label,
            settings=settings,
            **more,
            **self._given,
        )

    def _plain(
        self, name: str, *contenders: str, precision: str = FLOAT32
    ) -> list[Spec]:
        way = {"ours": WORKLOADS[name].way}
        return [
            Spec(
                workload=name,
                contender=each,
                precision=precision,
                settings=way.get(each, ()),
                **self._given,
            )
            for each in contenders
        ]

    def _usual(self, name: str, *, precision: str = FLOAT32) -> list[Spec]:
        return [
            *self._plain(name, "ours", "floor", precision=precision),
            self._keras(name, precision=precision),
        ]

    def _w1(self, name: str) -> list[Spec]:
        return [*self._usual(name), *self._plain(name, "example")]

    def _w3(self, name: str) -> list[Spec]:
        return [
            *self._plain(name, "ours", "floor"),
            self._keras(name, label=KERAS_32, steps_per_execution=32),
            self._keras(name, label=KERAS_1, steps_per_execution=1),
        ]

    def _w6(self, name: str) -> list[Spec]:
        return [
            *self._plain(name, "ours"),
            self._ours(name, TWO_DEVICES, "runtime.logical_cpus=2"),
            self._ours(name, TWO_WORKERS, num_workers=2),
            # Of Keras 3 under a strategy, XLA and several steps an execution fail.
            self._keras(
                name,
                label="keras, 2 devices",
                num_devices=2,
                jit_compile=False,
                steps_per_execution=1,
            ),
        ]

    def _keras(
        self,
        name: str,
        *,
        precision: str = FLOAT32,
        label: str = "",
        num_devices: int = 1,
        **wanted: Any,
    ) -> Spec:
        # Two devices have the tuning of one.
        searched = "W1" if name == "W6" else name
        return Spec(
            workload=name,
            contender="keras",
            precision=precision,
            label=label,
            num_devices=num_devices,
            tuning=best(self._search(searched, precision), **wanted),
            **self._given,
        )


def best(found: Found, **wanted: Any) -> Mapping[str, Any]:
    """The quickest tuning that was tried, of those that are as `wanted`."""
    allowed = [
        each
        for each in found
        if all(each["tuning"][name] == value for name, value in wanted.items())
    ]
    tuning: Mapping[str, Any] = min(allowed, key=lambda each: each["secs"])["tuning"]
    return tuning
