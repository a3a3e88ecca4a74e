"""Training: the step on every replica, its loop, checkpoints and events."""
