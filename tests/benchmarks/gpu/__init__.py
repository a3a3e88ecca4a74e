"""What a machine with GPUs shows of itself in one command; see __main__.py."""
