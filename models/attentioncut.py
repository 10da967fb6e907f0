"""Where AttentionCut was in an earlier release; it is in models/cut."""

from models.moved import moved

__getattr__ = moved(
    __name__, attentioncut="models.cut.attentioncut", cut="models.cut.attentioncut", Evidence="models.cut.attentioncut"
)
