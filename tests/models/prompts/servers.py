"""Stand-ins for servers of chat completions: what each knows of a request, how it answers, and how it refuses.

Each is a function of a request, after the server's documentation and the reports of its users, for `serving`.
"""

import json
from collections.abc import Callable

from tests.models.prompts.endpoint import Reply, Request, completion

TEXTS = ("a dog on a hill", "a dog in the snow")
JSON = json.dumps({"prompts": TEXTS})
CONTEXT = 2000  # tokens that the stand-ins have for request and answer
PATH = "/v1/chat/completions"
Server = Callable[[Request], Reply]


def openai(request: Request) -> Reply:
    """Newer models know max_completion_tokens alone."""
    if request.path != PATH:
        return _error(404, f"Invalid URL (POST {request.path})", "invalid_request_error")
    if "max_tokens" in request:
        said = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        return _error(400, said, "invalid_request_error", code="unsupported_parameter", param="max_tokens")
    if request["model"] == "unknown":
        said = "The model `unknown` does not exist or you do not have access to it."
        return _error(404, said, "invalid_request_error", code="model_not_found")
    return Reply(completion(JSON))


def vllm(request: Request) -> Reply:
    """Counts the answer's limit with the request; its errors were flat before 0.10, and are nested since."""
    if request.path != PATH:
        return Reply({"detail": "Not Found"}, 404)
    if request["model"] == "unknown":
        return _error(404, "The model `unknown` does not exist.", "NotFoundError", param="model", code=404)
    most = request.get("max_completion_tokens", request.get("max_tokens", 16))
    if most + 500 > CONTEXT:
        return _error(
            400,
            f"'max_tokens' or 'max_completion_tokens' is too large: {most}. This model's maximum context length is "
            f"{CONTEXT} tokens and your request has 500 input tokens ({most} > {CONTEXT} - 500). None",
            "BadRequestError",
            code=400,
        )
    return Reply(completion(JSON) | {"prompt_logprobs": None})


def older_vllm(request: Request) -> Reply:
    """Before 0.6.4: unknown fields are forbidden."""
    schema = request.get("response_format", {}).get("type") == "json_schema"
    for name in ["max_completion_tokens"] * ("max_completion_tokens" in request) + ["response_format"] * schema:
        said = f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), 'msg': 'Extra inputs are not permitted'}}]"
        return Reply({"object": "error", "message": said, "type": "BadRequestError", "code": 400}, 400)
    return Reply(completion(f"```json\n{JSON}\n```"))


def llama_cpp(request: Request) -> Reply:
    """Answers on either path; a model that reasons is not parsed unless it is asked to."""
    if request.path not in (PATH, PATH.removeprefix("/v1")):
        return Reply({"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}, 404)
    if request.get("response_format", {}).get("type") == "json_schema":
        said = 'response_format type must be one of "text" or "json_object", but got: json_schema'
        return _error(400, said, "invalid_request_error", code=400)
    return Reply(completion(f'<think>\nTwo prompts, perhaps ["a dog"].\n</think>\n\n{JSON}'))


def ollama(request: Request) -> Reply:
    """Ignores fields that it does not know; an older one's limit is the context's alone. No path but /v1."""
    if request.path != PATH:
        return Reply("404 page not found", 404, {"Content-Type": "text/plain"})
    if request["model"] == "unknown":
        return _error(404, 'model "unknown" not found, try pulling it first', "api_error")
    body = completion(JSON)
    body["choices"][0]["message"]["reasoning"] = "The user wants two prompts."
    return Reply(body)


def lm_studio(request: Request) -> Reply:
    """Knows schemas, or nothing; its errors are texts, and an unknown path is answered with 200."""
    if request.path != PATH:
        return Reply({"error": f"Unexpected endpoint or method. (POST {request.path})"})
    if request.get("response_format", {}).get("type") == "json_object":
        return Reply({"error": "'response_format.type' must be 'json_schema' or 'text'"}, 400)
    if request["model"] == "unknown":
        return Reply({"error": 'Failed to load model "unknown".'}, 400)
    return Reply(completion(JSON) | {"stats": {}, "system_fingerprint": "m"})


def mistral(request: Request) -> Reply:
    """Knows max_tokens alone; a reasoning model's answer comes in parts."""
    if "max_completion_tokens" in request:
        detail = {
            "type": "extra_forbidden",
            "loc": ["body", "max_completion_tokens"],
            "msg": "Extra inputs are not permitted",
            "input": 4096,
        }
        return Reply({"object": "error", "message": {"detail": [detail]}, "type": "invalid_request_error"}, 422)
    if request["model"] == "unknown":
        body = {"object": "error", "message": "Invalid model: unknown", "type": "invalid_model", "code": "1500"}
        return Reply(body, 400)
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": 'perhaps {"prompts": ["a draft of it"]}'}]}
    body = completion(None)
    body["choices"][0]["message"]["content"] = [thinking, {"type": "text", "text": JSON}]
    return Reply(body)


def azure(request: Request) -> Reply:
    """Has the deployment in the path, its version in the query, and the key in a header of its own."""
    if not request.path.startswith("/v1/openai/deployments/d/chat/completions?"):
        return _error(404, "Resource not found", None, code="404")
    if "api-version=2024-02-01" not in request.path or request.headers.get("api-key") != "sk-secret":
        said = "Access denied due to invalid subscription key or wrong API endpoint."
        return _error(401, said, None, code="401")
    if "max_completion_tokens" in request:
        said = "Unrecognized request argument supplied: max_completion_tokens"
        return _error(400, said, "invalid_request_error")
    if request.get("response_format", {}).get("type") == "json_schema":
        said = "response_format value as json_schema is enabled only for api versions 2024-08-01-preview and later"
        return _error(400, said, None, code="BadRequest")
    body = completion(JSON)
    body["choices"][0]["content_filter_results"] = {"hate": {"filtered": False, "severity": "safe"}}
    return Reply(body)


def tgi(request: Request) -> Reply:
    """Ignores max_completion_tokens and gives 100 tokens; forms that it cannot read are refused as plain text."""
    if request.get("response_format", {}).get("type") == "json_schema":
        said = (
            "Failed to deserialize the JSON body into the target type: response_format.type: unknown variant "
            "`json_schema`, expected one of `json_object`, `regex` at line 1 column 1500"
        )
        return Reply(said, 422, {"Content-Type": "text/plain; charset=utf-8"})
    if request.get("max_tokens", 100) + 500 > CONTEXT:
        said = "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2000. Given: 500 and 4096"
        return Reply({"error": said, "error_type": "validation"}, 422)
    if "max_tokens" not in request:
        usage = {"prompt_tokens": 500, "completion_tokens": 100, "total_tokens": 600}
        return Reply(completion(JSON[:40], usage, "length"))
    return Reply(completion(JSON))


def plain(request: Request) -> Reply:
    """Refuses whatever it does not know without a reason."""
    if set(request) - {"model", "messages", "max_tokens"}:
        return Reply("Bad Request", 400, {"Content-Type": "text/plain"})
    return Reply(completion(f"Here are the prompts:\n\n{json.dumps(TEXTS)}\n\nEnjoy!", usage=None))


SERVERS: dict[str, Server] = {
    "openai": openai, "vllm": vllm, "older vllm": older_vllm, "llama.cpp": llama_cpp, "ollama": ollama,
    "lm studio": lm_studio, "mistral": mistral, "azure": azure, "tgi": tgi, "plain": plain,
}  # fmt: skip


def _error(status: int, message: str, kind: str | None, **more: object) -> Reply:
    return Reply({"error": {"message": message, "type": kind, "param": None, "code": None} | more}, status)
