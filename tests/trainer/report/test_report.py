import base64
import hashlib
import html
import html.parser
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.finished_run import NUM_EXAMPLES, write_workdir
from tests.helpers.messages import assert_a_line_states, assert_states, refused
from tests.helpers.oracle import softmax
from trainer import report
from trainer.report import (
    colours,
    dark_knowledge,
    figures,
    inputs,
    markup,
    page,
    pictures,
)


def digits():
    return [str(digit) for digit in range(10)]


class Page(html.parser.HTMLParser):
    """Collects the tags, the attributes and the text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module", autouse=True)
def _coarse_pngs():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markup, "DOTS_PER_INCH", 30)  # the time goes into pixels
        yield


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
    """Workdirs with a report: one seed in grey, many classes, many seeds in colour."""
    kinds = {
        "grey": {"class_names": digits()},
        "many": {"class_names": [f"species {index}" for index in range(100)]},
        "pair": {"class_names": ["no", "yes"], "num_seeds": 2, "channels": 3},
    }
    folder = tmp_path_factory.mktemp("workdirs")
    for kind, options in kinds.items():
        (folder / kind).mkdir()
        write_workdir(folder / kind, **options)
        report.write(folder / kind)
    return folder


@pytest.mark.parametrize("kind", ["grey", "many", "pair"])
def test_page_embeds_every_figure_and_refers_to_nothing(workdirs, kind):
    path = workdirs / kind / "report" / "index.html"
    text = path.read_text(encoding="utf-8")
    pngs = sorted(path.parent.glob("*.png"))
    assert [png.stem for png in pngs] == [
        "confusion_matrices",
        "dark_knowledge",
        "learning_curves",
        "reliability",
    ]
    for png in pngs:
        assert png.read_bytes().startswith(b"\x89PNG")
    assert len(text) < 1_000_000
    found = Page(text)
    assert "link" not in found.tags
    assert not re.search(r"(?i)https?:|@import|url\(|//[a-z]", strip_images(text))
    ids = {value for _, name, value in found.attributes if name == "id"}
    for tag, name, value in found.attributes:
        assert name not in ("srcset", "action")
        if name == "href":
            assert value.removeprefix("#") in ids
        if name == "src":
            assert tag == "img"
            assert re.match(r"data:image/(png|webp);base64,", value)
    leftovers = {item.name for item in path.parent.iterdir()}
    assert leftovers == {"index.html", *(png.name for png in pngs)}


def strip_images(text):
    return re.sub(r"data:image/\w+;base64,[A-Za-z0-9+/=]+", "", text)


def test_the_only_script_is_the_one_that_the_policy_names(workdirs):
    text = (workdirs / "grey" / "report" / "index.html").read_text("utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert not re.search(
        r"(?i)\son[a-z]+=", re.sub(r"<script>.*", "", text, flags=re.S)
    )


def test_page_shows_the_cells_of_the_terminal_table(workdirs):
    workdir = workdirs / "pair"
    words = Page((workdir / "report" / "index.html").read_text("utf-8")).words
    results = json.loads((workdir / "results.json").read_text())
    compared = report.comparison(results)
    for row in (compared.header, *compared.rows):
        for cell in row:
            assert cell.replace("+-", "\N{PLUS-MINUS SIGN}") in words
    assert_states(" ".join(words), "best errors", "+3, +3")


def test_page_escapes_what_comes_from_files(tmp_path):
    hostile = "<script>alert('$x$')</script>"
    names = [hostile, "$\\frac{", "a & b", "\N{GREEK SMALL LETTER ALPHA}"]
    write_workdir(tmp_path, class_names=names)
    config = json.loads((tmp_path / "config.json").read_text())
    config["data"] |= {"dataset": hostile, "evaluate_view": "center_crop"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = Page(page.write(tmp_path).read_text(encoding="utf-8"))
    assert found.tags.count("script") == 1
    assert hostile in found.words
    assert any("87.5 %" in word for word in found.words)
    assert "toy <run>" in found.words


def test_many_classes_show_the_hardest_and_fold_the_rest(workdirs):
    text = (workdirs / "many" / "report" / "index.html").read_text("utf-8")
    assert_states(text, "20 hardest of 100", "All 100 classes")
    assert text.count('<th scope="row">species') == 120


def test_writing_again_replaces_the_report_by_the_same_bytes(workdirs, tmp_path):
    shutil.copytree(workdirs / "grey", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "report" / "index.html"
    before = path.read_bytes()
    path.write_text("an older report")
    assert report.write(tmp_path) == path
    assert path.read_bytes() == before


def test_a_run_without_images_or_teacher_history_still_has_a_report(tmp_path):
    write_workdir(tmp_path, class_names=digits(), num_images=0)
    (tmp_path / "teacher" / "metrics.jsonl").unlink()
    text = page.write(tmp_path).read_text(encoding="utf-8")
    assert_a_line_states(text, "Without a history", "teacher")
    assert not (tmp_path / "report" / "dark_knowledge.png").exists()


@pytest.mark.slow
def test_a_corrected_model_is_shown_beside_its_own_in_the_same_colour(tmp_path):
    write_workdir(tmp_path, class_names=digits(), num_seeds=2)
    results = json.loads((tmp_path / "results.json").read_text())
    with np.load(tmp_path / "predictions.npz") as saved:
        arrays = dict(saved)
    models = {}
    for name, model in results["models"].items():
        models[name] = model
        if name != "teacher":
            seeds = [
                seed | {"best": seed["best"] | {"class_bias": 1.5 + seed["seed"]}}
                for seed in model["seeds"]
            ]
            models[f"{name}_class_bias"] = model | {
                "seeds": seeds,
                "mean": model["mean"] | {"class_bias": 2.0},
                "std": model["std"] | {"class_bias": 0.7},
            }
            arrays[f"{name}_class_bias_logits"] = arrays[f"{name}_logits"] * 2
    (tmp_path / "results.json").write_text(json.dumps(results | {"models": models}))
    np.savez(tmp_path / "predictions.npz", **arrays)
    found = inputs.read(tmp_path)
    assert list(found.histories) == ["teacher", "student", "baseline"]
    palette = colours.palette(inputs.model_names(found.results))
    assert palette["student_class_bias"] == palette["student"] == colours.PALETTE[1]
    assert palette["baseline_class_bias"] == palette["baseline"] == colours.PALETTE[2]
    drawn = {picture.stem: picture.figure for picture in pictures.pictures(found)}
    for stem, find in (
        ("confusion_matrices", lambda axes: axes.title),
        ("reliability", lambda axes: axes._left_title),
    ):
        titles = [find(axes) for axes in drawn[stem].axes]
        (title,) = (t for t in titles if t.get_text().startswith("student + class"))
        assert title.get_color() == palette["student"]
    text = page.write(tmp_path).read_text(encoding="utf-8")
    assert "Without a history" not in text
    assert "class_bias" not in Page(text).words
    assert '<i class="dot c1"></i>student + class bias</th>' in text
    words = Page(text).words
    # Of the second seed, in the table of seeds.
    assert {"class bias", "2.50"} <= set(words)
    assert "student + class bias %" in words


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("config.json", "run"),
        ("results.json", "evaluate"),
        ("predictions.npz", "evaluate"),
    ],
)
@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{"])
def test_a_missing_or_malformed_file_is_named_with_the_way_out(
    tmp_path, name, command, content
):
    write_workdir(tmp_path, class_names=digits())
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    facts = (tmp_path / name, f"python -m trainer {command}")
    with refused(report.ReportError, *facts):
        report.write(tmp_path)
    assert not (tmp_path / "report").exists()


def test_compressed_arrays_that_are_damaged_are_named(tmp_path):
    write_workdir(tmp_path, class_names=digits())
    path = tmp_path / "predictions.npz"
    with np.load(path) as saved:
        arrays = dict(saved)
    np.savez_compressed(path, **arrays)
    content = bytearray(path.read_bytes())
    # The first block of the first file begins behind its header, name and extra field.
    lengths = [int.from_bytes(content[i : i + 2], "little") for i in (26, 28)]
    content[30 + sum(lengths)] = 0xFF  # of no kind that there is
    path.write_bytes(content)
    with refused(report.ReportError, path, "python -m trainer evaluate"):
        report.write(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda results: results.pop("models"),
        lambda results: results["models"]["student"].pop("parameters"),
        lambda results: results["models"]["student"]["mean"].pop("nll"),
        lambda results: results["models"]["student"].update(std=None),
        lambda results: results["models"]["student"].update(seeds=[]),
        lambda results: results["models"]["student"]["seeds"][0]["best"].pop("step"),
        lambda results: results["models"]["student"]["test"]["confusion_matrix"].pop(),
        lambda results: results["gain"].pop("errors"),
        lambda results: results.update(models={"student": 3}),
    ],
)
def test_results_that_lack_something_are_refused(tmp_path, change):
    write_workdir(tmp_path, class_names=digits())
    results = json.loads((tmp_path / "results.json").read_text())
    change(results)
    (tmp_path / "results.json").write_text(json.dumps(results))
    with refused(report.ReportError, tmp_path / "results.json"):
        inputs.read(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("student_logits", np.zeros((NUM_EXAMPLES, 9), np.float32)),
        ("labels", np.full(NUM_EXAMPLES, 10)),
        ("class_names", np.array(["one"])),
        ("example_rows", np.array([0, NUM_EXAMPLES])),
        ("example_images", np.zeros((1, 8, 8), np.uint8)),
        ("example_images", np.zeros((1, 8, 8, 4), np.uint8)),
        ("baseline_logits", None),
    ],
)
def test_predictions_that_do_not_fit_are_refused(tmp_path, key, value):
    write_workdir(tmp_path, class_names=digits())
    with np.load(tmp_path / "predictions.npz") as saved:
        arrays = dict(saved)
    arrays.pop(key)
    if value is not None:
        arrays[key] = value
    np.savez(tmp_path / "predictions.npz", **arrays)
    with refused(report.ReportError, tmp_path / "predictions.npz"):
        inputs.read(tmp_path)


def test_a_broken_history_is_named_with_its_line(tmp_path):
    write_workdir(tmp_path, class_names=digits())
    path = tmp_path / "student" / "seed-0" / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2, "tra')
    with refused(report.ReportError, path, "line 2"):
        inputs.read(tmp_path)


def test_without_matplotlib_the_report_says_how_to_get_it(workdirs):
    code = (
        "import pathlib, sys; sys.modules['matplotlib'] = None\n"
        "from trainer import report\n"
        "try: report.write(pathlib.Path(sys.argv[1]))\n"
        "except report.ReportError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(workdirs / "grey")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pip install matplotlib" in result.stdout


def test_a_model_keeps_its_colour_in_every_figure(tmp_path):
    write_workdir(tmp_path, class_names=digits(), num_seeds=2)
    (tmp_path / "teacher" / "metrics.jsonl").unlink()  # its colour must stay reserved
    student = colours.palette(["teacher", "student", "baseline"])["student"]
    drawn = {
        picture.stem: picture.figure
        for picture in pictures.pictures(inputs.read(tmp_path))
    }
    lines = drawn["learning_curves"].axes[0].get_lines()
    assert student in {
        line.get_color() for line in lines if line.get_label().startswith("student")
    }
    titles = [axes.title for axes in drawn["confusion_matrices"].axes]
    assert student in {
        title.get_color() for title in titles if title.get_text().startswith("student")
    }
    titles = [axes._left_title for axes in drawn["reliability"].axes]
    assert student in {
        title.get_color() for title in titles if title.get_text() == "student"
    }


def test_seeds_share_a_colour_and_their_mean_is_drawn():
    histories = {
        "student": [
            [{"step": 1, "train/loss": 1.0}, {"step": 2, "train/loss": 3.0}],
            [{"step": 1, "train/loss": 2.0}, {"step": 2, "train/loss": 5.0}],
        ]
    }
    *seeds, mean = (
        figures.learning_curves(histories, metric="accuracy").axes[0].get_lines()
    )
    assert {line.get_color() for line in (*seeds, mean)} == {colours.PALETTE[0]}
    np.testing.assert_array_equal(
        [line.get_ydata() for line in seeds], [[1, 3], [2, 5]]
    )
    np.testing.assert_array_equal(mean.get_ydata(), [1.5, 4])


def test_accuracy_is_drawn_in_percent():
    histories = {"student": [[{"step": 5, "eval/accuracy": 0.5}]]}
    (line,) = figures.learning_curves(histories, metric="accuracy").axes[1].get_lines()
    np.testing.assert_array_equal(line.get_ydata(), [50])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "runs",
    [
        [],
        [[{"step": 1}]],
        [[{"step": 1, "train/loss": 0.0, "eval/accuracy": 0.0}]],
        [[{"step": 1, "train/loss": float("nan"), "eval/accuracy": 1.0}]],
    ],
)
def test_histories_at_the_edge_can_be_drawn(tmp_path, runs):
    drawn = figures.learning_curves({"student": runs}, metric="accuracy")
    drawn.savefig(tmp_path / "curves.png")


@pytest.mark.parametrize(("num_classes", "num_numbers"), [(12, 24), (13, 0)])
def test_confusion_matrices_are_numbered_up_to_twelve_classes(num_classes, num_numbers):
    counts = np.eye(num_classes, dtype=int) + np.eye(num_classes, k=1, dtype=int)
    counts[-1, 0] = 1
    names = [str(index) for index in range(num_classes)]
    drawn = figures.confusion_matrices({"student": counts}, names)
    assert len(drawn.axes[0].texts) == num_numbers


def test_confusion_matrices_are_normalised_by_row():
    counts = np.array([[3, 1], [0, 0]])  # the second class has no example
    drawn = figures.confusion_matrices({"student": counts}, ["a", "b"])
    shares = drawn.axes[0].images[0].get_array()
    np.testing.assert_array_equal(shares, [[0.75, 0.25], [0, 0]])


def test_a_rare_confusion_among_a_thousand_classes_is_not_averaged_away():
    counts = 50 * np.eye(1000, dtype=int)
    counts[3, 995] = 50
    names = [str(index) for index in range(1000)]
    axes = figures.confusion_matrices({"student": counts}, names).axes[0]
    (image,) = axes.images
    cells = image.get_array()
    block = (image.get_extent()[1] + 0.5) / len(cells)
    assert len(cells) <= 150
    assert cells[int(3 / block), int(995 / block)] == 0.5
    assert axes.get_xlim() == (-0.5, 999.5)


def test_as_many_panels_as_models():
    matrices = {f"model {index}": np.eye(3, dtype=int) for index in range(4)}
    drawn = figures.confusion_matrices(matrices, ["a", "b", "c"])
    titles = [axes.get_title() for axes in drawn.axes if axes.images]
    assert titles == [f"model {index}: 0 errors" for index in range(4)]
    # Four of them in two rows of two.
    assert drawn.axes[0].get_gridspec().get_geometry() == (2, 2)


def test_figures_of_a_thousand_classes_can_be_drawn(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"a very long name of class {index}" for index in range(1000)]
    counts = rng.integers(3, size=(1000, 1000)) + 50 * np.eye(1000, dtype=int)
    drawn = figures.confusion_matrices({"student": counts}, names)
    assert len(drawn.axes[0].get_xticks()) <= 20
    drawn.savefig(tmp_path / "confusion.png")


def panels_of_dark_knowledge(num_classes, temperature):
    logits = np.linspace(3, 0, num_classes)[None]
    drawn = dark_knowledge.dark_knowledge(
        np.zeros((1, 4, 4, 3), np.uint8),
        logits,
        np.array([1]),
        [f"c{index}" for index in range(num_classes)],
        temperature=temperature,
    )
    return logits[0], drawn.axes[1:]


def test_dark_knowledge_bars_are_the_tempered_probabilities():
    logits, panels = panels_of_dark_knowledge(4, 3.0)
    heats = (1, 2, 3, 4, 8, 20)
    assert [axes.get_title().split("\n")[0] for axes in panels] == [
        f"T = {heat}" for heat in heats
    ]
    assert [axes.get_title() for axes in panels if "this run" in axes.get_title()] == [
        "T = 3\nthis run"
    ]
    for axes, heat in zip(panels, heats, strict=True):
        widths = [bar.get_width() for bar in axes.patches]
        np.testing.assert_allclose(widths, softmax(logits / heat), rtol=1e-6)
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == ["c0", "c1", "c2", "c3"]


def test_a_configured_temperature_of_the_list_is_not_repeated():
    _, panels = panels_of_dark_knowledge(4, 4.0)
    assert len(panels) == 5


def test_dark_knowledge_of_many_classes_names_ten_and_sums_the_others():
    logits, panels = panels_of_dark_knowledge(1000, None)
    names = [label.get_text() for label in panels[0].get_yticklabels()]
    assert names == [*(f"c{index}" for index in range(10)), "990 others"]
    for axes in panels:
        assert sum(bar.get_width() for bar in axes.patches) == pytest.approx(1)
    assert panels[0].patches[-1].get_width() == pytest.approx(
        softmax(logits)[10:].sum()
    )


def test_dark_knowledge_of_nothing_is_refused():
    with refused(ValueError, "one example"):
        dark_knowledge.dark_knowledge(
            np.zeros((0, 4, 4, 1), np.uint8), np.zeros((0, 3)), np.zeros(0, int), ["a"]
        )
