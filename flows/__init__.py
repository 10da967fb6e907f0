"""Flow functions: the steps of each command, their order and their config. Prefect is first imported here."""

import warnings

from models.errors import UserError

with warnings.catch_warnings(record=True) as _said:  # which name the file where the error does not
    try:
        import prefect.context  # noqa: F401

        from tasks.api.proxies import ask_this_machine_directly
    except ImportError:
        raise
    except Exception as error:  # of several libraries: Prefect reads its settings when it is imported
        told = " ".join(" ".join(str(one) for one in [*(said.message for said in _said), error]).split())
        raise UserError(
            f"Prefect cannot read its settings: {told}; correct that file or the variable PREFECT_..., or remove it"
        ) from error
for _one in _said:
    warnings.warn(_one.message, stacklevel=2)
ask_this_machine_directly()
