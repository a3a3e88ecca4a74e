"""Variants of one run with one teacher and one table: `python -m trainer study`.

`running` trains, and loads TensorFlow; the rest does without.
"""

from collections.abc import Sequence

from etils import epath

from trainer import report
from trainer.cluster import tf_config
from trainer.config import Config
from trainer.runs import start
from trainer.runs.variant import Variant
from trainer.storage import kinds, workdir
from trainer.study import results
from trainer.study.variants import variants_of


def run(
    variants: Sequence[Variant],
    study: Config,
    path: epath.Path,
    own: tf_config.Cluster | None,
) -> None:
    """Finishes the variants of `study` in the workdir `path`, and draws its page.

    Raises:
      ConfigError: the workdir holds something else, or a variant cannot be run.
    """
    is_chief = own is None or own.is_chief
    with start.begun(study, path, holds=is_chief) as begun:
        if is_chief:
            _claim(path, study, variants)
        if own and all(
            variant.is_evaluated or variant.is_diverged for variant in variants
        ):
            # Others may have ended already, and are not needed.
            if not is_chief:
                return
            own = None
        if not all(variant.is_over for variant in variants):
            with begun.session("study", own) as session:
                # Loads TensorFlow.
                from trainer.study import variant_runs

                variant_runs.run(session, variants)
    if is_chief:
        _draw(path)


def redraw(path: epath.Path) -> None:
    """Writes the pages of the study in the workdir `path` and of its variants anew."""
    for variant in report.read_study(path)["cells"]:
        if variant["status"] == "finished" and report.is_drawable():
            report.write(path / workdir.CELLS / variant["name"])
    _draw(path)


def check_converged(variants: Sequence[Variant]) -> None:
    """Looks for variants that came to nothing.

    Raises:
      FloatingPointError: it names them.
    """
    diverged = [variant for variant in variants if variant.is_diverged]
    if diverged:
        names = " and ".join(variant.name for variant in diverged)
        raise FloatingPointError(
            f"{len(diverged)} of {len(variants)} cells diverged: {names}; "
            f"{diverged[0].path / workdir.DIVERGED} says where; delete the folder of a "
            "cell to train it again, or give the study another grid"
        )


def _claim(path: epath.Path, study: Config, variants: Sequence[Variant]) -> None:
    """Makes the workdir `path` this study's, with one in it for each variant."""
    kinds.check_kind(path, workdir.STUDY, owner="a study")
    workdir.claim(path, study)
    for variant in variants:
        workdir.claim(variant.path, variant.config)
    results.write(path, study, variants)


def _draw(path: epath.Path) -> None:
    report.write_hparams(path)
    if report.is_drawable():
        report.write_study(path)
    else:
        report.tell_undrawn()


__all__ = ["check_converged", "redraw", "run", "variants_of"]
