"""The one kind of error that is meant for users; everything else is a bug and keeps its traceback."""


class UserError(ValueError):
    """What a user can mend, in one line: what was expected, what came, what to do."""
