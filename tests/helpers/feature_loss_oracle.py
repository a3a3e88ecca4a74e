"""Losses on features and relations in NumPy and float64, example by example.

Each takes features [M, ...] of student and teacher and gives a value for each of the M
examples. Those on relations see groups of `group_size` neighbours.
"""

import itertools
import math

import numpy as np


def by_group(loss):
    """A loss of one group that becomes that of each of its examples."""

    def of_all(student, teacher, *, group_size, **options):
        values = []
        for first in range(0, len(student), group_size):
            group = slice(first, first + group_size)
            value = loss(student[group], teacher[group], **options)
            values.extend(np.broadcast_to(value, group_size))
        return np.array(values)

    return of_all


def hint(student, teacher):
    pairs = zip(student, teacher, strict=True)
    return np.array([np.square(a - b).sum() / a.size for a, b in pairs])


def attention(student, teacher):
    values = []
    for pair in zip(student, teacher, strict=True):
        ours, theirs = (
            unit([np.square(place).mean() for place in maps.reshape(-1, len(maps.T))])
            for maps in pair
        )
        values.append(np.square(ours - theirs).mean())
    return np.array(values)


@by_group
def similarity(student, teacher):
    ours, theirs = (
        np.stack([unit([np.vdot(one, other) for other in group]) for one in group])
        for group in (student, teacher)
    )
    return np.linalg.norm(ours - theirs, "fro") ** 2 / len(student) ** 2


@by_group
def rkd(student, teacher, *, distance_weight, angle_weight, apart=None):
    """With `apart`, the pairs [G, G] of the student that do not coincide, if given."""
    everyone = range(len(student))
    (ours, our_cosines), (theirs, their_cosines) = (
        relations(student, apart),
        relations(teacher, None),
    )
    distances = sum(
        huber(ours[pair] - theirs[pair])
        for pair in itertools.product(everyone, repeat=2)
    )
    angles = sum(
        huber(our_cosines[triple] - their_cosines[triple])
        for triple in itertools.product(everyone, repeat=3)
    )
    return (
        distance_weight * distances / len(student) ** 2
        + angle_weight * angles / len(student) ** 3
    )


def relations(embeddings, apart):
    everyone = range(len(embeddings))
    distances, cosines = {}, {}
    for i, j in itertools.product(everyone, repeat=2):
        distances[i, j] = math.dist(embeddings[i], embeddings[j])
        if apart is not None and not apart[i, j]:
            distances[i, j] = 0.0
    for i, j, k in itertools.product(everyone, repeat=3):
        arms = embeddings[i] - embeddings[j], embeddings[k] - embeddings[j]
        lengths = distances[i, j] * distances[k, j]
        cosines[i, j, k] = np.dot(*arms) / lengths if lengths else 0.0
    positive = [distance for distance in distances.values() if distance > 0]
    mean = np.mean(positive) if positive else 1.0
    return {pair: distances[pair] / mean for pair in distances}, cosines


def huber(x):
    return x**2 / 2 if abs(x) <= 1 else abs(x) - 0.5


@by_group
def pkt(student, teacher):
    q, p = (neighbor_probs(group) for group in (student, teacher))
    terms = [
        p[i, j] * math.log((p[i, j] + 1e-7) / (q[i, j] + 1e-7))
        for i, j in itertools.product(range(len(student)), repeat=2)
    ]
    return np.mean(terms)


def neighbor_probs(group):
    probs = np.array([[(cosine(a, b) + 1) / 2 for b in group] for a in group])
    return np.stack([row / row.sum() for row in probs])


@by_group
def contrastive(student, teacher, *, tau):
    values = []
    for i, embedding in enumerate(student):
        scores = [math.exp(cosine(embedding, other) / tau) for other in teacher]
        values.append(-math.log(scores[i] / sum(scores)))
    return np.array(values)


def vid(student, teacher, *, variance):
    values = []
    for one, other in zip(student, teacher, strict=True):
        terms = [
            ((one[place] - other[place]) ** 2 / variance[place[-1]]) / 2
            + math.log(variance[place[-1]]) / 2
            for place in np.ndindex(one.shape)
        ]
        values.append(np.mean(terms))
    return np.array(values)


def cosine_distance(student, teacher):
    num_channels = student.shape[-1]
    return np.array(
        [
            np.mean(
                [
                    1 - cosine(a, b)
                    for a, b in zip(
                        one.reshape(-1, num_channels),
                        other.reshape(-1, num_channels),
                        strict=True,
                    )
                ]
            )
            for one, other in zip(student, teacher, strict=True)
        ]
    )


def srrl(student, teacher, student_logits, teacher_logits):
    return hint(student, teacher) + hint(student_logits, teacher_logits)


def unit(vector):
    """The vector over its norm, and zeros as they are."""
    vector = np.asarray(vector)
    norm = math.sqrt((vector * vector).sum())
    return vector / norm if norm else vector


def cosine(a, b):
    return unit(a) @ unit(b)


def pool(features, sizes):
    """Adaptive average pooling of [M, ..., C] to `sizes` places, bin by bin."""
    pooled = np.zeros((len(features), *sizes, features.shape[-1]))
    for bins in np.ndindex(*sizes):
        places = tuple(
            slice(math.floor(i * large / small), math.ceil((i + 1) * large / small))
            for i, large, small in zip(bins, features.shape[1:-1], sizes, strict=True)
        )
        inside = features[:, *places]
        pooled[:, *bins] = inside.mean(axis=tuple(range(1, inside.ndim - 1)))
    return pooled


ORACLES = {
    "hint_loss": hint,
    "attention_loss": attention,
    "similarity_loss": similarity,
    "rkd_loss": rkd,
    "pkt_loss": pkt,
    "contrastive_loss": contrastive,
    "vid_loss": vid,
    "cosine_loss": cosine_distance,
    "srrl_loss": srrl,
}
