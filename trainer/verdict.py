"""What a command that checks something comes to, besides what it prints."""


class CheckFailedError(ValueError):
    """What was checked is not as it must be; the message says how, and a way out."""
