"""One part of the kit, in a process of its own; processes.py starts it.

python -m tests.benchmarks.gpu.part NAME ... --prepared=DIR --result=FILE --secs=N
"""

import os
import pathlib
import sys

from absl import flags

from trainer import console, tensorflow_log


def main(argv: list[str]) -> None:
    """Does what the first word names; others say on what."""
    values = flags.FlagValues()
    flags.DEFINE_string("prepared", None, "folder of material", flag_values=values)
    flags.DEFINE_string("result", None, "file of what is found", flag_values=values)
    flags.DEFINE_float("secs", 0, "that it may take", flag_values=values)
    flags.DEFINE_boolean("small", False, "a small form", flag_values=values)
    flags.DEFINE_integer("devices", 1, "logical CPUs without GPUs", flag_values=values)
    _, name, *words = values(argv)
    with tensorflow_log.hushed():
        from tests.benchmarks.gpu import agreement, endurance, preparation, rates
        from tests.benchmarks.gpu.findings import Findings

        findings = Findings(pathlib.Path(values.result))
        prepared = pathlib.Path(values.prepared)
        tfds_dir = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
        tfds_dir = os.path.expanduser(tfds_dir)
        if name == "material":
            preparation.prepare(findings, prepared, values.devices, small=values.small)
        elif name == "numbers":
            agreement.compare(
                findings,
                num_logical_cpus=values.devices,
                tfds_dir=tfds_dir,
                small=values.small,
            )
        elif name == "halves":
            agreement.compare_halves(findings, tfds_dir=tfds_dir, small=values.small)
        elif name == "speed":
            rates.contest(
                findings, prepared, *words, small=values.small, secs=values.secs
            )
        elif name == "scaling":
            rates.scaling(
                findings, prepared, small=values.small, num_devices=values.devices
            )
        elif name == "first":
            rates.first_step(findings, prepared, *words, small=values.small)
        else:
            endurance.soak(findings, prepared, values.devices, small=values.small)


if __name__ == "__main__":
    console.prepare()
    main(sys.argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # as trainer/__main__.py does
