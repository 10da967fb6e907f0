"""A function runs exactly once and its end counts, wherever Prefect's engine fails around it."""

import httpx
import pytest

from models.errors import UserError
from tasks.api import tracking


@pytest.fixture(autouse=True)
def tried_again():
    with tracking.trying_again():
        yield


def engine(fails: str):
    """An engine that runs a function, and fails before it, after it, or not at all."""

    def call(fn):
        if fails == "before":
            raise httpx.ReadTimeout("no answer")
        try:
            return fn()
        finally:
            if fails == "after":
                raise httpx.ConnectError("no connection")

    return call


@pytest.mark.parametrize("fails", ["before", "after", "never"])
@pytest.mark.parametrize("error", [None, UserError("mend it"), OSError("disk"), TypeError("a bug"), KeyError("a bug")])
def test_a_function_runs_once_and_its_end_counts(fails, error, capsys):
    runs = []

    def fn():
        runs.append(1)
        if error is not None:
            raise error
        return 7

    if error is None:
        assert tracking.through_prefect("the flow f", engine(fails), fn, fn) == 7
    else:
        with pytest.raises(type(error)) as raised:
            tracking.through_prefect("the flow f", engine(fails), fn, fn)
        assert raised.value is error
    assert len(runs) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == (fails != "never")
    assert {"before": "the start of the flow f", "after": "the end of the flow f", "never": ""}[fails] in said


def test_wrong_arguments_are_an_error_of_the_caller():
    def call(fn):
        raise TypeError("missing 1 required positional argument")

    with pytest.raises(TypeError, match="missing"):
        tracking.through_prefect("the flow f", call, lambda: 1, lambda: 2)
    assert tracking.is_tracked()


def test_a_refused_request_leaves_the_rest_tracked(capsys):
    request = httpx.Request("POST", "http://127.0.0.1/artifacts")

    def refused() -> int:
        raise httpx.HTTPStatusError("413", request=request, response=httpx.Response(413, request=request))

    assert tracking.attempt("the thumbnails", refused) is None
    assert "the thumbnails" in capsys.readouterr().err
    assert tracking.attempt("the progress", lambda: 3) == 3


def test_a_request_without_an_answer_ends_tracking_until_the_next_outermost_flow(capsys):
    def silent() -> int:
        raise httpx.ReadTimeout("no answer")

    with tracking.trying_again():
        assert tracking.attempt("the progress", silent) is None
        assert not tracking.is_tracked()
        assert tracking.attempt("the progress", pytest.fail) is None  # not asked again
        with pytest.raises(httpx.ConnectError), tracking.CLIENTS[0](base_url="http://127.0.0.1:9") as client:
            client.get("/")
    assert tracking.is_tracked()
    assert capsys.readouterr().err.count("does not track it") == 1
