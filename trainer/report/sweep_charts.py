"""The charts of a sweep's page: the metric by setting, shares, all axes at once."""

from collections.abc import Iterator, Sequence

from trainer.config import value_text
from trainer.report.chart import HEIGHT, Axis, Chart, bars, cut, plot
from trainer.report.colours import QUIET
from trainer.report.marks import Series
from trainer.report.section import Section
from trainer.report.sweep_axes import SettingAxis, height
from trainer.report.sweep_table import Sweep, Trial, labels, text_of

_MAX_TICKS = 6  # choices that are named along an axis
_COLUMN = 130  # pixels of an axis among all
_TOP, _BOTTOM = 26, 24
_NARROW = 3  # axes that fit a narrow drawing


def sections(sweep: Sweep) -> Iterator[Section]:
    """The parts of the page for which there are trials."""
    shown = [trial for trial in sweep["trials"] if height(trial) is not None]
    if not shown:
        return
    names = labels(sweep)
    yield Section(
        name="settings",
        title=f"{sweep['metric']} against each setting",
        part="charts",
        content=[
            chart
            for path, name in names.items()
            if (chart := _setting(sweep, shown, path, name))
        ],
        note="Filled dots are complete trials; open ones were ended early, and are "
        "where they were then.",
    )
    if sweep["importance"]:
        yield Section(
            name="importance",
            title="Importance of the settings",
            part="charts",
            content=[_importance(sweep)],
            note="Share of each setting in what tells the best trials from the others "
            "(PED-ANOVA, Watanabe et al. 2023), over complete trials.",
        )
    yield Section(
        name="parallel",
        title="All settings of each trial",
        part="charts",
        content=[_parallel(sweep, shown)],
        note="A line is a trial, the orange one the best; grey ones were ended early.",
    )


def _setting(
    sweep: Sweep, trials: Sequence[Trial], path: str, name: str
) -> Chart | None:
    axis = SettingAxis(sweep["space"][path])
    series = []
    for status, slot in (("pruned", QUIET), ("complete", 0)):
        group = [trial for trial in trials if trial["status"] == status]
        series.append(
            Series(
                name=status,
                points=[
                    (axis.place(t["settings"][path]), height(t) or 0.0) for t in group
                ],
                tips=[_tip(sweep, trial) for trial in group],
                slot=slot,
                is_line=False,
                is_hollow=status == "pruned",
            )
        )
    choices = axis.choices or []
    ticks = tuple((float(i), value_text(choice)) for i, choice in enumerate(choices))
    return plot(
        name,
        series,
        x=Axis(
            label=name,
            ticks=ticks[:: -(-len(ticks) // _MAX_TICKS) or 1],
            log="always" if axis.is_log else "never",
        ),
        y=Axis(label=sweep["metric"]),
    )


def _tip(sweep: Sweep, trial: Trial) -> str:
    names = labels(sweep)
    settings = [f"{names[path]} {text_of(v)}" for path, v in trial["settings"].items()]
    metric = f"{sweep['metric']} {text_of(height(trial))}"
    return "\n".join([f"trial {trial['number']}, {trial['status']}", *settings, metric])


def _importance(sweep: Sweep) -> Chart:
    names = labels(sweep)
    shares = sorted(sweep["importance"].items(), key=lambda item: -item[1])
    points = [(float(share), i) for i, (_, share) in enumerate(shares)]
    tips = [f"{100 * share:.0f} %" for _, share in shares]
    series = Series(name="share", points=points, tips=tips)
    texts = [names[path] for path, _ in shares]
    return bars("Importance", [series], texts, x_label="share")


def _parallel(sweep: Sweep, trials: Sequence[Trial]) -> Chart:
    names = labels(sweep)
    heights = [found for trial in trials if (found := height(trial)) is not None]
    axes = {path: SettingAxis(values) for path, values in sweep["space"].items()}
    axes[""] = SettingAxis({"low": min(heights), "high": max(heights), "log": False})
    best = sweep["best"]["number"] if sweep["best"] else None
    places = [60 + i * _COLUMN for i in range(len(axes))]
    bottom = HEIGHT - _BOTTOM - 18

    def line(trial: Trial) -> dict[str, object]:
        values = {**trial["settings"], "": height(trial)}
        shares = [axis.share(values[path]) for path, axis in axes.items()]
        ys = [round(bottom - share * (bottom - _TOP), 1) for share in shares]
        is_best = trial["number"] == best
        quiet = trial["status"] != "complete"
        return {
            "path": " ".join(f"{x},{y}" for x, y in zip(places, ys, strict=True)),
            "slot": 1 if is_best else QUIET if quiet else 0,
            "is_faint": not is_best,
            "is_dashed": False,
        }

    ordered = sorted(trials, key=lambda trial: trial["number"] == best)
    texts = [cut(names.get(path) or sweep["metric"], 18) for path in axes]
    ends = [axis.ends for axis in axes.values()]
    return Chart(
        title="Settings and metric of each trial",
        x_label="",
        width=places[-1] + 60,
        box=(places[0], _TOP, places[-1], bottom),
        x_ticks=tuple(zip(places, [low for low, _ in ends], strict=True)),
        lines=tuple(map(line, ordered)),
        columns=tuple(zip(places, [high for _, high in ends], texts, strict=True)),
        is_wide=len(axes) > _NARROW,
    )
