"""The layers that `python -m trainer layers` prints, and the pairs that it proposes."""

import pytest

from tests.helpers import configs
from trainer import config
from trainer.doctor.layers import print_layers


@pytest.fixture
def printed(tmp_path, tfds_dir, capsys):
    """A function from settings to the lines that are printed."""
    file = tmp_path / "small.toml"
    file.write_text(configs.RUN)

    def lines(*settings: str) -> list[str]:
        given = config.load(str(file), [f"data.data_dir='{tfds_dir}'", *settings])
        print_layers(given)
        return capsys.readouterr().out.splitlines()

    return lines


def rows(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines]


def test_layers_have_stages_shapes_and_paths(printed):
    train = "train={global_batch_size=24, steps=1}"
    lines = printed(
        f"teacher={{model='cnn', options={{filters=[16, 32]}}, {train}}}",
        f"student={{model='cnn', options={{filters=[8, 12]}}, {train}}}",
    )
    teacher, student = lines.index(""), lines.index("", lines.index("") + 1)
    assert lines[0] == "teacher cnn: 20,490 parameters"
    assert rows(lines[1:teacher]) == [
        ["stage", "shape", "layer"],
        ["28x28x1", "rescaling"],
        ["1", "14x14x16", "convolution_1"],
        ["1", "14x14x16", "leaky_relu_1"],
        ["1", "14x14x16", "max_pool_1"],
        ["2", "7x7x32", "convolution_2"],
        ["1568", "flatten"],
        ["10", "logits"],
        ["1568", "embedding"],
    ]
    assert ["2", "7x7x12", "convolution_2"] in rows(lines[teacher:student])
    assert lines[student + 1 :] == [
        "pairs of student and teacher:",
        '  14x14: student_layer = "max_pool_1", teacher_layer = "max_pool_1"',
        '  7x7: student_layer = "convolution_2", teacher_layer = "convolution_2"',
        '  vectors: student_layer = "embedding", teacher_layer = "embedding"',
    ]
