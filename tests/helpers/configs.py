"""Settings of small runs, in TOML, that tests share; names in braces are filled in."""

# The least that a run needs; tests add sections of their own.
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

# Each section by itself, so that tests replace lines of one.
SECTIONS = """\
name = "small"

[data]
dataset = "mnist_mini"

[teacher]
model = "cnn"

[teacher.train]
global_batch_size = 96
epochs = 2

[student]
model = "mlp"

[student.train]
global_batch_size = 96
steps = 30
"""
OF_DATASET = SECTIONS.replace("mnist_mini", "{dataset}").replace("cnn", "mlp")

# A sweep that trains nothing: its trials are only claimed.
SWEEP = """
name = "small"

[data]
dataset = "mnist_mini"

[teacher]
model = "mlp"
weights = "teacher.keras"

[student]
model = "mlp"
train = {global_batch_size = 8, steps = 2}

[sweep]
trials = 3
sampler = "SAMPLER"
retries = 1

[sweep.space]
"distill.temperature" = [1.0, 2.0]
"student.options.hidden_sizes" = [[4], [8, 8]]
"""

# Parts of the runs below.
DIGITS = """
[data]
dataset = "mnist_mini"
data_dir = "{tfds_dir}"
train_split = "train[:1000]"
validation_split = "train[9500:]"
test_split = "test[:500]"
"""
PETS = """
[data]
dataset = "folder:{folder}/pets"
image_size = 8
train_split = "train"
validation_split = "test[:50%]"
test_split = "test[50%:]"
"""
TEACHER_OF_FILE = """
[teacher]
model = "mlp"
options.hidden_sizes = [16]
weights = "{folder}/teacher.keras"
min_accuracy = 0.0
"""
STUDENT = """
[student]
model = "mlp"
options.hidden_sizes = [8]

[student.train]
"""

# All stages, with two seeds.
WHOLE = (
    f"""
name = "small"
seeds = [0, 1]
{DIGITS}"""
    + """
[teacher]
model = "cnn"
options.filters = [8, 16]

[teacher.train]
global_batch_size = 24
steps = 60
schedule = "cosine"
augment = "shift"

[student]
model = "mlp"
options = {{hidden_sizes = [16], dropout = 0.2}}

[student.train]
global_batch_size = 24
steps = 60

[evaluate]
inference_times = false

[runtime]
steps_per_loop = 5
log_every_steps = 5
eval_every_steps = 20
save_every_steps = 20
"""
)
# A teacher that is two networks, in place of the one of the run above.
WHOLE_MEMBERS = """[[teacher.members]]
model = "cnn"
options.filters = [4, 8]
seed = 3
[teacher.members.train]
global_batch_size = 24
steps = 20

[[teacher.members]]
model = "mlp"
options.hidden_sizes = [12]
weight = 3.0
[teacher.members.train]
global_batch_size = 20
steps = 40

"""

# A teacher from a file that has answered on disk.
CACHED = f"""
name = "cached"
seeds = [0]
{DIGITS}{TEACHER_OF_FILE}{STUDENT}global_batch_size = 24
steps = 20

[distill]
soft_targets = "cached"
"""

# The same, of folders that grow.
GROWN = f"""
name = "grown"
seeds = [0]
{PETS}{TEACHER_OF_FILE}{STUDENT}global_batch_size = 6
steps = 4

[distill]
soft_targets = "cached"
soft_targets_dir = "{{folder}}/shared"
"""

# Students that follow images as they come.
WATCHED = f"""
name = "pets"
seeds = [0]
{PETS}skip_corrupt = true

[data.unlabeled]
dataset = "folder:{{folder}}/inbox"
{TEACHER_OF_FILE}{STUDENT}global_batch_size = 6
steps = {{steps}}
learning_rate = 1e-2

[registry]
root = "{{folder}}/registry"

[watch]
min_new = 4
settle_secs = 0.2
look_every_secs = 0.2

[runtime]
save_every_steps = 1
log_every_steps = 1
eval_every_steps = 4
steps_per_loop = 1
"""

# Of the set that cached_runs prepares.
DOTS = """
name = "cached"
seeds = [0]

[data]
dataset = "dots"
data_dir = "{folder}"
train_split = "train[1000:3000]"
validation_split = "train[4000:4100]"
test_split = "train[4100:4200]"

[teacher]
model = "mlp"
options.hidden_sizes = [12]
weights = "{folder}/teacher.keras"
min_accuracy = 0.0

[student]
model = "mlp"
options = {{hidden_sizes = [8], dropout = 0.2}}

[student.train]
global_batch_size = 20
steps = 200

[runtime]
steps_per_loop = 20
log_every_steps = 20
eval_every_steps = 200
save_every_steps = 200
"""
DOTS_MEMBERS = """[[teacher.members]]
model = "mlp"
options.hidden_sizes = [12]
weights = "{folder}/teacher.keras"
min_accuracy = 0.0

[[teacher.members]]
model = "mlp"
options.hidden_sizes = [12]
weights = "{folder}/other.keras"
min_accuracy = 0.0
weight = 3.0
"""

# Of folders and tables: one part for the data, and one for the trainings.
THREE_SPLITS = """
name = "small"

[data]
dataset = "{dataset}"
train_split = "train[:60%]"
validation_split = "train[60%:80%]"
test_split = "train[80%:]"
"""
TRAININGS = """
[teacher]
model = "{model}"
{teacher_options}

[teacher.train]
global_batch_size = 16
steps = 12

[student]
model = "{model}"
{student_options}

[student.train]
global_batch_size = 16
steps = 12

[runtime]
steps_per_loop = 3
log_every_steps = 3
eval_every_steps = 6
save_every_steps = 6
eval_batch_size = 32
"""

# A study of points in a plane, from a table.
POINTS = """
name = "points"

[data]
dataset = "csv:{folder}/points.csv"
train_split = "train[:60%]"
validation_split = "train[60%:80%]"
test_split = "train[80%:]"

[teacher]
model = "mlp"
options = {{hidden_sizes = [32], dropout = 0.1}}
TEACHER

[student]
model = "mlp"
options = {{hidden_sizes = [4], dropout = 0.1}}

[student.train]
global_batch_size = 16
steps = 20

[runtime]
steps_per_loop = 2
log_every_steps = 2
eval_every_steps = 10
save_every_steps = 10
eval_batch_size = 32

[study.grid]
"student.options.hidden_sizes" = [[4], [6, 6]]
"distill.temperature" = [1, 20]
"""
# In place of a study: students of a teacher that is elsewhere.
IMPORTED = """\
[distill]
soft_targets = "imported"
soft_targets_dir = "{folder}/answers"
"""

# A value of [distill] with every loss, each of which moves the student.
ALL_TERMS = """{{ hard_weight = 0.5, group_size = {group_size}, terms = [
    {{loss = "kl", weight = 0.5, warmup_steps = 5}},
    {{loss = "kl", standardize = true, temperature = 2.0}},
    {{loss = "reverse_kl", weight = 0.5, schedule = "cosine", final_temperature = 1.0}},
    {{loss = "jensen_shannon", options.beta = 0.3}},
    {{loss = "dkd", weight = 0.5, options.other_weight = 2.0}},
    {{loss = "dist", weight = 2.0, schedule = "linear", final_weight = 1.0}},
    {{loss = "nkd", weight = 0.5, temperature = 1.0}},
    {{loss = "wsl", weight = 0.5, temperature = 2.0}},
    {{loss = "hard_targets", weight = 0.1}},
    {{loss = "logit_mse", weight = 0.1, options.centered = false}},
] }}""".replace("\n", " ")

# The same with losses between layers, of a student and a teacher as in WHOLE.
WITH_LAYERS = ALL_TERMS.replace(
    "] }}",
    """\
    {{loss = "hint", weight = 0.1, student_layer = ["hidden_1", "embedding"],
      teacher_layer = ["convolution_2", "embedding"]}},
    {{loss = "vid", weight = 0.2, student_layer = "hidden_1",
      teacher_layer = "convolution_2"}},
    {{loss = "rkd", weight = 0.005, student_layer = "embedding",
      teacher_layer = "embedding", options.angle_weight = 20.0}},
    {{loss = "contrastive", weight = 0.1, student_layer = "embedding",
      teacher_layer = "flatten"}},
    {{loss = "srrl", weight = 0.02, student_layer = "embedding",
      teacher_layer = "embedding"}},
] }}""".replace("\n", " "),
)
