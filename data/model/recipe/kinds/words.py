"""Texts to print: common English words, made-up ones that must be read and cannot be guessed, numbers."""

from __future__ import annotations

import random
import string

LONGEST = 8

_COMMON = """
able about above accept across act action add address after again age ago agree air airport all alone along already
also always am amount and angle angry animal answer ant any apple april area arm army around arrive art ask at attack
aunt autumn average avoid away axe baby back bad bag bake balance ball balloon banana band bank bar barn base basket
bath battery beach bean bear beard beat beauty bed bee before begin behind believe bell belong below belt bench bend
best better between big bike bill bird birth bit bite bitter black blanket blood blow blue board boat body boil bold
bone book boot border bored born borrow boss both bottle bottom bowl box boy brain branch brave bread break bridge
brief bright bring broken brother brown brush bucket build bus bush business busy but butter button buy by cabin cable
cafe cage cake call calm camera camp can canal candle candy cap captain car card care careful carpet carrot carry case
castle cat catch cause cave ceiling center central chain chair chalk chance change chapter charge cheap check cheese
cherry chest chicken chief child choice choose church cinema circle citizen city class clay clean clear clever click
climb clock close closed cloth cloud club coach coal coast coat code coffee coin cold collar collect color comb come
comfort common company compare contact control cook cool copper copy corn corner correct cost cotton cough count country
couple course court cousin cover cow cream credit crime crop cross crowd crown cry culture cup cure current curtain
curve custom cut cute daily damage dance danger dark data date daughter day dead deal dear debate debt december decide
deep deer degree delay demand dentist deny depend desert design desk detail develop device diamond dictate die diet
differ dig dinner dirty disk dish distance divide doctor dog doll dollar dolphin donkey door dot double doubt down dozen
draft dragon draw dream dress drink drive driver drop drum dry duck dull during dust duty each eager eagle ear early
earn earth east easy eat edge editor effect effort egg eight elbow electric elephant eleven else email empty end
enemy energy engine enjoy enough enter entry equal error escape evening event ever every exam example except excuse exit
expect expert explain express extra eye face fact factory fail fair fall false family famous fan far farm farmer fast
fat father fault fear feather february feed feel female fence festival fever few field fifteen fight file fill film
final find fine finger finish fire first fish fit five fix flag flame flat flavor flight float flock floor flour flow
flower fly fog fold follow food foot for force foreign forest forget fork form forty forward four fox frame free freedom
freeze fresh friday friend frog from front frost frozen fruit fuel full fun funny fur future gain game garage garden
garlic gas gate gather general gentle get ghost giant gift giraffe girl give glad glass global glove glue go goal goat
gold good goodbye goose grade grain grand grape grass gray great green ground group grow guard guess guest guide guitar
gun habit hair half hall hammer hand handle hang happen happy harbor hard harvest hat hate have hawk head heal health
hear heart heat heaven heavy height hello help hen her here hero hide high hill hire history hit hobby hold hole holiday
home honest honey hook hope horn horse hospital hot hotel hour house how huge human humor hundred hungry hunt hurry hurt
husband ice idea if ignore ill image in inch include income index infant ink inner insect inside invite iron island item
jacket jail jam january jar jazz jeans jelly jewel job join joke journey joy judge juice july jump june jungle junior
just keep kettle key kick kid kill kind king kiss kitchen kite knee knife knock knot know label labor ladder lady lake
lamb lamp land lane language large laser last late laugh law lawn layer lazy lead leader leaf learn leather leave left
leg legal lemon lend length lesson let letter level library lid lie life lift light like limit line link lion lip liquid
list listen little live liver load loan local lock log lonely long look loop loose lose lost lot loud love low loyal
luck lucky lunch lung machine magic magnet mail main major make male man manage manner many map marble march mark market
marry mask mass master match math matter may maybe meal mean measure meat medal media medicine meet melody melon melt
member memory mend mention menu message metal meter method middle midnight might milk mill mind mine minor minute mirror
miss mistake mix mobile model modern moment monday money monitor monkey month moon moral more morning most mother motion
motor mountain mouse mouth move movie much mud muscle museum music must my mystery nail name narrow nation native nature
near neat neck need needle neighbor nephew nerve nest net never new news next nice night nine noble nobody noise none
noon normal north nose note nothing notice novel november now number nurse nut oak obey object ocean october of off
offer office often oil old olive on once one onion only open opera opinion orange orbit orchard order organ origin other
our out outside oven over owl own owner oxygen pack package page paint pair palace pale palm pan panda panel panic paper
parade parcel pardon parent park parrot part party pass past paste path pause pay peace peach peak peanut pear pearl pen
pencil penguin penny people pepper perfect perhaps period permit person pet phone photo piano pick picnic picture piece
pig pigeon pill pillow pilot pin pine pink pioneer pipe pirate pizza place plain plan plane planet plant plastic plate
play player please pleasure plenty plug plus pocket poem poet point poison polar pole police polite pond pony pool poor
popcorn popular port position possible post pot potato pound powder power practice praise pray prefer prepare present
press pretty price pride prince print prison private prize problem process produce profit program project promise proper
protect proud prove public pull pump pumpkin pupil puppy pure purple purpose purse push put puzzle quality quarter queen
question quick quiet quilt quite quiz rabbit race radio rail rain rainbow raise range rank rapid rare rat rate raw ray
reach read ready real reason receive recipe record red reduce refuse region regret relax release remain remember remind
remove rent repair repeat reply report request rescue rest result return reward rhythm ribbon rice rich ride right ring
ripe rise risk river road roast rob robot rock rocket role roll roof room root rope rose rotate rough round route row
royal rubber rude rug ruin rule ruler run rush rust sad saddle safe sail sailor salad salary sale salmon salt same sand
sandwich satin saturday sauce sausage save say scale scarf scene school science score screen screw sea seal search
season seat second secret see seed seem select sell send senior sense separate serious serve service set settle seven
several shade shadow shake shallow shape share shark sharp sheep sheet shelf shell shelter shine ship shirt shock shoe
shop shore short shoulder shout show shower shut shy sick side sign signal silence silent silk silly silver similar
simple since sing singer single sink sister sit six size skate skill skin skirt sky sleep slice slide slim slip slow
small smart smell smile smoke smooth snack snail snake snow so soap social society sock sofa soft soil soldier solid
solve some son song soon sorry sort soul sound soup sour south space spare speak special speech speed spell spend spice
spider spin spirit spoon sport spot spray spread spring square squirrel stable staff stage stairs stamp stand star start
state station stay steady steal steam steel steep stem step stick stiff still stomach stone stop store storm story
stove straight strange straw stream street strict string strong student studio study stupid style subject success such
sudden suffer sugar suit summer sun sunday sunny sunset super supper supply support sure surface surprise swallow swan
sweep sweet swim swing switch sword symbol system table tail take tale talent talk tall tank tap tape target taste tax
taxi tea teach teacher team tear tell temple ten tennis tent term test text than thank that theater then theory there
thick thief thin thing think third thirsty this thought thousand thread three throat through throw thumb thunder
thursday ticket tie tiger tight tile till time tin tiny tip tired title toast tobacco today toe together toilet tomato
tomorrow tongue tonight too tool tooth top topic total touch tour tourist toward towel tower town toy track trade
traffic train travel treasure treat tree triangle trick trip trophy trouble truck true trumpet trunk trust truth try
tube tuesday tulip tuna tunnel turkey turn turtle twelve twenty twice twin two type ugly umbrella uncle under uniform
union unit universe until up update upper upset urban urgent use useful usual vacation valley value van vase vast
vegetable velvet verb very vest victory video view village violin virus visa visit visitor vitamin voice volcano volume
vote voyage wage wagon waist wait waiter wake walk wall wallet want war warm warning wash wasp waste watch water wave
wax way weak wealth weapon wear weather web wedding wednesday week weekend weigh weight welcome well west wet whale what
wheat wheel when where which while whistle white who whole why wide width wife wild will win wind window wine wing
winner winter wire wise wish with witness wolf woman wonder wood wool word work worker world worm worry worth wound wrap
wreck wrist write writer wrong yacht yard year yellow yes yesterday yet yogurt you young your youth zebra zero zigzag
zone zoo
"""
COMMON = tuple(word for word in _COMMON.split() if len(word) <= LONGEST)

_STARTS = (
    *"bcdfghjklmnprstvwz",
    "bl",
    "br",
    "ch",
    "cl",
    "cr",
    "dr",
    "fl",
    "gr",
    "pl",
    "qu",
    "sh",
    "sk",
    "sp",
    "st",
    "th",
    "tr",
    "",
)
_VOWELS = (*"aeiou", *"aeiou", "ai", "ea", "ee", "oo", "ou", "y")
_ENDS = ("", "", "", *"bdfgklmnprstxz", "ck", "nd", "ng", "nt", "rm", "st", "ss")


def _made_up(rng: random.Random) -> str:
    syllables = rng.choices((1, 2, 3), (0.25, 0.5, 0.25))[0]
    text = "".join(rng.choice(part) for _ in range(syllables) for part in (_STARTS, _VOWELS, _ENDS))
    return text[:LONGEST]


def _letters(rng: random.Random) -> str:
    return "".join(rng.choice(string.ascii_lowercase) for _ in range(rng.randint(2, LONGEST - 1)))


def pick_word(rng: random.Random) -> str:
    """At most LONGEST letters, in one of the three usual ways to write capitals."""
    choose = rng.choices((lambda r: r.choice(COMMON), _made_up, _letters), (0.65, 0.2, 0.15))[0]
    return rng.choices((str.lower, str.upper, str.capitalize), (0.4, 0.35, 0.25))[0](choose(rng))


def pick_number(rng: random.Random) -> str:
    """At most six characters: digits, perhaps with a decimal point, a currency sign or a percent sign."""
    style = rng.choices(("digits", "decimal", "money", "percent"), (0.7, 0.14, 0.1, 0.06))[0]
    if style == "percent":
        return f"{rng.randint(1, 100)}%"
    if style == "digits":
        digits = rng.randint(1, 5)
        return str(rng.randint(10 ** (digits - 1), 10**digits - 1) if digits > 1 else rng.randint(0, 9))
    if style == "money":
        sign = rng.choice("$$€£")
        return sign + rng.choice((str(rng.randint(1, 9999)), f"{rng.randint(1, 99)}.{rng.choice(('99', '50', '95'))}"))
    return f"{rng.randint(0, 99)}.{rng.randint(0, 99):0{rng.randint(1, 2)}d}"


def nearly(rng: random.Random, text: str) -> str:
    """Another text that looks similar: one character, or the order of two, differs; or another word."""
    if text.isalpha() and rng.random() < 0.35:
        other = rng.choice([w for w in rng.sample(COMMON, 40) if w != text.lower()])
        return other.upper() if text.isupper() else other.capitalize() if text[0].isupper() else other
    places = [i for i, c in enumerate(text) if c.isalnum()]
    i = rng.choice(places)
    alphabet = (
        string.digits if text[i].isdigit() else string.ascii_uppercase if text[i].isupper() else string.ascii_lowercase
    )
    return text[:i] + rng.choice([c for c in alphabet if c != text[i]]) + text[i + 1 :]
