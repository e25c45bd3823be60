"""Pictures for products that have none yet: a flat card, the same for the same words, drawn without any outside host.

Colour follows the title, the glyph follows category and title, the product's initial stands behind it.
"""

import unicodedata
import zlib
from html import escape

# Top and bottom of the ground, the glyph's dark and its accent.
PALETTES = [
    ("#ff9a76", "#e4572e", "#8c2f14", "#ffb454"),
    ("#7cc6fe", "#3a7ca5", "#16425b", "#f4b860"),
    ("#9be3c1", "#3f9c7a", "#17513c", "#ffd166"),
    ("#f7a6c1", "#d1497b", "#7a1f46", "#ffc2a1"),
    ("#b9a7f5", "#6a5acd", "#33297a", "#ffb3c7"),
    ("#ffd37a", "#e59d25", "#7f4d05", "#ef7b5a"),
    ("#8fd9e3", "#2f8f9d", "#10474f", "#ff9f80"),
    ("#c8dc8b", "#7d9b3a", "#3d4f14", "#e98a4f"),
    ("#f2b8a0", "#b5654a", "#5e2c1c", "#7fc8a9"),
    ("#a9b8d6", "#52678f", "#222f4a", "#f2a65a"),
]

# Shapes in a box of 100 by 100: D is the dark colour, A the accent.
GLYPHS = {
    "bag": '<path d="M24 38h52l6 48H18z" fill="D"/><path d="M36 44V32a14 14 0 0 1 28 0v12" fill="none" stroke="A" '
    'stroke-width="6" stroke-linecap="round"/>',
    "cup": '<path d="M20 36h48v30a18 18 0 0 1-18 18H38a18 18 0 0 1-18-18z" fill="D"/><path d="M68 44h6a10 10 0 0 1 0 '
    '20h-6" fill="none" stroke="D" stroke-width="7"/><path d="M34 26c-5-6 5-8 0-14M52 26c-5-6 5-8 0-14" fill="none" '
    'stroke="A" stroke-width="5" stroke-linecap="round"/>',
    "candle": '<path d="M50 10c12 14 12 18 12 22a12 12 0 0 1-24 0c0-4 0-8 12-22z" fill="A"/><rect x="34" y="48" '
    'width="32" height="32" rx="4" fill="D"/><rect x="22" y="80" width="56" height="8" rx="4" fill="D"/>',
    "gift": '<rect x="18" y="46" width="64" height="42" rx="4" fill="D"/><rect x="14" y="32" width="72" height="18" '
    'rx="4" fill="D"/><path d="M44 32h12v56H44z" fill="A"/><path d="M50 32c-26 2-24-22-10-18 8 3 10 18 10 18zm0 0c26 2 '
    '24-22 10-18-8 3-10 18-10 18z" fill="none" stroke="A" stroke-width="5"/>',
    "tree": '<path d="M50 10l22 28H60l18 24H22l18-24H28z" fill="D"/><rect x="44" y="62" width="12" height="24" '
    'fill="D"/><circle cx="50" cy="30" r="5" fill="A"/><circle cx="40" cy="52" r="5" fill="A"/><circle cx="60" cy="50" '
    'r="5" fill="A"/>',
    "cake": '<path d="M16 56h68v26a4 4 0 0 1-4 4H20a4 4 0 0 1-4-4z" fill="D"/><path d="M16 58c0-14 10-18 34-18s34 4 34 '
    '18c-8 10-12 0-17 0s-9 10-17 0c-8 10-12 0-17 0s-9 10-17 0z" fill="A"/><path d="M50 38V22" stroke="D" '
    'stroke-width="6"/><circle cx="50" cy="16" r="6" fill="A"/>',
    "clock": '<circle cx="50" cy="50" r="38" fill="D"/><circle cx="50" cy="50" r="28" fill="#fff"/><path d="M50 '
    '32v18l12 '
    '10" fill="none" stroke="A" stroke-width="6" stroke-linecap="round"/>',
    "frame": '<rect x="14" y="18" width="72" height="64" rx="5" fill="D"/><rect x="24" y="28" width="52" height="44" '
    'fill="#fff"/><path d="M24 72l18-24 13 14 8-9 13 19z" fill="A"/><circle cx="63" cy="40" r="6" fill="A"/>',
    "flower": '<path d="M50 56v36M50 88c-16 0-22-8-22-14 14 0 22 6 22 14z" fill="D" stroke="D" stroke-width="5"/><g '
    'fill="D"><circle cx="50" cy="20" r="13"/><circle cx="68" cy="33" r="13"/><circle cx="61" cy="53" r="13"/><circle '
    'cx="39" cy="53" r="13"/><circle cx="32" cy="33" r="13"/></g><circle cx="50" cy="38" r="11" fill="A"/>',
    "toy": '<circle cx="28" cy="28" r="13" fill="D"/><circle cx="72" cy="28" r="13" fill="D"/><circle cx="50" cy="52" '
    'r="34" fill="D"/><ellipse cx="50" cy="64" rx="16" ry="12" fill="A"/><circle cx="37" cy="45" r="4" fill="#fff"/>'
    '<circle cx="63" cy="45" r="4" fill="#fff"/><circle cx="50" cy="59" r="4" fill="D"/>',
    "jewel": '<path d="M30 18h40l18 22-38 46-38-46z" fill="D"/><path d="M12 40h76L50 86z" fill="A"/><path '
    'd="M36 40h28L50 '
    '86z" fill="D"/>',
    "paper": '<path d="M24 12h38l18 18v58H24z" fill="D"/><path d="M62 12v18h18" fill="A"/><path d="M35 46h34M35 '
    '58h34M35 '
    '70h22" stroke="A" stroke-width="5" stroke-linecap="round"/>',
    "box": '<path d="M50 12l36 16v42L50 88 14 70V28z" fill="D"/><path d="M14 28l36 17 36-17M50 45v43" fill="none" '
    'stroke="A" stroke-width="5" stroke-linejoin="round"/>',
    "home": '<path d="M50 12l40 34H80v40H20V46H10z" fill="D"/><rect x="42" y="58" width="16" height="28" fill="A"/>',
    "cloth": '<path d="M36 14l14 8 14-8 24 16-10 18-10-5v43H32V43l-10 5-10-18z" fill="D"/><path d="M36 14a14 12 '
    '0 0 0 28 '
    '0" fill="none" stroke="A" stroke-width="5"/>',
    "fish": '<path d="M10 50c16-26 44-28 60-8l18-14v44L70 58C54 78 26 76 10 50z" fill="D"/><circle cx="32" '
    'cy="46" r="5" '
    'fill="A"/><path d="M48 36c8 8 8 20 0 28" fill="none" stroke="A" stroke-width="5" stroke-linecap="round"/>',
    "kitchen": '<path d="M20 44h60v16a26 26 0 0 1-26 26h-8a26 26 0 0 1-26-26z" fill="D"/><path d="M12 44h76" '
    'stroke="D" '
    'stroke-width="8" stroke-linecap="round"/><path d="M62 38L78 12" stroke="A" stroke-width="7" '
    'stroke-linecap="round"/>',
    "truck": '<path d="M8 30h48v40H8z" fill="D"/><path d="M56 42h20l16 16v12H56z" fill="A"/><circle cx="28" '
    'cy="74" r="10" '
    'fill="D" stroke="#fff" stroke-width="4"/><circle cx="72" cy="74" r="10" fill="D" stroke="#fff" stroke-width="4"/>',
    "tag": '<path d="M14 18h36l38 38-32 32-42-38z" fill="D"/><circle cx="32" cy="36" r="8" fill="A"/>',
}

# The first glyph one of whose words occurs wins, so the narrow words stand first.
WORDS = [
    ("truck", "charges postage carriage 运费"),
    ("tree", "christmas xmas 圣诞"),
    ("fish", "seafood fish shell 海产 海参 海鲜 鱼 虾 贝"),
    ("candle", "candle lantern t-light light lamp incense 灯 烛"),
    ("cake", "baking cake cupcake biscuit chocolate party 烘焙 蛋糕 零食 糖"),
    ("clock", "clock watch alarm 钟 表"),
    ("cup", "drink mug cup tea coffee glass bottle jug 茶 杯 酒"),
    ("bag", "bag purse luggage backpack 包 袋"),
    ("jewel", "jewellery jewelry necklace bracelet earring ring bead charm 首饰 珠宝 项链"),
    ("toy", "toy doll game babushka bunny bear children 玩具 娃娃"),
    ("cloth", "clothing shirt dress sock apron umbrella textile cushion blanket 服 衣 裤 裙 童装 鞋"),
    ("flower", "garden flower rose plant 花 园"),
    ("paper", "stationery card paper notebook wrap sticker pencil book 文具 书 本"),
    ("frame", "picture frame sign mirror art decoration 画 镜 装饰"),
    ("box", "storage box tin basket drawer cabinet jar 箱 盒 收纳"),
    ("kitchen", "kitchen bowl plate tray dish cutlery pan recipe 厨 碗 盘 锅"),
    ("home", "home door hook knob wall house 家 居"),
    ("gift", "gift heart love 礼"),
]


def draw_picture(title: str, category: str) -> str:
    """An SVG of 480 by 480. Nothing of the words gets in but one escaped character."""
    top, bottom, dark, accent = PALETTES[zlib.crc32(title.encode("utf-8", "replace")) % len(PALETTES)]
    glyph = GLYPHS[_glyph_of(title, category)].replace('"D"', f'"{dark}"').replace('"A"', f'"{accent}"')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 480" width="480" height="480" role="img">'
        '<defs><linearGradient id="g" x1="0" y1="0" x2="0.7" y2="1">'
        f'<stop offset="0" stop-color="{top}"/><stop offset="1" stop-color="{bottom}"/></linearGradient></defs>'
        '<rect width="480" height="480" fill="url(#g)"/>'
        '<circle cx="404" cy="60" r="150" fill="#fff" fill-opacity="0.13"/>'
        '<circle cx="52" cy="452" r="120" fill="#000" fill-opacity="0.05"/>'
        '<text x="452" y="456" text-anchor="end" font-family="Georgia,\'Noto Serif SC\',\'Songti SC\',serif" '
        f'font-size="250" font-weight="700" fill="#fff" fill-opacity="0.22">{escape(_initial_of(title))}</text>'
        '<circle cx="240" cy="238" r="126" fill="#000" fill-opacity="0.10"/>'
        '<circle cx="240" cy="230" r="126" fill="#fffaf4"/>'
        f'<g transform="translate(155 145) scale(1.7)">{glyph}</g></svg>'
    )


def _glyph_of(title: str, category: str) -> str:
    for text in (category.casefold(), title.casefold()):
        found = next((glyph for glyph, words in WORDS if any(word in text for word in words.split())), None)
        if found is not None:
            return found
    return "tag"


def _initial_of(title: str) -> str:
    letter = next((sign for sign in title if unicodedata.category(sign)[0] == "L"), None)
    return (letter or next((sign for sign in title if sign.isdecimal()), "·")).upper()[:1]
