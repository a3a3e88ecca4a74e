"""Predictions of the teacher for one batch, at any temperature.

Shapes: B = examples on this replica, C = classes.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf

from trainer.losses.correlation import standardize
from trainer.losses.ensemble import average
from trainer.losses.joined_classes import join_classes
from trainer.losses.targets import Scalar, SoftTargets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One network's predictions for a batch."""

    at: Callable[[Scalar], SoftTargets]  # its soft targets at a temperature
    # Values inside of it, by the layers that terms name: [B, ...] each.
    features: Mapping[str, tf.Tensor] = dataclasses.field(default_factory=dict)


def join_member(member: Member, groups: Sequence[Sequence[int]]) -> Member:
    """The predictions of a network of other classes, over those of the data.

    `groups` are the numbers of its classes for each of the data's, whose probabilities
    are summed at the temperature in use; see trainer.losses.joined_classes.
    """

    def at(temperature: Scalar) -> SoftTargets:
        logits = member.at(temperature).logits
        return SoftTargets(logits=join_classes(logits, groups, temperature=temperature))

    return Member(at=at, features=member.features)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherPredictions:
    """Predictions of each of the teacher's networks, which each loss combines.

    One network stands for itself. Of an ensemble the `weights` say how much each of the
    members counts beside the others.
    """

    members: Sequence[Member]
    weights: Sequence[float] = (1.0,)

    def of(self, member: int | None) -> "TeacherPredictions":
        """The predictions of one network of an ensemble; of all for None."""
        if member is None:
            return self
        return TeacherPredictions(members=[self.members[member]])

    def at(self, temperature: Scalar, *, standardized: bool = False) -> SoftTargets:
        """The soft targets at T; an ensemble's probabilities are averaged there.

        Where `standardized`, each member's logits are standardised first; they must be
        those of all classes.
        """
        members = [member.at(temperature) for member in self.members]
        if standardized:
            members = [SoftTargets(logits=standardize(m.logits)) for m in members]
        if len(members) == 1:
            return members[0]
        return average(members, weights=self.weights, temperature=temperature)

    def logits(self, *, standardized: bool = False) -> tf.Tensor:
        """The logits of all classes: [B, C].

        Those of an ensemble are the average of the members' logits less their mean,
        because the mean is of no meaning and differs between networks. Where
        `standardized`, each member's logits are standardised first.
        """
        members = [member.at(1.0).logits for member in self.members]
        if standardized:
            members = [standardize(logits) for logits in members]
        if len(members) == 1:
            return members[0]
        total = sum(
            weight * (logits - tf.reduce_mean(logits, axis=-1, keepdims=True))
            for weight, logits in zip(self.weights, members, strict=True)
        )
        return total / sum(self.weights)
