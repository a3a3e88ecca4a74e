"""The settings of a small run, to which tests add a section of their own."""

RUN = """
name = "small"

[data]
dataset = "mnist_mini"

[teacher]
model = "mlp"
train = {global_batch_size = 8, epochs = 1}

[student]
model = "mlp"
train = {global_batch_size = 8, epochs = 2}
"""
