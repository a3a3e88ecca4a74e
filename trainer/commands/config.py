"""The config as a run would take it, and what can be set."""

import json
import shlex

from trainer import config, console
from trainer.commands.command_line import CommandLine
from trainer.exit_codes import DONE


def show(line: CommandLine) -> int:
    """Prints every setting with its value, as JSON, and what "auto" comes to.

    With --schema it is the schema of all settings, with --explain one of them.
    """
    if line.flags.schema:
        # Reads the sources, which others do without.
        from trainer.config.json_schema import json_schema

        print(json.dumps(json_schema(), indent=1))
        return DONE
    if line.flags.explain:
        from trainer.config.entries import explain

        print(explain(line.flags.explain))
        return DONE
    settings = line.settings()
    print(json.dumps(config.resolve(settings), indent=2))
    for note in config.periods(settings.runtime).notes:
        console.log(note)
    if settings.distill.soft_targets == "auto":
        console.log(config.describe_rule(settings))
    file = shlex.quote(f"--config={line.flags.config}")
    console.log(
        "whether data, weights, layers and devices are there for it, python -m trainer "
        f"doctor {file} --workdir=DIR tells before a run does"
    )
    return DONE
