"""What the demonstration's two personas sell. Both are made up and say so on their pages."""

from typing import NamedTuple


class Goods(NamedTuple):
    """A product: option name and values become SKUs; prices in minor units."""

    code: str
    title: str
    category: str
    about: str
    option: str
    values: tuple[str, ...]
    prices: tuple[int, ...]
    list_price: int
    show_discount_bps: int
    stock: int
    weight_grams: int = 500


class Persona(NamedTuple):
    """A streamer of the demonstration."""

    handle: str
    name: str
    about: str
    shop: str
    shop_about: str
    room: str
    show: str
    scene: str
    stores: tuple[tuple[str, str, str], ...]
    goods: tuple[Goods, ...]
    lines: tuple[str, ...]
    tax_bps: int = 1_300
    """Of goods in general (China's VAT; of farm goods and the sea's, nine per cent)."""


SEA = Persona(
    handle="laoji",
    name="海边老纪",
    about=(
        "【演示人物 · Demo persona】獐子岛边长大，养了二十年海参。天不亮就下海，镜头跟着走：捞上来什么样，"
        "寄给你就什么样。Grew up by the shore, twenty years with sea cucumbers; the camera comes along at dawn."
    ),
    shop="老纪家海参",
    shop_about="自家海区，自家加工，坏一只赔一盒。Own waters, own kitchen.",
    room="跟老纪去赶海",
    show="今早潮水好，带你看刚捞的海参",
    scene="shore",
    stores=(("老纪家海参 · 码头店", "大连", "长海县獐子岛镇东獐码头 3 号"),),
    goods=(
        Goods("SC-FRESH", "即食海参 开袋即食 独立小包装", "海参", "当季捕捞，低压锁鲜，化冻就能吃。", "规格",
              ("500g 约10只", "1000g 约20只"), (19_900, 37_900), 26_900, 8_500, 400),
        Goods("SC-DRY", "淡干海参 六年生 大连直发", "海参", "一斤约 60 头，泡发率写在盒上。", "规格",
              ("50g 体验装", "250g 礼盒"), (15_900, 69_900), 21_900, 9_000, 120),
        Goods("SC-SOUP", "海参小米粥 加热即食 6 碗", "即食", "早上三分钟的一碗热粥。", "口味",
              ("原味", "南瓜"), (8_900, 8_900), 12_900, 7_800, 600),
        Goods("AB-FRESH", "鲜活鲍鱼 10 只装 顺丰冷链", "贝类", "每只 80–90 克，不鲜包赔。", "规格",
              ("10 只", "20 只"), (9_900, 18_900), 13_900, 8_800, 260),
        Goods("SCALLOP", "扇贝柱 现剥速冻 500g", "贝类", "不泡水，解冻几乎不出水。", "规格",
              ("500g", "1000g"), (6_900, 12_900), 8_800, 8_500, 500),
        Goods("KELP", "头茬海带结 500g×3", "干货", "春天第一茬，肉厚不柴。", "规格", ("3 袋",), (3_900,), 5_900, 7_700, 900),
        Goods("SHRIMP", "海虾米 淡晒 250g", "干货", "少盐，煲汤提鲜。", "规格", ("250g",), (4_500,), 5_900, 8_900, 420),
        Goods("URCHIN", "现开海胆黄 100g", "贝类", "当天开当天发，限量。", "规格", ("100g",), (12_800,), 16_800, 8_600, 60),
    ),
    lines=(
        "老铁们早！我现在就在码头，潮水退到一半", "这一网你们看，个头多匀", "有问题直接打在公屏上，我挨个回",
        "不满意你找我，我人就在这儿", "Morning everyone, this is today's catch",
    ),
    tax_bps=900,
)  # fmt: skip

CLOTHES = Persona(
    handle="tongtong",
    name="童童妈衣橱",
    about=(
        "【演示人物 · Demo persona】从一家六平米的童装小店开到十二家，孩子的衣服先给自家两个娃穿过再卖。"
        "Started with a six-square-metre shop, now a dozen; every piece is worn by her own two first."
    ),
    shop="童童妈童装",
    shop_about="线下十二家门店，同款同价，门店可退。A dozen offline stores, same price, returns in store.",
    room="童童妈的试衣间",
    show="秋冬上新：软糯不起球的娃衣",
    scene="wardrobe",
    stores=tuple(
        (f"童童妈童装 · {name}", city, street)
        for name, city, street in (
            ("春熙店", "成都", "锦江区春熙路 88 号"), ("万象店", "成都", "成华区双庆路 8 号"),
            ("观音桥店", "重庆", "江北区观音桥步行街 16 号"), ("解放碑店", "重庆", "渝中区民权路 28 号"),
            ("小寨店", "西安", "雁塔区小寨东路 3 号"), ("钟楼店", "西安", "碑林区东大街 1 号"),
            ("江汉路店", "武汉", "江汉区江汉路 129 号"), ("光谷店", "武汉", "洪山区珞喻路 766 号"),
            ("五一店", "长沙", "芙蓉区五一大道 717 号"), ("新街口店", "南京", "秦淮区中山南路 79 号"),
            ("湖滨店", "杭州", "上城区延安路 258 号"), ("北仑店", "宁波", "北仑区中河路 1 号"),
        )
    ),
    goods=(
        Goods("KC-HOOD", "儿童加绒卫衣 男女同款", "童装", "400 克加绒，水洗二十次不起球。", "尺码",
              ("100", "110", "120", "130"), (8_900, 8_900, 9_400, 9_400), 12_900, 8_200, 320),
        Goods("KC-DOWN", "轻薄羽绒服 90 绒 可机洗", "童装", "一件 280 克，书包里塞得下。", "颜色",
              ("雾蓝", "豆沙粉", "奶油白"), (25_900, 25_900, 25_900), 36_900, 8_800, 150),
        Goods("KC-PANTS", "灯芯绒束脚裤 松紧腰", "童装", "蹲下不勒，膝盖双层。", "尺码",
              ("100", "110", "120", "130"), (6_900, 6_900, 7_400, 7_400), 9_900, 8_400, 400),
        Goods("KC-PJ", "A 类纯棉家居服套装", "家居", "无骨缝，夜里不硌。", "颜色",
              ("小熊", "星星"), (7_900, 7_900), 10_900, 8_500, 280),
        Goods("KC-SOCK", "儿童中筒袜 5 双", "配饰", "脚踝不勒痕。", "尺码", ("S", "M"), (2_900, 2_900), 3_900, 7_900, 800),
        Goods("KC-HAT", "羊毛护耳帽", "配饰", "内衬棉布，不扎。", "颜色", ("驼色", "酒红"), (5_900, 5_900), 7_900, 8_600, 200),
    ),
    lines=(
        "宝妈们看过来，这件我家老二穿了一个月", "身高体重打在公屏，我帮你挑尺码", "门店也能退，同价",
        "These are machine washable, promise", "下一件马上来，先点个关注",
    ),
)  # fmt: skip

PERSONAS = (SEA, CLOTHES)

FAN_NAMES = (
    "小雨", "阿泽", "Mia", "老王不加糖", "糖豆妈", "北北", "Leo", "海风", "一只柚子", "Sunny", "大刘", "桃子",
    "小满", "Kevin", "晚风", "奶茶三分甜", "阿朵", "Grace", "山里人家", "木木", "Tom", "月半", "青柠", "豆豆爸",
)  # fmt: skip

CHAT = {
    "laoji": (
        "这个怎么化冻？", "能放多久呀", "上次买的很好吃", "看着就新鲜", "泡发率多少", "孩子能吃吗", "老人吃哪款好", "想看近一点",
        "Is it in season?", "今天几点的潮", "个头真大", "收到货来反馈",
    ),
    "tongtong": (
        "110 的给我留一件", "颜色正不正", "会起球吗", "身高 118 穿多大", "有哥哥款吗", "想看近一点", "面料软不软",
        "Is it machine washable?", "门店能试吗", "上次那件洗了没变形", "姐妹装有吗",
    ),
    "": (
        "来了来了", "主播好", "价格真香", "已拍", "物流几天到？", "哈哈哈哈", "支持老铁", "Hi from Singapore", "Looks great!",
        "👍👍", "❤️", "再讲讲这款",
    ),
}  # fmt: skip
"""What fans say: to each persona, and to anybody."""
