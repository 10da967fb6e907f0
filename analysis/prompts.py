"""Who wrote a dataset's prompts, and what a language model took for them. Knows nothing of pictures or pages."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from storage.dataset.reader import Dataset

GRAMMAR = "grammar"  # also where nothing is noted: of a dataset older than the column


def prompt_facts(dataset: "Dataset") -> dict[str, Any]:
    """Samples by source, the model that had no key, requests, tokens, and prompts accepted and rejected.

    Tokens of requests that were never answered count as the most that they can have taken.
    """
    frame, bought, requests = dataset.frame(), dataset.prompt_store("prompts"), dataset.prompt_store("requests")
    sources = frame.loc[frame["prompt"] != "", "prompt_source"].replace("", GRAMMAR).value_counts()
    asked = dict(dataset.config.get("prompts") or {})
    rejected = bought.loc[bought["reason"] != "", "reason"].value_counts()
    return {
        "sources": {str(name): int(count) for name, count in sources.items()},
        "no_key_for": asked.get("model") if asked.get("source") == GRAMMAR else None,
        "requests": int((requests["state"] != "free").sum()),
        "tokens": int(requests["input"].sum() + requests["output"].sum()),
        "accepted": int((bought["reason"] == "").sum()),
        "rejected": {str(reason): int(count) for reason, count in rejected.items()},
    }


def prompt_line(dataset: "Dataset") -> str:
    """The same in a line, as in 'built-in grammar, for there was no key for gpt-5-mini'."""
    facts = prompt_facts(dataset)
    own = "own templates" if dataset.config.get("templates") else "built-in grammar"
    names = [own if name == GRAMMAR else name for name in facts["sources"]] or ["none yet"]
    line = ", ".join(names)
    if facts["no_key_for"]:
        line += f", for there was no key for {facts['no_key_for']}"
    if facts["requests"]:
        written = facts["accepted"] + sum(facts["rejected"].values())
        line += f" ({facts['accepted']} of {written} written could be used, {facts['tokens']} tokens)"
    return line
