"""WebDataset: tar files of consecutive samples, each with an image, a mask, its label, and its facts as JSON."""

import io
import json
import tarfile
from pathlib import Path

from storage.dataset.reader import Dataset, Sample
from storage.exports.formats.base import Facts, Files, Format, name_of, png, samples_of
from storage.exports.plan import Block, Plan


class WebDatasetFormat(Format):
    """SPLIT-00000-of-00004.tar with 000000.png, 000000.mask.png, 000000.cls and 000000.json for each sample."""

    title = "WebDataset"
    loading = (
        "from glob import glob\n\n"
        "import webdataset as wds\n\n"
        'shards = wds.WebDataset(sorted(glob("SPLIT-*.tar")), shardshuffle=False)\n'
        'image, mask, label, facts = next(iter(shards.decode("pil").to_tuple("png", "mask.png", "cls", "json")))'
    )
    losses = "Images and masks are exact. Scores are in the table only."
    files = (Files("shards", "application/x-tar", "*.tar"),)
    block = 256
    hub = "SPLIT-*.tar"

    def write(self, folder: Path, plan: Plan, block: Block, dataset: Dataset) -> Facts:
        with tarfile.open(folder / f"{block.name}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples_of(dataset, block):
                for suffix, content in _parts(sample, plan).items():
                    entry = tarfile.TarInfo(f"{name_of(sample.index)}.{suffix}")
                    entry.size = len(content)
                    tar.addfile(entry, io.BytesIO(content))
        return Facts()


def _parts(sample: Sample, plan: Plan) -> dict[str, bytes]:
    facts = {"index": sample.index, "category": sample.category, "prompt": sample.prompt, "seed": sample.seed}
    return {
        "png": png(sample.image),
        "mask.png": png(sample.mask),
        "cls": str(plan.label(sample.category)).encode(),
        "json": json.dumps(facts).encode(),
    }
