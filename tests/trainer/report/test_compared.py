"""Finished runs side by side: the table, the page, and what is not comparable."""

import dataclasses
import json
import os
import re

import numpy as np
from etils import epath

from tests.helpers.finished_run import write_workdir
from tests.helpers.messages import assert_states
from trainer import exit_codes, main
from trainer.report import compared, compared_figures, compared_table


def write_run(folder, *, name, errors, data="toy", parameters=1000, times=None):
    """A finished run of two seeds whose student makes `errors` of 200, +- 0.5."""
    folder.mkdir(parents=True)
    write_workdir(folder, class_names=["a", "b"], num_seeds=2)
    results = json.loads((folder / "results.json").read_text())
    results["name"] = name
    student = results["models"]["student"]
    student["mean"] |= {"errors": errors, "accuracy": 1 - errors / 200}
    student["std"] |= {"errors": 0.5, "accuracy": 0.0025}
    student["parameters"] = parameters
    if times:
        student["inference_ms_per_example"] = times
    (folder / "results.json").write_text(json.dumps(results))
    config = json.loads((folder / "config.json").read_text())
    config["data"] = {"dataset": data, "test_split": "test"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def compare(out, *folders):
    return main.main(["trainer", "report", *map(str, folders), f"--workdir={out}"])


def test_runs_are_rows_of_one_table_and_link_to_their_pages(tmp_path, capsys):
    times = {"1": 0.25, "256": 0.01}
    a = write_run(tmp_path / "a b", name="<first>", errors=20, times=times)
    b = write_run(tmp_path / "b", name="second", errors=10, parameters=123456)
    (a / "report").mkdir()
    (a / "report/index.html").write_text("")
    out = tmp_path / "pages" / "out"
    assert compare(out, a, b) == 0
    printed = capsys.readouterr().out.splitlines()
    first, second = (re.split(r" {2,}", line.strip()) for line in printed[2:4])
    assert first[:9] == [
        *("<first>", "toy", "cnn", "mlp", "3", "0.9", "1,000"),
        *(first[7], "20.0 +- 0.5"),
    ]
    assert first[9] == "90.00 +- 0.25"
    assert first[-3:] == ["3.0 +- 0.4", "0.25", "0.01"]
    assert second[6] == "123,456"
    assert second[8:10] == ["10.0 +- 0.5", "95.00 +- 0.25"]
    assert second[-3:] == ["3.0 +- 0.4", "-", "-"]
    page = out / "report" / "index.html"
    assert printed[-1] == f"report: {page}"
    text = page.read_text()
    assert "&lt;first&gt;" in text
    assert "<first>" not in text
    [address] = re.findall(r'<a href="([^"#]+)"', text)
    assert address == "../../../a%20b/report/index.html"
    target = page.parent / address.replace("%20", " ")
    assert os.path.samefile(target, a / "report/index.html")
    assert text.count("<figure") == 4  # curves, and three prices
    assert sorted(p.name for p in page.parent.iterdir()) == [
        *("curves.png", "index.html", "pareto.png")
    ]
    assert "not comparable" not in " ".join(printed)


def test_a_sentence_says_that_runs_are_tested_on_different_data(tmp_path):
    folders = [
        write_run(tmp_path / data, name="same", errors=5, data=data)
        for data in ("digits", "letters")
    ]
    runs = compared.read([epath.Path(f) for f in folders], epath.Path(tmp_path))
    assert [run.label for run in runs] == [f"same ({folder})" for folder in folders]
    text = compared_table.render_compared(runs)
    tested = ("digits, test (200 examples)", "letters, test (200 examples)")
    assert_states(text.splitlines()[-1], *tested, "not comparable")
    # The same images seen in another way are other data too.
    section = runs[0].config["data"] | {"evaluate_view": "center_crop"}
    cropped = dataclasses.replace(runs[0], config={"data": section})
    assert_states(compared.note([runs[0], cropped]), tested[0], "87.5 %")
    assert compared.note([runs[0], runs[0]]) == ""
    # Nor is there a best of them: dots, and no line.
    assert [line.get_linestyle() for line in lines_of(runs)] == ["None", "None"]


def test_the_line_joins_the_runs_that_none_beats(tmp_path):
    sizes_and_errors = [(100, 40), (200, 50), (400, 20), (400, 30), (800, 20)]
    folders = [
        write_run(tmp_path / str(i), name=str(i), errors=errors, parameters=size)
        for i, (size, errors) in enumerate(sizes_and_errors)
    ]
    runs = compared.read([epath.Path(f) for f in folders], epath.Path(tmp_path))
    *_, line = lines_of(runs)
    assert np.array(line.get_xydata()).tolist() == [[100, 80], [400, 90]]


def lines_of(runs):
    """What is drawn in the panel of parameters, without the ends of bars."""
    lines = compared_figures.pareto(runs).axes[0].lines
    return [line for line in lines if line.get_marker() not in ("_", "|")]


def test_bad_workdirs_are_refused_and_no_page_is_touched(tmp_path, capsys):
    a = write_run(tmp_path / "a", name="a", errors=1)
    b = write_run(tmp_path / "b", name="b", errors=2)
    (tmp_path / "link").symlink_to(a)
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "study.json").write_text("{}")
    out = tmp_path / "out"
    for folders, facts in (
        ([a], [a, "two workdirs"]),
        ([a, b, tmp_path / "link"], [a, "once"]),
        ([a, tmp_path / "absent"], [tmp_path / "absent/config.json"]),
        ([a, tmp_path / "study"], [tmp_path / "study", "a study"]),
    ):
        assert compare(out, *folders) == exit_codes.UNUSABLE
        assert_states(capsys.readouterr().err, *facts)
    (a / "results.json").unlink()
    assert compare(out, a, b) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, a / "results.json")
    c = write_run(tmp_path / "c", name="c", errors=1)
    assert compare(b, b, c) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "--workdir", b, "page")
    assert main.main(["trainer", "report", str(b), str(c)]) == exit_codes.UNUSABLE
    assert_states(capsys.readouterr().err, "--workdir", "none")
    assert not out.exists()
    assert not (b / "report").exists()
