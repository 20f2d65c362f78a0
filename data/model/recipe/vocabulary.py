"""Names that questions use whether or not their thing is in the picture, and what is known of names."""

from __future__ import annotations

import re

# None is another word for a thing that pictures show, or for a kind of such things.
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

# Things on which something is written, so that nobody is asked whether there is text.
LETTERED = re.compile(
    r"^(?:[A-Z]+ (?:button|arrow|sign)|Japanese .* button|circled M|input .*|.* (?:place medal|banknote|clock)|.*calendar"
    r"|(?:rolled-up )?newspaper|(?:oncoming )?(?:taxi|bus)|bus stop|(?:love )?hotel|bank|hospital|.*post office|convenience store"
    r"|(?:stop|heavy dollar) sign|copyright|registered|trade mark|ZZZ|hundred points|no one under eighteen|pool 8 ball|water closet"
    r"|information|DVD|certificate|Bible|credit card|identification card|calculator|cash register|slot machine|receipt|joker|memo"
    r"|(?:admission )?tickets?|alphabet blocks|billiard balls|barcode|postage stamp|name badge|label|ambulance|fire station|keyboard"
    r"|page facing up|scroll|books|ledger|tape measure|straight ruler|triangular ruler|mahjong red dragon|currency exchange|money bag"
    r"|Afghanistan|Belize|Brazil|Brunei|Costa Rica|Dominican Republic|Ecuador|Egypt|El Salvador|Guatemala|Haiti|Iran|Iraq|Nicaragua"
    r"|Paraguay|Saudi Arabia|American Samoa|British .*|Cayman Islands|Falkland Islands|Guam|Montserrat|Northern Mariana Islands"
    r"|Pitcairn Islands|Saint Helena|South Georgia|Turks and Caicos Islands)$"
)
