"""One process of the cluster that Slurm or a JobSet describes."""

import json
import os
import sys
from collections.abc import Mapping

from absl import flags

from launch import program, tf_config
from launch.environment import jobset, slurm
from launch.errors import LaunchError

_USAGE = """\
usage: python -m launch env [--workers=N] -- PROGRAM [ARGUMENT ...]

Becomes PROGRAM with the TF_CONFIG of this process, found by what is set of:
  TF_CONFIG with a cluster
            stays as it is
  SLURM_PROCID and other variables of srun
            the tasks of the step; devices are as Slurm gives them
  JOB_COMPLETION_INDEX and ALAMBIC_HOST, such as demo-node-0-{index}.demo
            that many pods as ALAMBIC_WORKERS or --workers says, port 2222
  JOB_COMPLETION_INDEX, JOBSET_NAME and REPLICATED_JOB_NAME
            the pods JOBSET-JOB-0-{index}.JOBSET, as many, port 2222
A cluster of one has no TF_CONFIG. A PROGRAM named python is the interpreter that runs
this command.

flags:
  --workers=N   pods of the job, in place of ALAMBIC_WORKERS
"""


def command(argv: list[str]) -> int:
    """Becomes the program among the words that follow its name.

    Returns:
      0 once --help has been answered, else it does not return.

    Raises:
      LaunchError: no cluster is described, or the program cannot be run.
    """
    values = flags.FlagValues()
    flags.DEFINE_integer("workers", None, "pods of the job", flag_values=values)
    words = program.parse(values, argv, command="env", usage=_USAGE)
    if words is None:
        return 0
    if values.workers is not None and values.workers < 1:
        raise LaunchError(f"--workers must be at least 1, got {values.workers}")
    inner = environment(os.environ, num_workers=values.workers)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvpe(words[0], words, inner)
    except OSError as error:
        raise program.unusable(words[0], error) from error


def environment(outer: Mapping[str, str], *, num_workers: int | None) -> dict[str, str]:
    """The environment of the program: `outer` with the TF_CONFIG of this process.

    Raises:
      LaunchError: no cluster is described, or a description has a gap.
    """
    inner = dict(outer)
    if _has_cluster(outer.get("TF_CONFIG", "")):
        return inner
    if slurm.recognises(outer):
        addresses, index = slurm.members(outer)
    elif jobset.recognises(outer):
        addresses, index = jobset.members(outer, num_workers=num_workers)
    else:
        raise LaunchError(
            "the environment must describe a cluster by TF_CONFIG, SLURM_PROCID, or "
            "JOB_COMPLETION_INDEX with ALAMBIC_HOST or JOBSET_NAME, got none of them; "
            "for a process alone run the program itself"
        )
    inner.pop("TF_CONFIG", None)
    if len(addresses) > 1:
        inner["TF_CONFIG"] = tf_config.text(addresses, index)
    return inner


def _has_cluster(text: str) -> bool:
    if not text.strip():
        return False
    try:
        return bool(json.loads(text).get("cluster"))
    except (ValueError, AttributeError, RecursionError):
        raise LaunchError(
            f"TF_CONFIG must be a JSON object, got {text!r:.300}; unset it to "
            "have it made"
        ) from None
