"""The one error class that is meant for users; any other exception is a bug and keeps its traceback."""


class UserError(ValueError):
    """An error that the user can fix, in one line: what was expected, what came, what to do."""
