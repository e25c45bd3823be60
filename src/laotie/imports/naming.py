"""Names, prices and categories out of what a till wrote over the months."""

import re
from collections import Counter, deque

from laotie.imports.invoices import CHARGES

DESCRIPTIONS_KEPT_MAX = 12
PRICES_KEPT_MAX = 25
CHARGES_CATEGORY = "Charges"

# The first category one of whose words stands in the name wins, so the narrow ones come first.
CATEGORIES = {
    CHARGES_CATEGORY: "postage carriage",
    "Christmas": "christmas xmas advent reindeer snowman santa",
    "Jewellery": "necklace bracelet earrings earring ring brooch charm diamante bead bling bangle hair",
    "Bags & Purses": "bag bags purse shopper luggage suitcase handbag",
    "Clocks": "clock clocks",
    "Candles & Lights": "candle candles t-light tlight lantern lanterns light lights lamp lampshade incense "
    "candleholder nightlight chandelier",
    "Baking & Party": "cake cakes cakestand cases baking party bunting balloon balloons birthday cupcake biscuit "
    "chocolate cutter cutters confetti garland",
    "Cups & Drinks": "mug mugs cup cups tea teacup teapot coffee glass bottle jug flask tumbler cocktail wine",
    "Stationery": "card cards paper notebook wrap stickers sticker pencil pencils pen book journal tape stamp stamps "
    "ribbon ribbons tissue envelope notelets postcard",
    "Toys & Games": "toy doll dollcraft game games babushka dolly skittles puzzle playhouse jigsaw circus rabbit bunny "
    "teddy feltcraft soldier dinosaur marbles magic",
    "Garden": "garden gardeners plant flower flowers watering herb seeds birdhouse feeder pot trowel spade bird",
    "Storage": "box boxes tin tins basket drawer drawers cabinet jar jars storage hanger caddy",
    "Kitchen": "bowl bowls plate plates tray dish cutlery spoon spoons apron kitchen recipe pantry jelly lunch napkins "
    "doiley doilies oven egg scales pan jam",
    "Pictures & Mirrors": "frame frames picture mirror sign photo art poster wall tile canvas plaque",
    "Cushions & Textiles": "cushion cushions blanket throw quilt cover towel towels umbrella slipper socks scarf "
    "bottle fleece rug doormat fabric parasol",
    "Home": "door doorstop hook hooks knob knobs home house key keys drawerknob magnet magnets thermometer warmer "
    "soap bath",
    "Gifts": "gift heart hearts love decoration decorations voucher sweetheart",
}
OTHER_CATEGORY = "Curiosities"

_WORDS = {word: category for category, words in reversed(CATEGORIES.items()) for word in words.split()}
_ORDER = {category: place for place, category in enumerate(CATEGORIES)}
_SMALL = frozenset({"a", "an", "and", "as", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"})
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")


class Naming:
    """What one code was called and cost. Bounded, whatever the file's length."""

    __slots__ = ("descriptions", "prices")

    def __init__(self) -> None:
        self.descriptions: Counter[str] = Counter()
        self.prices: deque[int] = deque(maxlen=PRICES_KEPT_MAX)

    def hear(self, description: str, price_amount: int) -> None:
        """One more sale."""
        if description and (description in self.descriptions or len(self.descriptions) < DESCRIPTIONS_KEPT_MAX):
            self.descriptions[description] += 1
        self.prices.append(price_amount)

    def title(self, code: str) -> str:
        """The most frequent description, in plain capitals."""
        if code in CHARGES:
            return CHARGES[code]
        best = self.descriptions.most_common(1)
        return clean_title(best[0][0]) if best else f"Item {code}"

    def price_amount(self) -> int:
        """The most frequent of the last prices; between equals the later one."""
        counted = Counter(self.prices)
        return max(counted, key=lambda price: (counted[price], _last_place(self.prices, price)))


def clean_title(description: str) -> str:
    """`WHITE HANGING HEART T-LIGHT HOLDER` as `White Hanging Heart T-Light Holder`; mixed case stays as it is."""
    text = " ".join(description.strip(" *.,").split())
    if any(letter.islower() for letter in text):
        return text
    words = _WORD.sub(lambda word: word.group().capitalize(), text).split(" ")
    return " ".join(word.lower() if place and word.lower() in _SMALL else word for place, word in enumerate(words))


def category_of(code: str, title: str) -> str:
    """A shelf for the product, guessed from the words of its name."""
    if code in CHARGES:
        return CHARGES_CATEGORY
    found = [_WORDS[word] for word in re.findall(r"[\w'-]+", title.lower()) if word in _WORDS]
    return min(found, key=_ORDER.__getitem__, default=OTHER_CATEGORY)


def _last_place(prices: deque[int], price: int) -> int:
    return max(place for place, one in enumerate(prices) if one == price)
