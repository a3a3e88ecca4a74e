"""What configs/results/ keeps of a finished run or study, and where it is shown.

    python -m tests.tools.committed_results NAME --workdir=DIR --minutes=M \
        [--note=TEXT] [--set=KEY=VALUE ...] [--trials=FILE]

keeps results, resolved config and main figures of the workdir of configs/NAME.toml in
configs/results/NAME/, whose page it writes, and prints the rows of docs/results.md.
`--minutes` is the processor time of the command, `--set` what it was given, `--trials`
what tests.tools.tune_losses left, for a study of losses.
"""

import argparse
import dataclasses
import json
import pathlib
import shlex
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

from etils import epath

from tests.helpers.repository import REPOSITORY
from tests.tools import loss_comparison
from trainer import config, report
from trainer.report import amounts, crossval_table, more_seeds, study_table, table
from trainer.storage import files
from trainer.storage.workdir import CONFIG, CROSSVAL_RESULTS, RESULTS, STUDY

KEPT = REPOSITORY / "configs" / "results"
RUN, PAGE, TRIALS = "run.json", "README.md", "trials.json"
MAX_CELLS = 4  # in docs/results.md; of a larger study its config's own settings
_FIGURES = ("learning_curves.png", "confusion_matrices.png", "study.png", "losses.png")

Json = dict[str, Any]


def read(path: pathlib.Path) -> Json:
    """The JSON object in a file."""
    content: Json = json.loads(path.read_text(encoding="utf-8"))
    return content


def keep(
    name: str, workdir: pathlib.Path, run: Json, trials: pathlib.Path | None = None
) -> pathlib.Path:
    """Replaces configs/results/NAME/ by what the workdir holds; returns the folder."""
    folder = KEPT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in (CONFIG, RESULTS, STUDY, CROSSVAL_RESULTS):
        if (workdir / file).exists():
            shutil.copyfile(workdir / file, folder / file)
    for figure in _FIGURES:
        if (workdir / "report" / figure).exists():
            shutil.copyfile(workdir / "report" / figure, folder / figure)
    if trials:
        shutil.copyfile(trials, folder / TRIALS)
        drawing = loss_comparison.figure(read(folder / STUDY))
        drawing.savefig(folder / "losses.png", dpi=100)
        (folder / "study.png").unlink(missing_ok=True)  # of which it says more
    files.write_json(folder / RUN, run)
    (folder / PAGE).write_text(page(folder), encoding="utf-8")
    return folder


def settings(folder: pathlib.Path) -> config.Config:
    """The config beside the results, as their command loads it."""
    path = REPOSITORY / "configs" / f"{folder.name}.toml"
    return config.load(str(path), read(folder / RUN)["set"])


def _variant(folder: pathlib.Path, cell: Json) -> config.Config:
    path = REPOSITORY / "configs" / f"{folder.name}.toml"
    return config.load(str(path), read(folder / RUN)["set"], variant=cell["settings"])


def command(folder: pathlib.Path) -> str:
    """The command that printed the results, from the root of a clone."""
    word = "study" if (folder / STUDY).exists() else "run"
    overrides = [shlex.quote(f"--set={one}") for one in read(folder / RUN)["set"]]
    return " \\\n    ".join([_line(word, folder.name), *overrides])


def _line(word: str, name: str) -> str:
    return (
        f"python -m trainer {word} --config=configs/{name}.toml --workdir=runs/{name}"
    )


def page(folder: pathlib.Path) -> str:
    """The page of a folder of results, in Markdown."""
    run = read(folder / RUN)
    commands = [command(folder)]
    if (folder / CROSSVAL_RESULTS).exists():
        commands.append(_line("crossval", folder.name))
    lines = [
        f"# {folder.name}",
        "",
        *([run["note"], ""] if run["note"] else []),
        f"`configs/{folder.name}.toml`, {run['minutes']} minutes of one CPU core:",
        "",
        "```",
        *commands,
        "```",
        "",
        "```",
        *_printed(folder),
        "```",
    ]
    if (folder / TRIALS).exists():
        lines += [
            "",
            *loss_comparison.lines(read(folder / STUDY), read(folder / TRIALS)),
        ]
    for figure in _FIGURES:
        if (folder / figure).exists():
            lines += ["", f"![{figure.partition('.')[0].replace('_', ' ')}]({figure})"]
    return "\n".join(lines) + "\n"


def rows(folder: pathlib.Path, *, root: str = "../") -> Iterator[str]:
    """The rows of docs/results.md: one a run, or some for the cells of a study.

    `root` is that of the repository, from the page whose rows they are.
    """
    minutes = read(folder / RUN)["minutes"]
    link = f"[`{folder.name}`]({root}configs/results/{folder.name}/README.md)"
    if not (folder / STUDY).exists():
        results = read(folder / RESULTS)
        yield _row(link, results["models"], results["gain"]["errors"], minutes)
        return
    study = read(folder / STUDY)
    cells, names = study["cells"], study_table.labels(study)
    if len(cells) > MAX_CELLS:
        own = dataclasses.replace(settings(folder), study=None)
        cells = [cell for cell in cells if _variant(folder, cell) == own]
    for cell in cells:
        told = [
            f"{names[setting]} {config.value_text(value)}"
            for setting, value in cell["settings"].items()
        ]
        gain = cell["gain"]["errors"]
        yield _row(", ".join([link, *told]), cell["models"], gain, minutes)


def _row(name: str, models: Json, gain: Json, minutes: float) -> str:
    errors = [
        table.value(
            models[role]["mean"]["errors"], models[role]["std"]["errors"], digits=1
        )
        for role in ("teacher", "student", "baseline")
    ]
    won = table.value(gain["mean"], gain["standard_error"], digits=1)
    interval = amounts.gain_interval(gain)
    ends = f"{interval[0]:.1f} to {interval[1]:.1f}" if interval else "-"
    test = f"{models['teacher']['mean']['examples']:,.0f}"
    seeds = len(gain["per_seed"])
    cells = [name, test, *errors, won, ends, str(seeds), str(minutes)]
    return f"| {' | '.join(cells)} |"


def _printed(folder: pathlib.Path) -> Iterator[str]:
    if (folder / STUDY).exists():
        yield report.render_study(read(folder / STUDY))
    else:
        results = read(folder / RESULTS)
        # As in the workdir of its command.
        way = more_seeds.way(results, epath.Path(f"runs/{folder.name}"))
        yield report.render(results, way)
    if (folder / CROSSVAL_RESULTS).exists():
        yield crossval_table.render(read(folder / CROSSVAL_RESULTS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Keeps the results of one workdir."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", help="of configs/NAME.toml")
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--minutes", type=int, required=True)
    parser.add_argument("--note", default="", help="what a reader has to know")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--trials", type=pathlib.Path)
    given = parser.parse_args(arguments)
    run = {"minutes": given.minutes, "note": given.note, "set": given.set}
    print(*rows(keep(given.name, given.workdir, run, given.trials)), sep="\n")


if __name__ == "__main__":
    main()
