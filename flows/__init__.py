"""Flow functions: the steps of each command, their order and their config. Prefect's settings are first read here."""

import warnings

from models.errors import UserError

with warnings.catch_warnings(record=True) as _said:  # which name the file where the error does not
    try:
        import prefect.context  # noqa: F401
    except ImportError:
        raise
    except Exception as error:  # of several libraries
        told = " ".join(" ".join(str(one) for one in [*(said.message for said in _said), error]).split())
        raise UserError(
            f"Prefect cannot read its settings: {told}; correct that file or the variable PREFECT_..., or remove it"
        ) from error
for _one in _said:
    warnings.warn(_one.message, stacklevel=2)
