"""Names that questions use whether or not their thing is in the picture.

None is another word for a thing that pictures show, or for a kind of such things.
"""

from __future__ import annotations

ABSENT = tuple(
    """dog cat horse cow pig sheep goat lion tiger elephant mouse rabbit fox duck chicken owl eagle penguin whale dolphin shark snake frog
    turtle spider ant bee butterfly snail crab octopus dragon dinosaur apple banana orange lemon cherry grape strawberry pineapple pear
    peach tomato carrot potato onion mushroom bread cheese pizza hamburger cake cookie chocolate coffee tea beer wine bottle cup plate
    spoon fork bus train truck bicycle motorcycle helicopter rocket tractor ambulance taxi rose tulip leaf cactus grass mountain river
    sea beach island sun moon cloud rainbow snowflake fire house castle church bridge tower factory tent door window chair table bed
    lamp computer keyboard printer television radio guitar piano violin trumpet drum football letter envelope pencil pen brush scissors
    hammer saw wrench screwdriver axe lock umbrella hat crown shoe shirt dress glove glasses robot ghost skull balloon gift trophy medal
    magnet battery candle mirror bell anchor ladder bucket basket box globe money pumpkin corn pepper cucumber airplane couch""".split()
) + ("flag of France", "flag of Germany", "flag of Japan", "flag of Canada", "flag of Brazil", "flag of Italy", "flag of Spain",
     "flag of Turkey", "flag of India", "flag of China", "flag of Sweden", "flag of Mexico")  # fmt: skip

# How a group is asked for, one and many; then the groups that might be taken for it.
GROUPS: dict[str, tuple[str, ...]] = {
    "animal": (
        "an animal",
        "animals",
        "face",
        "person",
        "food",
        "plant",
        "sign",
        "creature",
        "sport or game",
        "household thing",
        "weather",
    ),
    "food": ("food", "food", "animal", "plant", "drink", "household thing", "party thing", "person"),
    "vehicle": (
        "a vehicle",
        "vehicles",
        "sign",
        "sport or game",
        "building",
        "household thing",
        "person",
        "place",
        "tool",
    ),
    "plant": ("a plant", "plants", "food", "animal", "place", "weather", "party thing", "household thing"),
    "flag": ("a flag", "flags", "sign", "sport or game", "party thing", "place"),
    "building": ("a building", "buildings", "sign", "vehicle", "place", "household thing"),
}
