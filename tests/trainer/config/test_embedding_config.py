"""Settings of caches that keep the teacher's embedding, and what is refused of them."""

import dataclasses

import pytest

from tests.helpers import configs
from tests.helpers.messages import assert_states, refused
from trainer.config import ConfigError, from_resolved, load, resolve, why_online

CACHED = "distill.soft_targets='cached'"
KEPT = "distill.cache_embedding=true"
HALF = "distill.cache_embedding_dtype='float16'"
EMBEDDING = "'embedding'"


@pytest.fixture
def read(tmp_path):
    """A function from settings to the config."""

    def loaded(*overrides: str):
        file = tmp_path / "small.toml"
        file.write_text(configs.RUN)
        return load(str(file), ["student.train.global_batch_size=48", *overrides])

    return loaded


def term(loss: str, teacher_layer: str = EMBEDDING, more: str = "") -> str:
    """A list of two terms, the second between layers."""
    student = "['embedding', 'hidden_0']" if "[" in teacher_layer else EMBEDDING
    layers = f"student_layer={student}, teacher_layer={teacher_layer}"
    return f"distill={{terms=[{{loss='kl'}}, {{loss='{loss}', {layers}}}]{more}}}"


def test_a_cache_keeps_no_embedding_unless_it_is_asked_for(read):
    for overrides in ((), (CACHED,), (term("hint"),)):
        distill = read(*overrides).distill
        assert (distill.cache_embedding, distill.cache_embedding_dtype) == (
            *(False, "float32"),
        )


@pytest.mark.parametrize(
    "loss",
    ["hint", "similarity", "rkd", "pkt", "contrastive", "srrl", "vid", "cosine"],
)
def test_a_cache_of_embeddings_serves_terms_between_embeddings(read, loss):
    config = read(term(loss), CACHED, KEPT, HALF)
    assert config.distill.is_cached
    assert config.distill.cache_embedding_dtype == "float16"
    # As the workdir keeps it.
    kept = from_resolved(resolve(config), [], kept_in="here")
    assert kept.distill == dataclasses.replace(
        config.distill, group_size=config.group_size
    )


@pytest.mark.parametrize(
    ("layer", "more", "facts"),
    [
        # Without the embedding, another layer, and one of several.
        (EMBEDDING, (), [EMBEDDING, "distill.cache_embedding = false"]),
        ("'hidden_0'", (KEPT,), ["'hidden_0'", "distill.cache_embedding = true"]),
        ("'hidden_0'", (), ["'hidden_0'", "distill.cache_embedding = false"]),
        ("['embedding', 'hidden_0']", (KEPT,), ["'hidden_0'"]),
    ],
)
def test_layers_that_no_cache_keeps_need_a_live_teacher(read, layer, more, facts):
    named = ["distill.terms[1].teacher_layer", *facts]
    with refused(ConfigError, *named, "'cached'", "distill.soft_targets = 'online'"):
        read(term("hint", layer), CACHED, *more)
    read(term("hint", layer), "distill.soft_targets='online'")


def test_the_logits_of_srrl_are_all_in_the_cache(read):
    top = (CACHED, KEPT, "distill.top_k=3")
    with refused(ConfigError, "distill.terms[1]", "'srrl'", "distill.top_k", 3):
        read(term("srrl"), *top)
    assert read(term("hint"), *top).distill.top_k == 3


def test_auto_has_a_live_teacher_for_terms_between_layers(read):
    config = read(term("pkt"))
    assert config.distill.soft_targets == "auto"
    assert_states(
        why_online(config), "distill.terms[1]", "'pkt'", "distill.cache_embedding"
    )
    assert why_online(read()) == ""


@pytest.mark.parametrize(
    ("settings", "facts"),
    [
        ((KEPT,), ["distill.soft_targets = 'cached'", "'auto'"]),
        (
            (KEPT, "distill.soft_targets='online'"),
            ["distill.soft_targets = 'cached'", "'online'"],
        ),
        ((HALF, CACHED), ["distill.cache_embedding = true", "'float16'"]),
    ],
)
def test_an_embedding_that_nobody_would_keep_is_refused(read, settings, facts):
    with refused(ConfigError, "distill.cache_embedding", *facts):
        read(*settings)
