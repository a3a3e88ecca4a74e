"""The operations of a step: in programs of XLA, and around them."""

import dataclasses
from collections.abc import Iterable

import tensorflow as tf

from trainer.train.step import Step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operations:
    """The kinds of operations in the graph of a step, and in all that it calls."""

    compiled: set[str]
    others: set[str]


def operations(step: Step) -> Operations:
    """By the attribute with which TensorFlow tells XLA what it must compile."""
    traced = step.multi_step.get_concrete_function(tf.constant(1))
    graph = traced.graph.as_graph_def()
    bodies = {f.signature.name: f.node_def for f in graph.library.function}
    found = Operations(compiled=set(), others=set())

    def walk(nodes: Iterable[tf.compat.v1.NodeDef], *, is_compiled: bool) -> None:
        for node in nodes:
            (found.compiled if is_compiled else found.others).add(node.op)
            must = "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b
            for value in node.attr.values():
                for called in (value.func, *value.list.func):
                    if called.name:
                        walk(bodies[called.name], is_compiled=is_compiled or must)

    walk(graph.node, is_compiled=False)
    return found
