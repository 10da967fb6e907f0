"""The prompt store of a dataset: every prompt that a language model wrote for it, and every request that was paid for.

It is a group `bank` in the dataset's group, with a table of prompts and a table of requests; each column is a growing
array. Rows are only appended, so a prompt keeps its position. Knows nothing of prices or of how prompts are judged.
"""

from typing import Any

import icechunk
import numpy as np
import pandas as pd
import zarr

from storage.dataset.repository import group_of

BANK = "bank"
ROWS = 1024  # per chunk
TABLES: dict[str, dict[str, str]] = {
    "prompts": {"category": "str", "prompt": "str", "reason": "str", "source": "str", "request": "i4"},
    # state: open (not answered; its tokens are the most it can use), answered, free (refused, so it cost nothing)
    "requests": {"category": "str", "model": "str", "state": "str", "problem": "str", "input": "i8", "output": "i8"},
}


def read_prompt_store(group: zarr.Group, table: str) -> pd.DataFrame:
    """A table of the prompt store in the order of its rows; empty if there is no prompt store yet."""
    prompt_store = group.get(f"{BANK}/{table}")
    if not isinstance(prompt_store, zarr.Group):
        return no_rows(table)
    values = {name: np.asarray(prompt_store[name][:]) for name in TABLES[table]}  # type: ignore[index]
    return pd.DataFrame({name: v.astype(object) if v.dtype.kind == "T" else v for name, v in values.items()})


def no_rows(table: str) -> pd.DataFrame:
    """A table of the prompt store without rows."""
    kinds = TABLES[table].items()
    return pd.DataFrame({name: pd.Series(dtype=object if kind == "str" else kind) for name, kind in kinds})


def accepted(session: icechunk.Session) -> dict[str, list[tuple[str, str]]]:
    """(prompt, source) of the accepted prompts by category, in the order of their rows."""
    prompts = read_prompt_store(group_of(session), "prompts")
    good = prompts[prompts["reason"] == ""]
    return {
        str(name): list(zip(rows["prompt"], rows["source"], strict=True)) for name, rows in good.groupby("category")
    }


def lacking(prompts: pd.DataFrame, needed: dict[str, int]) -> dict[str, int]:
    """Number of accepted prompts still missing from the table of prompts, for each category that has too few."""
    have = prompts.loc[prompts["reason"] == "", "category"].value_counts()
    return {name: number - int(have.get(name, 0)) for name, number in needed.items() if number > have.get(name, 0)}


def add_rows(group: zarr.Group, table: str, rows: list[dict[str, Any]]) -> None:
    """Append rows to a table, which is created if it does not exist."""
    prompt_store = group.require_group(f"{BANK}/{table}")
    for name, kind in TABLES[table].items():
        if name not in prompt_store:
            prompt_store.create_array(name, shape=(0,), chunks=(ROWS,), dtype=str if kind == "str" else kind)
        array: Any = prompt_store[name]
        before = array.shape[0]
        array.resize((before + len(rows),))
        if rows:
            array[before:] = np.asarray([row[name] for row in rows], dtype=array.dtype)


def set_row(group: zarr.Group, table: str, position: int, values: dict[str, Any]) -> None:
    """Change some columns of one row."""
    for name, value in values.items():
        column: Any = group[f"{BANK}/{table}/{name}"]
        column[position : position + 1] = np.asarray([value], dtype=column.dtype)
