"""`python -m trainer`."""

import os
import sys

from trainer.main import main

code = main(sys.argv)
for stream in (sys.stdout, sys.stderr):
    if stream:  # closed from the start otherwise
        stream.flush()
# Not sys.exit: iterators of distributed datasets tune themselves in threads that look
# up once a minute, and TensorFlow 2.21 waits for each of them before a process ends.
os._exit(code)
