"""The sources of a dataset's prompts, and the cost of a language model. Knows nothing of pictures or pages."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset

GRAMMAR = "grammar"  # also for datasets older than the column, which have no source


def prompt_facts(dataset: "Dataset") -> dict[str, Any]:
    """Samples by source, the model without a key, requests, tokens, and prompts accepted and rejected.

    An unanswered request counts the most tokens that it can have used.
    """
    frame, bought, requests = dataset.frame(), dataset.prompt_store("prompts"), dataset.prompt_store("requests")
    sources = frame.loc[frame["prompt"] != "", "prompt_source"].replace("", GRAMMAR).value_counts()
    config = dict(dataset.config.get("prompts") or {})
    rejected = bought.loc[bought["reason"] != "", "reason"].value_counts()
    return {
        "sources": {str(name): int(count) for name, count in sources.items()},
        "no_key_for": config.get("model") if config.get("source") == GRAMMAR else None,
        "requests": int((requests["state"] != "free").sum()),
        "tokens": int(requests["input"].sum() + requests["output"].sum()),
        "accepted": int((bought["reason"] == "").sum()),
        "rejected": {str(reason): int(count) for reason, count in rejected.items()},
    }


def prompt_line(dataset: "Dataset") -> str:
    """`prompt_facts` in one line, as in 'built-in grammar, since there was no key for gpt-5-mini'."""
    facts = prompt_facts(dataset)
    grammar = "own templates" if dataset.config.get("templates") else "built-in grammar"
    names = [grammar if name == GRAMMAR else name for name in facts["sources"]] or ["none yet"]
    line = ", ".join(names)
    if facts["no_key_for"]:
        line += f", since there was no key for {facts['no_key_for']}"
    if facts["requests"]:
        written = facts["accepted"] + sum(facts["rejected"].values())
        line += f" ({facts['accepted']} of {written} written prompts usable, {facts['tokens']} tokens)"
    return line
