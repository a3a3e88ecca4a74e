"""Quantities in the notation of Kubernetes."""

import pytest

from launch.kubernetes import quantity


# The sizes are those of Kubernetes's documentation: 128974848 is 123Mi.
@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("128974848", 128974848),
        ("123Mi", 128974848),
        ("129e6", 129000000),
        ("129M", 129000000),
        ("128974848000m", 128974848),
        ("0.5", 0.5),
        (".5Gi", 2**29),
        ("16GB", None),
        ("16gi", None),
        ("16 Gi", None),
        ("0", None),
        ("-1", None),
        ("", None),
    ],
)
def test_quantities_are_read_as_kubernetes_reads_them(text, amount):
    assert quantity.value(text) == amount
