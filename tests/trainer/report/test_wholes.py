"""Pages of studies and watches, links between cells, and how a run is reproduced."""

import dataclasses
import html
import json
import shutil

import pytest
from etils import epath

from tests.helpers import drawn_pages
from tests.helpers.finished_run import write_beside, write_workdir
from tests.helpers.messages import assert_states, refused
from tests.helpers.repository import REPOSITORY
from tests.helpers.results import one_seed
from trainer import report
from trainer.config import differences, load, resolve
from trainer.config.toml_text import toml_text
from trainer.report import inputs, more_seeds, reproduction, siblings


def test_a_watch_links_its_batches_and_says_why_one_was_refused(tmp_path):
    drawn_pages.write_watch(tmp_path)
    cell = tmp_path / "cells" / "batch-0001" / "report"
    cell.mkdir(parents=True)
    (cell / "index.html").write_text("")
    text = report.write_watch(epath.Path(tmp_path)).read_text()
    assert text.count('href="../cells/batch-0001/report/index.html"') == 1
    assert "batch-0002" not in text
    assert 'title="digits@1 is &lt;better&gt;"' in text
    assert 'title="new/torn.png: damaged"' in text
    assert_states(text, "87.50", "registry:digits@1", "600")
    (tmp_path / "watch.json").write_text('{"batches": [{"number": 1}]}')
    with refused(report.ReportError, tmp_path / "watch.json"):
        report.write_watch(epath.Path(tmp_path))


def test_a_watch_before_its_first_batch_has_a_page(tmp_path):
    (tmp_path / "watch.json").write_text('{"batches": []}')
    drawn_pages.write_watch_config(tmp_path)
    text = report.write_watch(epath.Path(tmp_path)).read_text()
    assert "No batch has begun yet" in text


def test_cells_of_a_study_name_each_other(tmp_path):
    drawn_pages.write_study(tmp_path)
    names = [
        cell["name"]
        for cell in json.loads((tmp_path / "study.json").read_text())["cells"]
    ]
    whole, *others = siblings.links(epath.Path(tmp_path) / "cells" / names[1])
    assert whole.address == "../../../report/index.html"
    # The last one diverged.
    assert [link.text for link in others] == names[:-1]
    assert [bool(link.address) for link in others] == [True, False, True, True, True]
    assert others[0].address == "../../temperature%3D1%2Calpha%3D0.5/report/index.html"
    assert siblings.links(epath.Path(tmp_path)) == ()
    # Each asks for more seeds as what it belongs to takes them.
    cell = epath.Path(tmp_path) / "cells" / names[0]
    ways = [more_seeds.way(one_seed(), path) for path in (epath.Path(tmp_path), cell)]
    assert_states(ways[0], f"trainer run --workdir={tmp_path}", "seeds=[0, 1, 2]")
    assert_states(ways[1], "the study", "--set='seeds=[0, 1, 2]'")
    (tmp_path / "study.json").unlink()
    assert more_seeds.way(one_seed(), cell) == ""


@pytest.mark.parametrize("kind", ["study", "sweep", "watch"])
def test_pages_of_many_runs_say_how_they_are_reproduced(tmp_path, kind):
    getattr(drawn_pages, f"write_{kind}")(tmp_path)
    asked = load(str(tmp_path / "config.toml"))
    for name in {"study": "temperature=1,alpha=0.5", "sweep": "trial-000"}.values():
        cell = tmp_path / "cells" / name
        cell.mkdir(parents=True)
        write_workdir(cell, class_names=["a", "b"])
        write_beside(cell)
        shutil.copy(tmp_path / "config.json", cell)
    page = getattr(report, f"write_{kind}")(epath.Path(tmp_path)).read_text()
    command = f"python -m trainer {kind} --config=mnist_mini.toml"
    assert f"{command} --workdir=runs/mnist_mini" in page
    assert "secret" not in page
    toml = html.unescape(page.rpartition("<pre>")[2].partition("</pre>")[0])
    (tmp_path / "again.toml").write_text(toml)
    again = load(str(tmp_path / "again.toml"))
    if kind == "sweep":
        asked = dataclasses.replace(
            asked, sweep=dataclasses.replace(asked.sweep, storage="")
        )
    assert again == asked
    if kind != "watch":  # whose first batch has another name
        assert "alambic 9.8.7" in page
        # Three trainings of 60 steps of batches, 500 examples a second.
        sizes = [asked.teacher.train, asked.student.train, asked.student.train]
        minutes = sum(60 * train.global_batch_size / 500 / 60 for train in sizes)
        assert f"{minutes:.3g} minutes" in page


CONFIGS = sorted(REPOSITORY.glob("configs/results/*/config.json"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_the_config_of_a_page_is_that_of_the_run(tmp_path, path):
    kept = inputs.read_config(epath.Path(path.parent))
    file = tmp_path / "again.toml"
    file.write_text(toml_text(reproduction.without_nothing(kept)))
    assert differences(kept, resolve(load(str(file)))) == []


def test_a_page_says_where_it_was_made(tmp_path):
    write_workdir(tmp_path, class_names=["a", "b"])
    write_beside(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for section in ("teacher", "student"):
        config[section]["train"] = {"global_batch_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = inputs.read(epath.Path(tmp_path))
    content = reproduction.section(found).content
    facts = dict(content.facts)
    assert_states(facts["versions"], "alambic 9.8.7", "tensorflow 2.21.0")
    assert facts["git revision"] == "0123abcd"
    # Three trainings of 60 steps of 100 examples, 500 of them a second.
    minutes = 3 * 60 * 100 / 500 / 60
    taken = reproduction.minutes(found.config, found.histories)
    assert taken == pytest.approx(minutes)
    assert facts["training"].startswith(f"{minutes:.3g} minutes")
    assert content.command == (
        "python -m trainer run --config=toy--run.toml --workdir=runs/toy--run"
    )
    for section, objects in (
        ("data", {"dataset": "memory:0123"}),
        ("student", {"model": "memory"}),
        ("teacher", {"members": [{"model": "mlp"}, {"model": "memory"}]}),
    ):
        given = dataclasses.replace(found, config={**config, section: objects})
        assert reproduction.section(given).content.command == ""
