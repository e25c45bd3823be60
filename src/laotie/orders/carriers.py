"""Carriers as data: what they are called, and what their numbers look like. Pure.

The shapes are what carriers publish or print on their labels; they catch a slip of the hand and a spreadsheet that has
turned a number into `7.73E+14`, and let through whatever the carrier may come up with next (`other` takes anything).
Postal numbers (UPU S10) and those of UPS carry a check digit, which is looked at.
"""

import re
import unicodedata

import msgspec

from laotie.base.refusals import Invalid

NUMBER_LENGTH_MAX = 40
SANDBOX = "sandbox"


class CarrierUnknown(Invalid, code="carrier-unknown"):
    """No carrier of this name is known here."""

    carrier: str


class TrackingNumberRefused(Invalid, code="tracking-number-refused"):
    """This does not look like one of the carrier's tracking numbers."""

    carrier: str
    number: str
    example: str


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """One carrier. `names` are how people write it in sheets, beside code and names."""

    code: str
    zh: str
    en: str
    shape: str
    example: str
    names: tuple[str, ...] = ()
    has_check_digit: bool = False


CARRIERS = (
    Carrier(code="sf", zh="顺丰速运", en="SF Express", shape=r"(SF)?\d{12,15}", example="SF1234567890123",
            names=("顺丰", "shunfeng", "sfexpress")),
    Carrier(code="yto", zh="圆通速递", en="YTO Express", shape=r"YT\d{13,16}|[A-Z0-9]{1,2}\d{9,16}", example="YT8812345678901",
            names=("圆通", "圆通快递", "yuantong")),
    Carrier(code="zto", zh="中通快递", en="ZTO Express", shape=r"\d{12,15}", example="75312345678901",
            names=("中通", "zhongtong")),
    Carrier(code="sto", zh="申通快递", en="STO Express", shape=r"\d{12,15}", example="773123456789012",
            names=("申通", "shentong")),
    Carrier(code="yunda", zh="韵达快递", en="Yunda Express", shape=r"(YD)?\d{13,15}", example="4312345678901",
            names=("韵达", "韵达速递", "yundaex")),
    Carrier(code="jd", zh="京东物流", en="JD Logistics", shape=r"JD[A-Z]{0,3}\d{9,18}(-\d{1,3}-\d{1,3}-?)?",
            example="JDVA12345678901", names=("京东", "京东快递", "jingdong", "jdl")),
    Carrier(code="ems", zh="中国邮政 EMS", en="China Post EMS", shape=r"\d{13}|[A-Z]{2}\d{9}[A-Z]{2}",
            example="EA123456785CN", names=("ems", "邮政", "邮政快递", "中国邮政", "邮政EMS", "chinapost"),
            has_check_digit=True),
    Carrier(code="jt", zh="极兔速递", en="J&T Express", shape=r"(JT)?\d{12,15}", example="JT5123456789012",
            names=("极兔", "jtexpress", "j&t")),
    Carrier(code="deppon", zh="德邦快递", en="Deppon Express", shape=r"(DP[KL]?)?\d{8,18}", example="DPK202012345678",
            names=("德邦", "德邦物流", "debang")),
    Carrier(code="cainiao", zh="菜鸟速递", en="Cainiao Express", shape=r"(CN|LP)?\d{12,18}", example="CN123456789012345",
            names=("菜鸟", "丹鸟")),
    Carrier(code="ups", zh="UPS", en="UPS", shape=r"1Z[A-Z0-9]{16}", example="1Z999AA10123456784", has_check_digit=True),
    Carrier(code="fedex", zh="联邦快递", en="FedEx", shape=r"\d{12}|\d{15}|\d{20}", example="123456789012",
            names=("联邦",)),
    Carrier(code="dhl", zh="DHL", en="DHL", shape=r"\d{10,11}|JJD\d{15,22}|JD\d{18}", example="1234567890",
            names=("敦豪", "dhlexpress")),
    Carrier(code="usps", zh="美国邮政", en="USPS", shape=r"\d{20,22}|\d{26}|[A-Z]{2}\d{9}[A-Z]{2}",
            example="9400100000000000000000", has_check_digit=True),
    Carrier(code="other", zh="其他", en="Other", shape=r"[A-Z0-9][A-Z0-9-]{3,39}", example="ABC-12345"),
    Carrier(code=SANDBOX, zh="演示快递", en="Sandbox carrier", shape=r"SBX\d{10}", example="SBX0000000001"),
)  # fmt: skip

BY_CODE = {carrier.code: carrier for carrier in CARRIERS}
POSTAL = re.compile(r"[A-Z]{2}\d{9}[A-Z]{2}")
UNSEEN = re.compile(r"[\s\u200b-\u200f\ufeff]+")


def find_carrier(name: str) -> Carrier:
    """The carrier by its code or by any of its names; refuses `CarrierUnknown`."""
    found = _BY_NAME.get(_plain(name))
    if found is None:
        raise CarrierUnknown(carrier=name.strip()[:60])
    return found


def clean_number(carrier: Carrier, number: str) -> str:
    """The number as the carrier writes it: upper case, without blanks. Refuses `TrackingNumberRefused`."""
    cleaned = UNSEEN.sub("", unicodedata.normalize("NFKC", number)).upper()
    fits = len(cleaned) <= NUMBER_LENGTH_MAX and re.fullmatch(carrier.shape, cleaned, re.ASCII) is not None
    if not fits or (carrier.has_check_digit and not _checks(cleaned)):
        raise TrackingNumberRefused(carrier=carrier.code, number=number.strip()[:60], example=carrier.example)
    return cleaned


def _checks(number: str) -> bool:
    if POSTAL.fullmatch(number):
        return _postal_check(number[2:10]) == int(number[10])
    if number.startswith("1Z"):
        return _ups_check(number[2:17]) == number[17]
    return True


def _postal_check(digits: str) -> int:
    """UPU standard S10, annex A: weights 8 6 4 2 3 5 9 7, modulo 11."""
    rest = 11 - sum(int(digit) * weight for digit, weight in zip(digits, (8, 6, 4, 2, 3, 5, 9, 7), strict=True)) % 11
    return {10: 0, 11: 5}.get(rest, rest)


def _ups_check(payload: str) -> str:
    """Letters count as (code - 63) modulo 10, every second place twice, modulo 10."""
    values = [int(one) if one.isdigit() else (ord(one) - 63) % 10 for one in payload]
    return str(-(sum(values[0::2]) + 2 * sum(values[1::2])) % 10)


def _plain(name: str) -> str:
    return re.sub(r"[\s·.()（）&-]+", "", unicodedata.normalize("NFKC", name)).casefold()


def _index() -> dict[str, Carrier]:
    found: dict[str, Carrier] = {}
    for carrier in CARRIERS:
        for name in (carrier.code, carrier.zh, carrier.en, *carrier.names):
            assert found.setdefault(_plain(name), carrier) is carrier, f"{name} names two carriers"
    return found


_BY_NAME = _index()
