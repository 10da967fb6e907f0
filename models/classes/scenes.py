"""The built-in grammar's words: subjects, scenes, lighting, views and looks, and the subjects and scenes of each group.

Knows nothing of seeds or of backbones.
"""

SUBJECTS = (
    "a {category}",
    "a single {category}",
    "one {category}",
    "a close portrait of a {category}",
    "a large {category}",
)
SCENES = (
    "in a green meadow", "on a city street", "on a sandy beach", "beside a quiet lake", "in a snowy field",
    "in a forest", "in a bright room", "on a wooden table", "in front of a brick wall", "on a mountain path",
    "under a cloudy sky", "in a garden",
)  # fmt: skip
LIGHTINGS = (
    "warm evening light",
    "soft morning light",
    "bright daylight",
    "overcast light",
    "studio lighting",
    "golden hour",
)
VIEWINGS = (
    "seen from the side",
    "seen from the front",
    "seen from a low angle",
    "seen from above",
    "at eye level",
    "in close-up",
)
LOOKS = (
    "realistic photograph",
    "documentary style",
    "sharp focus",
    "shallow depth of field",
    "high detail",
    "35 mm film",
)

_PHOTOS = ("a photo of a {category}", "a close-up photo of a {category}")
_PLAIN = ("a {category}", "a single {category}", *_PHOTOS)
_ON_TABLES = (
    "on a wooden table", "on a white plate", "on a marble counter", "on a picnic blanket", "on a tray",
    "on a kitchen counter", "on a dark slate",
)  # fmt: skip
_SMALL = (
    "on a wooden table", "on a desk", "on a plain background", "on a concrete floor", "on a windowsill",
    "on a workbench", "in front of a brick wall", "on a stone bench",
)  # fmt: skip
_ROADS = (
    "on a city street", "on a country road", "in a parking lot", "on a mountain road", "in front of a brick wall",
    "in a snowy field", "on a sandy beach", "under a cloudy sky",
)  # fmt: skip

# group -> (subjects, scenes)
GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "animal": (
        SUBJECTS,
        ("in a green meadow", "in a forest", "on a mossy rock", "beside a quiet lake", "in a snowy field",
         "in tall grass", "on dry ground", "in a garden", "on a mountain path", "under a cloudy sky"),
    ),
    "sea animal": (
        SUBJECTS,
        ("in clear blue water", "on a sandy sea floor", "near a coral reef", "in shallow water", "on a wet beach",
         "in an aquarium", "among dark rocks"),
    ),
    "person": (SUBJECTS, SCENES),
    "vehicle": (_PLAIN, _ROADS),
    "boat": (
        _PLAIN,
        ("on a calm lake", "on the open sea", "in a harbour", "on a wide river", "near a sandy shore", "in fog"),
    ),
    "aircraft": (
        _PLAIN,
        ("in a clear blue sky", "in a cloudy sky", "over green fields", "over the sea", "on an airfield",
         "in front of mountains"),
    ),
    "place": (
        (*_PLAIN, "a large {category}"),
        ("on a green hill", "under a cloudy sky", "in a quiet town", "by a lake", "on the coast", "in a snowy field",
         "at the edge of a forest"),
    ),
    "landscape": (
        ("a {category}", "a view of a {category}", "a photo of a {category}", "a wide photo of a {category}"),
        ("under a cloudy sky", "under a clear blue sky", "in summer", "in winter", "in autumn", "after rain"),
    ),
    "street": (_PLAIN, (*_ROADS, "in a park", "in a quiet square")),
    "indoor": (
        _PLAIN,
        ("in a bright room", "in a kitchen", "in a living room", "in a workshop", "against a white wall",
         "on a wooden floor", "in front of a brick wall", "on a plain background"),
    ),
    "object": (_PLAIN, _SMALL),
    "stuff": (
        ("some {category}", "a piece of {category}", "a photo of {category}", "a close-up photo of {category}"),
        _SMALL,
    ),
    "food": (_PLAIN, _ON_TABLES),
    "dish": (
        ("a serving of {category}", "some fresh {category}", "a photo of {category}", "a close-up photo of {category}"),
        _ON_TABLES,
    ),
    "plant": (
        SUBJECTS,
        ("in a garden", "in a forest", "in a green meadow", "on a mossy rock", "in a clay pot", "beside a quiet lake",
         "under a cloudy sky"),
    ),
    "clothing": (
        _PLAIN,
        ("on a mannequin", "on a wooden hanger", "on a plain background", "on a wooden floor", "on a chair",
         "in a shop window", "in front of a brick wall"),
    ),
    "pair": (
        ("a pair of {category}", "a single pair of {category}", "a photo of a pair of {category}"),
        _SMALL,
    ),
}  # fmt: skip
