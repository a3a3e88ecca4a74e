"""Random numbers against Python's integers, and their statistics.

Every draw is fixed by its key, so a statistical bound holds for good or not at all. The
bounds are five standard deviations of independent uniform numbers, which such numbers
pass 6 times in ten million: of the 9,000 comparisons here, most of them correlations of
pairs, one would fail in 200 sets of them.
"""

import math

import numpy as np
import pytest
import tensorflow as tf

from trainer import prng

WORD = 2**32


def python_mix(x: int) -> int:
    """C. Wellons' lowbias32."""
    x = (x ^ (x >> 16)) * 0x7FEB352D % WORD
    x = (x ^ (x >> 15)) * 0x846CA68B % WORD
    return x ^ (x >> 16)


def python_word(value: int) -> int:
    return (value + 0x9E3779B9) % WORD


def python_key(seed: int, *words: int) -> int:
    folded = python_mix(python_mix(python_word(seed)))
    for word in words:
        folded = python_mix(folded ^ python_mix(python_word(word)))
    return folded


def python_bits(key: int, num_draws: int) -> list[int]:
    return [python_mix(key ^ python_mix(python_word(n))) for n in range(num_draws)]


def keys_of(num_keys: int, seed: int = 0) -> tf.Tensor:
    return prng.key(seed, 0, tf.range(num_keys))


def uniforms(bits: tf.Tensor) -> np.ndarray:
    return np.asarray(bits, np.float64) / WORD


def lowest_bit(bits: tf.Tensor) -> np.ndarray:
    return np.asarray(bits, np.float64) % 2


def largest_correlation(variables: np.ndarray) -> float:
    """Of any two rows, in standard deviations of independent ones: [K, n]."""
    correlations = np.corrcoef(variables) - np.eye(len(variables))
    return float(np.abs(correlations).max() * math.sqrt(variables.shape[1]))


# The literals come from a C program around the published source of lowbias32.
def test_key_of_a_seed_is_the_literal():
    assert int(prng.key(0)) == 0xAE6F80F1


def test_key_of_words_is_the_literal():
    assert int(prng.key(7, 3, 5)) == 0x3E668828


def test_bits_are_the_literals():
    bits = prng.bits(tf.constant([0, 0xFFFFFFFF], tf.uint32), 2)
    assert bits.numpy().tolist() == [[0xAE6F80F1, 0x23064794], [0x5F3DDEE1, 0x49E0B214]]


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**31 - 1])
def test_keys_fold_the_words_in_order(seed):
    ids = [0, 1, 2, 99, 2**31 - 1]
    keys = prng.key(seed, 6, tf.constant(ids, tf.int64))
    assert keys.numpy().tolist() == [python_key(seed, 6, i) for i in ids]


def test_ids_above_31_bits_fold_as_they_are():
    ids = [2**31, 2**31 + 1, 3 * 2**30 + 7, 2**32 - 1]
    keys = prng.key(3, tf.constant(ids, tf.int64))
    assert keys.numpy().tolist() == [python_key(3, i) for i in ids]


def test_a_python_number_folds_as_the_tensor_of_it():
    number = 2**31 + 5
    tensor = tf.constant([number], tf.int64)
    assert int(prng.key(1, number)) == int(prng.key(1, tensor)[0])


def test_bits_are_a_hash_of_key_and_column():
    keys = [0, 1, 77, 2**31, WORD - 1]
    bits = prng.bits(tf.constant(keys, tf.uint32), 9)
    assert bits.numpy().tolist() == [python_bits(key, 9) for key in keys]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    "draw",
    [
        lambda keys: prng.bits(keys, 33),
        lambda keys: prng.integers(keys, 33, low=-3, high=9),
        lambda keys: prng.bernoulli(keys, 33, probability=0.3),
        lambda keys: prng.uniforms(keys, 33),
    ],
    ids=["bits", "integers", "bernoulli", "uniforms"],
)
def test_compiled_draws_are_the_same(draw, jit_compile):
    def of_ids(ids: tf.Tensor) -> tf.Tensor:
        return draw(prng.key(5, 2, ids))

    ids = tf.constant([0, 4, 2**31 + 11, 2**32 - 1], tf.int64)
    compiled = tf.function(of_ids, jit_compile=jit_compile, autograph=False)
    np.testing.assert_array_equal(compiled(ids), of_ids(ids))


def test_uniforms_have_mean_a_half():
    sample = uniforms(prng.bits(keys_of(256), 256))
    assert abs(sample.mean() - 1 / 2) < 5 * math.sqrt(1 / 12 / sample.size)


def test_uniforms_have_variance_a_twelfth():
    sample = uniforms(prng.bits(keys_of(256), 256))
    # The variance of (u - 1/2)**2 is 1/80 - 1/144.
    spread = math.sqrt((1 / 80 - 1 / 144) / sample.size)
    assert abs(np.square(sample - 1 / 2).mean() - 1 / 12) < 5 * spread


def chi_square(bins: np.ndarray) -> float:
    counts = np.bincount(bins.ravel(), minlength=16)
    expected = bins.size / 16
    return float((np.square(counts - expected) / expected).sum())


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
@pytest.mark.parametrize("lowest_place", [0, 14, 28])
def test_four_bits_fill_16_bins_evenly(seed, lowest_place):
    bits = prng.bits(keys_of(256, seed), 256).numpy()
    # Chi-square with 15 degrees of freedom is outside 7 times in a million; too even is
    # as wrong as too uneven.
    assert 1.4 < chi_square((bits >> lowest_place) & 15) < 53.0


def test_each_of_the_32_bits_is_set_half_of_the_time():
    bits = prng.bits(keys_of(256), 256).numpy().ravel()
    shares = [((bits >> place) & 1).mean() for place in range(32)]
    np.testing.assert_allclose(shares, 0.5, atol=5 * 0.5 / math.sqrt(bits.size))


@pytest.mark.parametrize("value", [uniforms, lowest_bit])
def test_rows_of_neighbouring_examples_are_uncorrelated(value):
    assert largest_correlation(value(prng.bits(keys_of(64), 4096))) < 5


@pytest.mark.parametrize("value", [uniforms, lowest_bit])
def test_columns_are_uncorrelated(value):
    assert largest_correlation(value(prng.bits(keys_of(4096), 64)).T) < 5


@pytest.mark.parametrize("value", [uniforms, lowest_bit])
def test_streams_of_the_same_keys_are_uncorrelated(value):
    keys = keys_of(256)
    streams = [value(prng.bits(prng.key(s, keys), 64)).ravel() for s in range(8)]
    assert largest_correlation(np.stack(streams)) < 5


@pytest.mark.parametrize("value", [uniforms, lowest_bit])
def test_neighbouring_seeds_are_uncorrelated(value):
    seeds = [value(prng.bits(keys_of(256, seed), 64)).ravel() for seed in range(8)]
    assert largest_correlation(np.stack(seeds)) < 5


@pytest.mark.parametrize("value", [uniforms, lowest_bit])
def test_neighbouring_steps_are_uncorrelated(value):
    slots = tf.range(256)
    steps = [value(prng.bits(prng.key(9, s, slots), 64)).ravel() for s in range(8)]
    assert largest_correlation(np.stack(steps)) < 5


def test_no_two_of_seed_step_and_slot_share_a_key():
    # Ten thousand random words would hold two equal ones once in 86 times.
    keys = np.concatenate(
        [
            prng.key(seed, step, tf.range(100)).numpy()
            for seed in range(10)
            for step in range(10)
        ]
    )
    assert len(np.unique(keys)) == 10_000


def test_rows_do_not_depend_on_the_rows_beside_them():
    keys = keys_of(50)
    np.testing.assert_array_equal(prng.bits(keys[10:20], 7), prng.bits(keys, 7)[10:20])


def test_more_draws_extend_the_fewer():
    keys = keys_of(5)
    np.testing.assert_array_equal(prng.bits(keys, 4), prng.bits(keys, 40)[:, :4])


@pytest.mark.parametrize(("low", "high"), [(0, 4), (-3, 3), (5, 5), (0, 255)])
def test_integers_are_all_of_low_to_high_and_no_others(low, high):
    draws = prng.integers(keys_of(200), 50, low=low, high=high)
    assert np.unique(draws).tolist() == list(range(low, high + 1))


def test_integers_are_equally_likely():
    draws = prng.integers(keys_of(1000), 100, low=0, high=4).numpy()
    shares = np.bincount(draws.ravel()) / draws.size
    spread = math.sqrt(0.2 * 0.8 / draws.size)
    np.testing.assert_allclose(shares, 0.2, atol=5 * spread)


def test_floats_are_the_24_high_bits():
    keys = tf.constant([0, 1, 77, 2**31, WORD - 1], tf.uint32)
    floats = prng.uniforms(keys, 9)
    assert floats.dtype == tf.float32
    expected = [
        [bits // 256 / 2**24 for bits in python_bits(k, 9)]
        for k in keys.numpy().tolist()
    ]
    assert floats.numpy().tolist() == expected


def test_floats_are_at_least_0_and_below_1():
    floats = prng.uniforms(keys_of(4096), 4096).numpy()
    # 2**24 of them: none is so small, or so large, once in e**16 times.
    assert 0 <= floats.min() < 2**-20
    assert 1 - 2**-20 < floats.max() < 1


@pytest.mark.parametrize("probability", [0.01, 0.2, 0.5, 0.9])
def test_events_happen_with_their_probability(probability):
    share = prng.bernoulli(keys_of(1000), 100, probability=probability).numpy().mean()
    spread = math.sqrt(probability * (1 - probability) / 100_000)
    assert abs(share - probability) < 5 * spread


def test_an_event_of_probability_zero_never_happens():
    assert prng.bernoulli(keys_of(100), 100, probability=0.0).numpy().mean() == 0


@pytest.mark.parametrize("probability", [1.0, 1 - 1e-10])
def test_an_event_of_probability_one_always_happens(probability):
    share = prng.bernoulli(keys_of(100), 100, probability=probability).numpy().mean()
    assert share == 1
