"""How things are called in a sentence: articles, CLDR's names made plain, and their groups."""

from __future__ import annotations

import re
import unicodedata

from . import wording

FIRST_EMOJI = "grinning face"  # CLDR lists the newest emoji before this one, out of order

# labels.txt's second labels, in the words of "Is there an animal?". What is not here is a sign.
LABEL_GROUPS = {
    **dict.fromkeys(("face-positive", "face-neutral", "face-negative", "face-sick", "face-role"), "face"),
    "face-fantasy": "creature",
    **dict.fromkeys(("cat-face", "monkey-face", "animal-mammal", "animal-bird", "animal-amphibian"), "animal"),
    **dict.fromkeys(("animal-reptile", "animal-marine", "animal-bug"), "animal"),
    **dict.fromkeys(("person", "person-role", "person-fantasy", "person-gesture", "family"), "person"),
    **dict.fromkeys(("person-activity", "person-sport"), "person"),
    "body": "body part",
    "emotion": "symbol",
    "clothing": "clothing",
    **dict.fromkeys(("plant-flower", "plant-other"), "plant"),
    **dict.fromkeys(("food-fruit", "food-vegetable", "food-prepared", "food-asian", "food-sweet"), "food"),
    "drink": "drink",
    "dishware": "household thing",
    **dict.fromkeys(("place-map", "place-geographic", "place-other"), "place"),
    **dict.fromkeys(("place-building", "place-religious"), "building"),
    **dict.fromkeys(("transport-ground", "transport-water", "transport-air"), "vehicle"),
    "hotel": "household thing",
    "time": "clock",
    "sky & weather": "weather",
    "event": "party thing",
    "award-medal": "award",
    **dict.fromkeys(("sport", "game", "arts & crafts"), "sport or game"),
    **dict.fromkeys(("sound", "music"), "sign"),
    "musical-instrument": "instrument",
    **dict.fromkeys(("phone", "computer", "light & video"), "device"),
    **dict.fromkeys(("book-paper", "writing", "office", "mail", "money"), "office thing"),
    **dict.fromkeys(("tool", "lock", "science"), "tool"),
    "medical": "medical thing",
    **dict.fromkeys(("household", "other-object"), "household thing"),
    "geometric": "shape",
    "flag": "flag",
}

# Groups of emoji that labels.txt lacks or puts where nobody would look for them.
_GROUPS = {
    "face": "face holding back tears, melting face, saluting face, face with open eyes and hand over mouth, "
    "face with peeking eye, face with diagonal mouth, dotted line face",
    "creature": "troll, ghost, alien, alien monster, robot, dragon, dragon face, unicorn",
    "medical thing": "x-ray, crutch, manual wheelchair, motorized wheelchair, stethoscope, adhesive bandage, drop of blood, syringe, pill",
    "device": "satellite, megaphone, satellite antenna, low battery, battery, electric plug, microphone, studio microphone, headphone, radio, level slider, "
    "control knobs, loudspeaker, telephone, camera, television, police car light",
    "party thing": "mirror ball, balloon, party popper, piñata",
    "office thing": "identification card, artist palette, ticket",
    "symbol": "hamsa, biting lip, footprints, paw prints",
    "plant": "Christmas tree, pine decoration, Tanabata tree, lotus, potted plant, wilted flower, rose, maple leaf, leaf fluttering in wind, mushroom, cactus, cherry blossom",
    "animal": "coral, ladybug, black cat, bison, mammoth, beaver, polar bear, dodo, seal, orangutan, otter, sloth, skunk, "
    "flamingo, guide dog, service dog, fly, worm, beetle, cockroach, oyster, crab, lobster, shrimp, squid, blowfish",
    "household thing": "nest with eggs, empty nest, jar, bubbles, kitchen knife, candle, coffin, moai, amphora, teapot, spider web, "
    "seat, oil drum, ice, pouring liquid, umbrella, baby bottle, "
    "package, tent",
    "person": "pregnant man, pregnant person, person with crown, breast-feeding, people hugging",
    "food": "beans, mushroom, hot pepper, egg, crab, butter, onion, garlic, blueberries, olive, bell pepper, "
    "flatbread, tamale, fondue, waffle, falafel",
    "drink": "bubble tea, beverage box, mate",
    "body part": "feather, hand with index finger and thumb crossed, rightwards hand, leftwards hand, palm down hand, palm up hand, "
    "index pointing at the viewer, heart hands, brain, anatomical heart, lungs, tooth, bone, leg, foot, ear, "
    "mechanical arm, mechanical leg, ear with hearing aid, pinched fingers, pinching hand",
    "place": "playground slide, rock, railway track, motorway, station",
    "vehicle": "racing car, motorcycle",
    "furniture": "chair, bed, couch and lamp",
    "tool": "compass, scissors, wheel, ring buoy, ladder, hook, carpentry saw, screwdriver, brick, wood, anchor, parachute",
    "sign": "heavy equals sign, horizontal traffic light, vertical traffic light, stop sign, bus stop, construction, fuel pump, "
    "ON arrow, cinema",
    "weather": "rainbow, droplet, fire",
    "clothing": "glasses, sunglasses, goggles, crown, military helmet, ballet shoes, thong sandal, ring, safety vest, sari, "
    "one-piece swimsuit, briefs, shorts",
    "sport or game": "boomerang, kite, yo-yo, nesting dolls, magic wand, teddy bear, sewing needle, knot, skateboard, "
    "roller skate",
}
EMOJI_GROUPS = {name.strip(): group for group, names in _GROUPS.items() for name in names.split(",")}

SKIPPED_EMOJI = {"hollow red circle", "part alternation mark", "eye in speech bubble"}

# Keywords of CLDR that are as good as the name.
ANY_NAME: dict[str, tuple[str, ...]] = {
    "automobile": ("car",),
    "airplane": ("aeroplane",),
    "soccer ball": ("football", "soccer"),
    "french fries": ("fries",),
    "fire engine": ("fire truck",),
    "shopping cart": ("trolley",),
    "lady beetle": ("ladybug", "ladybird"),
    "eggplant": ("aubergine",),
    "game die": ("dice", "die"),
    "honeybee": ("bee",),
    "high voltage": ("lightning", "zap"),
    "doughnut": ("donut",),
    "hamburger": ("burger",),
    "kiwi fruit": ("kiwi",),
    "ear of corn": ("corn", "maize"),
    "light bulb": ("bulb",),
    "necktie": ("tie",),
    "cheese wedge": ("cheese",),
    "wrapped gift": ("gift", "present"),
    "collision": ("boom",),
    "cooking": ("frying",),
    "beach with umbrella": ("beach",),
    "headphone": ("earbud",),
    "billed cap": ("baseball cap",),
    "bow and arrow": ("archer",),
    "pile of poo": ("poo", "poop"),
    "hundred points": ("100",),
}

_RENAMED = {
    "person: blond hair": "person with blond hair",
    "person: beard": "person with a beard",
    "kaaba": "Kaaba",
    "mx claus": "Mx Claus",
    "mount fuji": "Mount Fuji",
    "milky way": "Milky Way",
    "hindu temple": "Hindu temple",
    "shinto shrine": "Shinto shrine",
    "ferris wheel": "Ferris wheel",
    "latin cross": "Latin cross",
    "orthodox cross": "Orthodox cross",
    "american football": "American football",
    "petri dish": "Petri dish",
    "french fries": "French fries",
    "dna": "DNA",
    "dvd": "DVD",
    "Tokyo tower": "Tokyo Tower",
    "A button (blood type)": "A button",
    "AB button (blood type)": "AB button",
    "B button (blood type)": "B button",
    "O button (blood type)": "O button",
    "black large square": "black square",
    "white large square": "white square",
    "large orange diamond": "orange diamond",
    "large blue diamond": "blue diamond",
    "tanabata tree": "Tanabata tree",
}


def emoji_name(cldr_name: str) -> str:
    """CLDR's short name, in plain punctuation."""
    name = _RENAMED.get(cldr_name, cldr_name)
    return name.replace("“", "").replace("”", "").replace("’", "'").replace("!", "")


def _split(names: str) -> frozenset[str]:
    return frozenset(name.strip() for name in names.split(","))


_BARE = _split(
    "bacon, bread, baguette bread, butter, salt, garlic, canned food, cooked rice, curry rice, spaghetti, sushi, ice, sake, "
    "broccoli, custard, candy, popcorn, fondue, oden, dango, mate, bubble tea, yarn, thread, soap, lasagna, lemonade, fire, fog, wood, coral, "
    "money with wings, money, cooking, camping, building construction, nail polish, luggage, left luggage, baggage claim, "
    "customs, passport control, potable water, non-potable water, shaved ice, soft ice cream, ice cream, meat on bone, "
    "meat, DNA, tennis, bowling, field hockey, ice hockey, lacrosse, ping pong, badminton, horse racing, performing arts, "
    "cinema, dashing away, high voltage, breast-feeding, information, infinity, Santa Claus, Mrs. Claus, Mx Claus, "
    "Mount Fuji, Tokyo Tower, ZZZ, pouring liquid, shallow pan of food, takeout, falafel, rice, cheese, milk, tea, coffee, "
    "wheat, grass, bamboo, ivy, lettuce, cabbage, celery, asparagus, cauliflower, spinach, ham, pasta, honey, jam, corn, "
    "toast, lightning, smoke, furniture, wine, beer, water, rope, string, wire, tape, paper, toilet paper, litter in bin, "
    "people with bunny ears, people wrestling, people holding hands, women holding hands, men holding hands, people hugging"
)
_SINGULAR_S = _split(
    "bus, oncoming bus, trolleybus, minibus, octopus, cactus, compass, dress, hibiscus, rhinoceros, hippopotamus, atlas, "
    "thumbs up, thumbs down, canvas, abacus, lens, gas, glass, cross, walrus, platypus, asparagus, iris, crocus, mattress, "
    "sunglass, chess, lotus, diplodocus, tyrannosaurus, triceratops, stegosaurus, brontosaurus, anvils, cutlass, "
    "looking glass, magnifying glass, wine glass, cocktail glass, martini glass, beer glass, mantis, praying mantis, "
    "crossbones, bellows, globus, venus, virus, hummus, couscous, stapes, trellis, chassis, swiss, cosmos, lacrosse, ATM"
)
_PHRASES = {
    "Statue of Liberty": "the Statue of Liberty",
    "Milky Way": "the Milky Way",
    "Kaaba": "the Kaaba",
    "Eiffel Tower": "the Eiffel Tower",
    "Jupiter": "the planet Jupiter",
    "Saturn": "the planet Saturn",
    "skis": "skis",
    "palms up together": "palms up together",
    "locked": "a locked padlock",
    "unlocked": "an unlocked padlock",
    "locked with pen": "a padlock locked with pen",
    "locked with key": "a padlock locked with key",
    "rolling on the floor laughing": "a face rolling on the floor laughing",
    "star-struck": "a star-struck face",
    "woman and man holding hands": "a woman and a man holding hands",
    "foggy": "a foggy city",
    "dizzy": "a dizzy star",
    "wedding": "a wedding chapel",
    "shallow pan of food": "a shallow pan of food",
    "pinched fingers": "pinched fingers",
    "SOS button": "an SOS button",
    "om": "an om symbol",
    "map of Japan": "a map of Japan",
    "vibration mode": "a vibration mode sign",
    "mobile phone off": "a mobile phone off sign",
    "sake": "sake",
    "flower playing cards": "flower playing cards",
    "Japanese symbol for beginner": "a Japanese symbol for beginner",
}
_SIGNS = re.compile(
    r"no (?!good)\w.*|prohibited|warning|children crossing|radioactive|biohazard|construction|multiply|plus|minus|divide|"
    r"copyright|registered|trade mark|customs|passport control|baggage claim|left luggage|potable water|non-potable water|"
    r"place of worship|litter in bin|recycling|input .*|currency exchange|information|high voltage|infinity|"
    r"men's room|women's room|restroom|water closet|cinema"
)
_ZODIAC = _split(
    "Aries, Taurus, Gemini, Cancer, Leo, Virgo, Libra, Scorpio, Sagittarius, Capricorn, Aquarius, Pisces, Ophiuchus"
)
_HEAD_END = re.compile(
    r" (?:with|in|on|of|behind|showing|without|and|for|between|holding|pointing|facing|wearing|increasing|decreasing|over|lifting)\b"
)


def _is_plural(name: str) -> bool:
    head = _HEAD_END.split(name)[0]
    if name in _SINGULAR_S or head in _SINGULAR_S or head.split()[-1] in _SINGULAR_S:
        return False
    return head.endswith("s") and not head.endswith(("ss", "us", "is", "'s"))


def article(name: str) -> str:
    """The name as a noun phrase: "an ant", "scissors", "a no smoking sign"."""
    if name in _PHRASES:
        return _PHRASES[name]
    if name in _ZODIAC:
        return f"the zodiac sign {name}"
    if name.endswith("o'clock") or re.fullmatch(r"\w+-thirty", name):
        return f"a clock showing {name}"
    if _SIGNS.fullmatch(name):
        name += " sign"
    elif name in _BARE or _is_plural(name):
        return name
    return wording.article(name)


# Emoji that differ only in a size that a picture does not show, and flags that differ in a shade: they count as one.
TWINS = {
    "black medium square": "black square",
    "black medium-small square": "black square",
    "black small square": "black square",
    "white medium square": "white square",
    "white medium-small square": "white square",
    "white small square": "white square",
    "small orange diamond": "orange diamond",
    "small blue diamond": "blue diamond",
    "Monaco": "Indonesia",
    "Chad": "Romania",
    "Bouvet Island": "Norway",
    "Svalbard and Jan Mayen": "Norway",
    "Heard and McDonald Islands": "Australia",
}
WRONG_FLAGS = frozenset(("MF", "VI", "ZZ"))  # the package has another territory's flag under these codes

# Territories that are not sovereign: where their flag looks like a sovereign state's, it is named after the state.
TERRITORIES = _split(
    "AI, AQ, AS, AW, AX, BL, BM, BQ, BV, CC, CK, CW, CX, EH, EU, FK, FO, GF, GG, GI, GL, GP, GS, GU, HK, HM, IM, IO, JE, KY, "
    "MF, MO, MP, MQ, MS, NC, NF, NU, PF, PM, PN, PR, RE, SH, SJ, SX, TC, TF, TK, UM, VG, VI, WF, YT"
)
_FLAG_NAMES = {
    "CD": ("Democratic Republic of the Congo", "DR Congo", "Congo-Kinshasa"),
    "CG": ("Republic of the Congo", "Congo-Brazzaville"),
    "CI": ("Ivory Coast", "Côte d'Ivoire"),
    "MM": ("Myanmar", "Burma"),
    "HK": ("Hong Kong",),
    "MO": ("Macao", "Macau"),
    "PS": ("Palestine", "Palestinian Territories"),
    "CC": ("Cocos Islands", "Keeling Islands"),
    "US": ("United States", "United States of America", "USA", "US"),
    "GB": ("United Kingdom", "UK", "Great Britain", "Britain"),
    "FK": ("Falkland Islands",),
    "KN": ("Saint Kitts and Nevis",),
    "VC": ("Saint Vincent and the Grenadines",),
    "GS": ("South Georgia",),
    "AE": ("United Arab Emirates", "UAE"),
    "MK": ("North Macedonia", "Macedonia"),
}
_THE = re.compile(
    r"(?:Netherlands|United|Philippines|Bahamas|Gambia|Maldives|Comoros|Seychelles|Dominican|Central African|Democratic|"
    r"Republic|Isle of|European|British|U\.S\.|Caribbean|French Southern|Palestinian)|.*Islands$"
)


def flag_name(code: str, cldr_names: list[str]) -> tuple[str, ...]:
    """What a country is called, the usual name first, other names after it."""
    names = _FLAG_NAMES.get(code, tuple(cldr_names))
    first, *others = (name.replace("&", "and").replace("’", "'") for name in names)
    if first.startswith("St. "):
        others.append(first)
        first = "Saint " + first[4:]
    plain = unicodedata.normalize("NFD", first).encode("ascii", "ignore").decode()
    return tuple(dict.fromkeys((first, *others, plain)))


def flag_article(name: str) -> str:
    return f"the flag of {'the ' if _THE.match(name) else ''}{name}"
