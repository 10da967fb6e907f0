"""The import path of AttentionCut in an earlier release; the code is in models/cut."""

from models.moved import moved

__getattr__ = moved(
    __name__, attentioncut="models.cut.attentioncut", cut="models.cut.attentioncut", Evidence="models.cut.attentioncut"
)
