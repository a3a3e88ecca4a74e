"""Terms of the loss in a file and on the command line, and what is refused of them."""

import json
import tomllib

import pytest

from tests.helpers import configs
from tests.helpers.configs import WITH_LAYERS
from tests.helpers.messages import assert_states, refused
from trainer import main
from trainer.config import (
    ConfigError,
    differences,
    from_resolved,
    load,
    read_settings,
    resolve,
    run_name,
)
from trainer.config.losses import LOSSES
from trainer.config.soft_targets import describe_rule, why_online
from trainer.config.toml_text import toml_text

BATCH = 48


@pytest.fixture
def read(tmp_path):
    """A function from settings, and the text of [distill], to the config."""

    def loaded(*overrides: str, distill: str = ""):
        file = tmp_path / "small.toml"
        file.write_text(configs.RUN + distill)
        batch = f"student.train.global_batch_size={BATCH}"
        return load(str(file), [batch, *overrides])

    return loaded


def of_terms(*terms: str, more: str = "") -> str:
    return f"distill={{terms=[{', '.join('{' + term + '}' for term in terms)}]{more}}}"


def test_a_file_lists_terms(read):
    distill = read(
        distill="""
[distill]
hard_weight = 0.5

[[distill.terms]]
loss = "dkd"
options.other_weight = 2.0
warmup_epochs = 1.5

[[distill.terms]]
loss = "kl"
weight = 3
standardize = true
schedule = "cosine"
final_weight = 0
"""
    ).distill
    assert distill.hard_weight == 0.5
    first, second = distill.terms
    assert (first.loss, first.weight, first.temperature) == ("dkd", 1.0, 4.0)
    assert (first.options.target_weight, first.options.other_weight) == (1.0, 2.0)
    assert first.warmup_epochs == 1.5
    assert (second.weight, second.standardize, second.final_weight) == (3.0, True, 0.0)
    assert distill.term_names == ("dkd", "kl")
    assert not hasattr(distill, "alpha")


def test_the_short_form_is_one_term(read):
    distill = read("distill.alpha=0.25", "distill.temperature=7").distill
    (term,) = distill.terms
    assert (term.loss, term.weight, term.temperature) == ("kl", 0.25, 7.0)
    assert (distill.hard_weight, distill.term_names) == (0.75, ("soft_loss",))


def test_the_second_of_a_kind_has_a_number(read):
    distill = read(of_terms(*["loss='kl'"] * 3, "loss='wsl'")).distill
    assert distill.term_names == ("kl", "kl[1]", "kl[2]", "wsl")


@pytest.mark.parametrize("form", ["short", "long"])
def test_what_config_prints_is_accepted_again(read, tmp_path, form):
    terms = (
        ["distill.alpha=0.3"]
        if form == "short"
        else [f"distill={WITH_LAYERS.format(group_size=4)}"]
    )
    config = read(*terms)
    printed = resolve(config)
    assert ("alpha" in printed["distill"]) == (form == "short")
    assert ("terms" in printed["distill"]) == (form == "long")
    assert from_resolved(printed, [], kept_in="here") == config
    # As best.toml of a sweep is written.
    given = _without_nulls(printed)
    again = tmp_path / "again.toml"
    again.write_text(toml_text(given))
    assert load(str(again), []) == config
    assert tomllib.loads(again.read_text())["distill"] == given["distill"]


def test_what_a_sweep_writes_of_its_best_trial_is_accepted_again(read, tmp_path):
    read(of_terms("loss='kl'", "loss='dist', temperature=2.0"))  # writes the file
    batch = f"student.train.global_batch_size={BATCH}"
    given = ([batch, of_terms("loss='kl'", "loss='dist', temperature=2.0")],)
    trial = {"distill.terms[1].temperature": 3.0, "distill.terms[0].weight": 0.25}
    settings = read_settings(str(tmp_path / "small.toml"), *given, variant=trial)
    (tmp_path / "best.toml").write_text(toml_text(settings))
    first, second = load(str(tmp_path / "best.toml"), []).distill.terms
    assert (first.weight, second.temperature) == (0.25, 3.0)


def _without_nulls(value):
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def test_a_term_is_set_by_its_number(read):
    terms = of_terms("loss='kl'", "loss='jensen_shannon'")
    config = read(
        terms, "distill.terms[1].weight=0.5", "distill.terms[1].options.beta=0.2"
    )
    assert config.distill.terms[1].weight == 0.5
    assert config.distill.terms[1].options.beta == 0.2
    assert config.distill.terms[0].weight == 1.0


def test_grids_and_searches_vary_terms(read):
    terms = of_terms("loss='kl'")
    grid = "study.grid={'distill.terms[0].weight'=[1, 3]}"
    assert list(read(terms, grid).study.variants) == ["weight=1", "weight=3"]
    lists = "[[{loss='kl', weight=3}], [{loss='dist'}, {loss='wsl', temperature=2}]]"
    study = read(terms, f"study.grid={{'distill.terms'={lists}}}").study
    assert list(study.variants) == [
        "terms=kl_weight_3",
        "terms=dist_+_wsl_temperature_2",
    ]
    space = "{'distill.terms[0].temperature'={low=1, high=20, log=true}}"
    searched = read(terms, f"sweep={{trials=2, space={space}}}")
    assert "distill.terms[0].temperature" in searched.sweep.space


KL = "loss='kl'"
REFUSED = {
    of_terms("loss='dkdd'"): ("distill.terms[0].loss", "'dkdd'", "'dkd'"),
    of_terms(KL, "loss='dkd', options={beta=1}"): (
        *("distill.terms[1].options.beta", "'dkd'", "other_weight"),
    ),
    of_terms("loss='kl', options={gamma=1}"): (
        "distill.terms[0].options.gamma",
        "'kl'",
    ),
    of_terms("loss='kl', wieght=1"): ("distill.terms[0].wieght", "weight"),
    of_terms("loss='kl', weight=-0.5"): ("distill.terms[0].weight", 0, -0.5),
    of_terms("loss='kl', weight=nan"): ("distill.terms[0].weight", "nan"),
    of_terms("loss='kl', temperature=0"): ("distill.terms[0].temperature", 0.001, 0),
    of_terms("loss='jensen_shannon', options={beta=1.5}"): (
        *("distill.terms[0].options.beta", 0, 1, 1.5),
    ),
    of_terms(): ("distill.terms",),
    of_terms("loss='kl', weight=0", more=", hard_weight=0"): ("distill.hard_weight", 0),
    of_terms(KL, more=", hard_weight=-1"): ("distill.hard_weight", 0, -1),
    of_terms(KL, more=", alpha=0.5"): ("distill.terms", "distill.alpha"),
    of_terms(KL, more=", temperature=2"): ("distill.terms", "distill.temperature"),
    of_terms("loss='kl', final_weight=2"): (
        *("distill.terms[0].final_weight", "distill.terms[0].schedule", 2.0),
        "'constant'",
    ),
    of_terms("loss='kl', schedule='cosine'"): (
        *("distill.terms[0].schedule", "'cosine'", "distill.terms[0].final_weight"),
    ),
    of_terms("loss='kl', warmup_steps=3, warmup_epochs=1"): (
        *("distill.terms[0]", "warmup_steps", 3, "warmup_epochs", 1.0),
    ),
    # A group that cuts the batch, or that nobody needs.
    of_terms("loss='dist'", more=", group_size=5"): (
        *("distill.group_size", BATCH, 5, 24),
    ),
    of_terms(KL, more=", group_size=4"): ("distill.group_size", "'dist'", 4, "kl"),
    of_terms("loss='dist'", more=", group_size=2"): ("distill.group_size", 3, 2),
    # Images without a label.
    of_terms("loss='nkd'", more=", hard_weight=0, mixup=0.5"): (
        *("distill.terms[0]", "'nkd'", "distill.mixup", 0.5),
    ),
    of_terms(KL, more=", mixup=0.5"): ("distill.mixup", "distill.hard_weight", 1.0),
}


@pytest.mark.parametrize("override", REFUSED)
def test_terms_that_contradict_themselves_are_refused(read, override):
    with refused(ConfigError, *REFUSED[override]):
        read(override)


@pytest.mark.parametrize("name", [x for x, row in LOSSES.items() if not row.features])
@pytest.mark.parametrize(
    "change", ["", ", standardize=true", ", schedule='linear', final_temperature=1.0"]
)
def test_a_cache_of_the_top_k_serves_what_its_row_says(read, name, change):
    more = ", soft_targets='cached', top_k=3"
    terms = of_terms(KL, f"loss='{name}'{change}", more=more)
    if LOSSES[name].serves_top_k and not change:
        assert read(terms).distill.top_k == 3
        return
    with refused(ConfigError, "distill.terms[1]", f"'{name}'", "distill.top_k", 3):
        read(terms)


@pytest.mark.parametrize(
    ("batch", "accumulate", "size"),
    [
        (1024, 1, 64),  # 128 a replica of eight
        (96, 1, 12),
        (64, 1, 8),
        (48, 1, 48),  # 6 a replica of eight are too few
        (512, 4, 16),
        (36, 1, 36),
        (34, 1, 34),
    ],
)
def test_a_group_is_what_one_to_eight_replicas_share(read, batch, accumulate, size):
    train = [
        f"student.train.global_batch_size={batch}",
        f"student.train.accumulate={accumulate}",
    ]
    config = read(of_terms("loss='dist'"), *train)
    assert config.group_size == size
    # The workdir keeps the number, which a later version may choose otherwise.
    assert resolve(config)["distill"]["group_size"] == size
    assert read(of_terms(KL), *train).group_size == 0


def test_a_batch_without_even_groups_is_told(read):
    with refused(ConfigError, "student.train.global_batch_size", 35):
        read(of_terms("loss='dist'"), "student.train.global_batch_size=35")
    odd = of_terms("loss='dist'", more=", group_size=5")
    assert read(odd, "student.train.global_batch_size=35").group_size == 5


def test_mixed_pairs_lie_inside_a_group(read):
    more = ", hard_weight=0, mixup=0.5, group_size="
    assert read(of_terms("loss='dist'", more=f"{more}4")).group_size == 4
    with refused(ConfigError, "distill.group_size", "even", 3):
        read(of_terms("loss='dist'", more=f"{more}3"))


def test_a_nonsense_loss_ends_with_2_before_tensorflow_is_loaded(tmp_path, capsys):
    file = tmp_path / "small.toml"
    file.write_text(configs.RUN)
    flags = [f"--config={file}", f"--workdir={tmp_path}/workdir"]
    wrong = "--set=" + of_terms("loss='dkdd'")
    assert main.main(["trainer", "run", *flags, wrong]) == 2
    assert_states(capsys.readouterr().err, "distill.terms[0].loss", "'dkdd'")
    assert not (tmp_path / "workdir").exists()


def test_an_own_loss_needs_no_row(read):
    (term,) = read(of_terms("loss='losses:mine', options={power=3}")).distill.terms
    assert (term.is_own, term.options) == (True, {"power": 3})
    assert json.dumps(dict(term.options)) == '{"power": 3}'


BETWEEN = {name: row for name, row in LOSSES.items() if row.features}
LAYERS = "student_layer='a/b', teacher_layer='embedding'"
HINT = f"loss='hint', {LAYERS}"
KEPT = ", soft_targets='cached', cache_embedding=true"
MEMBERS = """teacher={members=[
    {model='mlp', weights='a.keras'}, {model='mlp', weights='b.keras'}
]}""".replace("\n", "")


def test_terms_name_layers_by_path_one_or_several_in_pairs(read):
    terms = read(
        distill="""
[[distill.terms]]
loss = "hint"
student_layer = ["backbone/block_1", "pool"]
teacher_layer = ["conv4_block6_out", "embedding"]
options.batch_norm = true

[[distill.terms]]
loss = "rkd"
student_layer = "embedding"
teacher_layer = "embedding"

[[distill.terms]]
loss = "kl"
"""
    ).distill.terms
    assert [term.student_layers for term in terms] == [
        ("backbone/block_1", "pool"),
        ("embedding",),
        (),
    ]
    assert [term.teacher_layers for term in terms] == [
        ("conv4_block6_out", "embedding"),
        ("embedding",),
        (),
    ]
    assert [term.is_of_features for term in terms] == [True, True, False]
    assert (terms[0].options.adapter, terms[0].options.batch_norm) == ("linear", True)
    assert (terms[1].options.distance_weight, terms[1].options.angle_weight) == (25, 50)


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("absent", ["student_layer", "teacher_layer"])
def test_a_loss_between_layers_needs_both(read, name, absent):
    given = {"student_layer", "teacher_layer"} - {absent}
    layers = ", ".join(f"{layer}='embedding'" for layer in given)
    facts = (f"distill.terms[1].{absent}", f"'{name}'", "'embedding'", "trainer layers")
    with refused(ConfigError, *facts):
        read(of_terms(KL, f"loss='{name}', {layers}"))


@pytest.mark.parametrize("name", BETWEEN)
def test_temperatures_and_standard_scores_are_of_logits_alone(read, name):
    loss = f"loss='{name}', student_layer='a', teacher_layer='embedding'"
    assert read(of_terms(f"{loss}, temperature=4.0")).distill.term_names == (name,)
    for setting, value in (
        ("temperature", 2.0),
        ("standardize", "True"),
        ("final_temperature", 1.0),
    ):
        more = f"{setting}={str(value).lower()}"
        if setting.startswith("final"):
            more += ", schedule='linear'"
        with refused(
            ConfigError, f"distill.terms[0].{setting}", f"'{name}'", "logits", value
        ):
            read(of_terms(f"{loss}, {more}"))


def test_validation_is_at_the_temperatures_of_logits(read):
    terms = of_terms(HINT, "loss='kl', temperature=3.0")
    assert read(terms).temperatures == (3.0,)
    assert read(of_terms(HINT)).temperatures == (1.0,)


REFUSED_LAYERS = {
    of_terms("loss='kl', student_layer='a'"): (
        *("distill.terms[0].student_layer", "'kl'", "logits", "'a'", "hint"),
    ),
    of_terms("loss='wsl', teacher_layer=['a', 'b']"): (
        *("distill.terms[0].teacher_layer", "'wsl'", "a", "b"),
    ),
    of_terms("loss='hint', student_layer=['a', 'b'], teacher_layer='c'"): (
        *("distill.terms[0]", "student_layer", 2, "a, b", 1, "c"),
    ),
    of_terms("loss='hint', student_layer=[], teacher_layer=[]"): (
        *("distill.terms[0].student_layer", "'hint'"),
    ),
    of_terms("loss='hint', student_layer=[''], teacher_layer=['a']"): (
        "distill.terms[0].student_layer[0]",
    ),
    of_terms("loss='hint', student_layer=3, teacher_layer='a'"): (
        *("distill.terms[0].student_layer", 3),
    ),
    of_terms("loss='srrl', student_layer='a', teacher_layer='pool'"): (
        *("distill.terms[0].teacher_layer", "'embedding'", "'srrl'", "'pool'"),
    ),
    of_terms(f"{HINT}, options={{adapter='conv'}}"): (
        *("distill.terms[0].options.adapter", "'linear'", "'none'", "'conv'"),
    ),
    of_terms(f"loss='attention', {LAYERS}, options={{batch_norm=true}}"): (
        *("distill.terms[0].options.batch_norm", "'attention'"),
    ),
    of_terms(f"loss='contrastive', {LAYERS}, options={{tau=0}}"): (
        *("distill.terms[0].options.tau", 0.001, 0),
    ),
    of_terms(f"loss='rkd', {LAYERS}, options={{angle_weight=-1}}"): (
        *("distill.terms[0].options.angle_weight", 0, -1),
    ),
    of_terms(HINT, more=", group_size=4"): ("distill.group_size", 4, "hint"),
    of_terms(f"{HINT}, teacher='members[0]'"): (
        *("distill.terms[0].teacher", "''", "[teacher]", "'members[0]'"),
    ),
    # A cache keeps the embedding, and only where it is asked for.
    of_terms(KL, HINT, more=", soft_targets='cached'"): (
        *("distill.terms[1].teacher_layer", "'embedding'", "distill.cache_embedding"),
        *("distill.soft_targets", "'cached'", "'online'"),
    ),
    of_terms("loss='hint', student_layer='a', teacher_layer='pool'", more=KEPT): (
        *("distill.terms[0].teacher_layer", "'embedding'", "'pool'", "'online'"),
    ),
    of_terms(
        "loss='hint', student_layer=['a', 'b'], teacher_layer=['embedding', 'c']",
        more=KEPT,
    ): ("distill.terms[0].teacher_layer", "'embedding'", "'c'"),
    of_terms(f"loss='srrl', {LAYERS}", more=f"{KEPT}, top_k=3"): (
        *("distill.terms[0]", "'srrl'", "distill.top_k", 3),
    ),
    of_terms(HINT, more=", soft_targets='online', cache_embedding=true"): (
        *("distill.cache_embedding", "distill.soft_targets", "'cached'", "'online'"),
    ),
    of_terms(HINT, more=", cache_embedding=true"): (
        *("distill.cache_embedding", "distill.soft_targets", "'cached'", "'auto'"),
    ),
    "distill.cache_embedding=true": ("distill.cache_embedding", "'cached'", "'auto'"),
    of_terms(HINT, more=", cache_embedding_dtype='float16'"): (
        *("distill.cache_embedding_dtype", "distill.cache_embedding", "'float16'"),
    ),
}


@pytest.mark.parametrize("override", REFUSED_LAYERS)
def test_layers_that_contradict_their_loss_or_the_cache_are_refused(read, override):
    with refused(ConfigError, *REFUSED_LAYERS[override]):
        read(override)


@pytest.mark.parametrize("name", BETWEEN)
def test_what_learns_from_the_embedding_learns_from_a_cache(read, name):
    top_k = "" if name == "srrl" else ", top_k=3"
    terms = of_terms(f"loss='{name}', {LAYERS}", more=KEPT + top_k)
    assert read(terms).distill.cache_embedding


@pytest.mark.parametrize("name", BETWEEN)
def test_images_that_are_mixed_have_every_loss_between_layers(read, name):
    more = ", hard_weight=0, mixup=0.5"
    assert read(of_terms(f"loss='{name}', {LAYERS}", more=more)).distill.mixup == 0.5


def test_groups_are_of_losses_between_examples_alone(read):
    for name, row in BETWEEN.items():
        size = read(of_terms(f"loss='{name}', {LAYERS}")).group_size
        assert (size > 0) == (name in ("similarity", "rkd", "pkt", "contrastive"))
        assert row.needs_groups == (size > 0)


def test_a_term_names_the_member_that_it_is_against(read):
    terms = of_terms(
        KL, "loss='kl', teacher='members[1]'", f"{HINT}, teacher='members[0]'"
    )
    assert [term.member for term in read(MEMBERS, terms).distill.terms] == [None, 1, 0]
    both = ("'members[0]'", "'members[1]'")
    for term, facts in (
        (HINT, (*both, "'hint'", "''")),
        (f"{HINT}, teacher='members[2]'", (*both, "'members[2]'")),
        ("loss='kl', teacher='members[2]'", (*both, "''", "'members[2]'")),
        ("loss='kl', teacher='first'", (*both, "'first'")),
    ):
        with refused(ConfigError, "distill.terms[1].teacher", *facts):
            read(MEMBERS, of_terms(KL, term))


def test_auto_is_online_where_layers_are_compared_and_says_why(read):
    config = read(of_terms(KL, HINT))
    for reason in (why_online(config), describe_rule(config)):
        assert_states(reason, "distill.terms[1]", "'hint'", "distill.cache_embedding")
    assert describe_rule(config).startswith("distill.soft_targets = 'auto': online")
    assert why_online(read(of_terms(KL))) == ""


# The names that checkpoints had of these settings before there were layers to name.
NAMES = {
    "": "student/seed-0/439e9f9aaa555438",
    of_terms(KL, "loss='dist', weight=2.0"): "student/seed-0/eaffea4df2952031",
}
DEFAULTS = ", student_layer='', teacher_layer='', teacher=''"
OF_CACHE = "distill.cache_embedding=false", "distill.cache_embedding_dtype='float32'"


@pytest.mark.parametrize("terms", NAMES)
def test_settings_that_came_later_make_no_other_run(read, terms):
    given = [terms] if terms else []
    plain = read(*given)
    assert run_name(plain, "student", 0) == NAMES[terms]
    explicit = [text.replace("'kl'", f"'kl'{DEFAULTS}") for text in given]
    explicit = read(*explicit, *OF_CACHE)
    assert run_name(explicit, "student", 0) == NAMES[terms]
    # As a workdir of then keeps them.
    kept = resolve(plain)
    del kept["distill"]["cache_embedding"], kept["distill"]["cache_embedding_dtype"]
    for term in kept["distill"].get("terms", []):
        del term["student_layer"], term["teacher_layer"], term["teacher"]
    assert differences(kept, resolve(explicit)) == []
    assert resolve(from_resolved(kept, [], kept_in="here")) == resolve(plain)


def test_other_layers_make_another_run(read):
    names = {
        run_name(read(of_terms(f"{HINT}{more}")), "student", 0)
        for more in ("", ", options={batch_norm=true}", ", weight=2")
    }
    other = "loss='hint', student_layer='b', teacher_layer='embedding'"
    assert len(names | {run_name(read(of_terms(other)), "student", 0)}) == 4
