"""Bank accounts: checked, sealed, cooled off, told, stopped."""

import pytest

from bursary import CARD, IBAN, Bursary, an_account, an_iban
from laotie import identity, settlement
from laotie.base.ids import ShopId, new_id
from laotie.base.refusals import Forbidden, IdReused, NotFound
from laotie.identity import Scope
from laotie.settlement import AccountForm
from laotie.settlement.payout_model import BankAccountNotCooling, BankAccountRefused, checked, spell


@pytest.mark.parametrize(
    ("form", "currency", "number", "good"),
    [
        (AccountForm.card, "CNY", CARD, True),
        (AccountForm.card, "CNY", "6222 0212 3456 7890 128", True),
        (AccountForm.card, "CNY", "6222021234567890123", False),  # a digit is wrong (Luhn)
        (AccountForm.card, "CNY", "622202123456789", False),
        (AccountForm.card, "CNY", "0000000000000000", False),
        (AccountForm.card, "CNY", "６２２２０２１２３４５６７８９０１２８", False),
        (AccountForm.card, "EUR", CARD, False),
        (AccountForm.iban, "EUR", IBAN, True),
        (AccountForm.iban, "EUR", "de89 3704 0044 0532 0130 00", True),
        (AccountForm.iban, "EUR", "DE88370400440532013000", False),
        (AccountForm.iban, "EUR", "DE8937040044053201300", False),
        (AccountForm.iban, "GBP", "GB82WEST12345698765432", True),
        (AccountForm.iban, "EUR", "XX00123456789012", False),
        (AccountForm.company, "CNY", "3803021509200012345", True),
        (AccountForm.company, "CNY", "380-302", False),
        (AccountForm.company, "CNY", "3803A2150920", False),
    ],
)
def test_a_number_is_checked_by_the_rules_of_its_kind(form: AccountForm, currency: str, number: str, good: bool) -> None:
    new = settlement.NewBankAccount(
        id=settlement.BankAccountId(new_id()), form=form, currency=currency, holder="Zoe Muller", number=number, bank="B"
    )
    if good:
        assert checked(new).number == number.replace(" ", "").upper()
    else:
        with pytest.raises(BankAccountRefused):
            checked(new)


@pytest.mark.parametrize("part", ["holder", "bank"])
@pytest.mark.parametrize("text", ["", "=HYPERLINK(1)", "＝cmd", "@x", "a\u202eb", "x" * 141])
def test_no_name_is_empty_hidden_or_a_formula(part: str, text: str) -> None:
    with pytest.raises(BankAccountRefused) as caught:
        checked(an_account(**{part: text}))
    assert caught.value.part == part


def test_names_are_spelt_for_banks_in_europe() -> None:
    assert spell("Zoë Müßig-Sørensen & Co") == "Zoe Mussig-Sorensen + Co"
    with pytest.raises(BankAccountRefused) as caught:
        checked(an_iban(holder="王小明"))
    assert caught.value.part == "holder"


async def test_what_is_kept_and_shown_is_four_digits(bursary: Bursary) -> None:
    shop = await bursary.shop()
    account = await bursary.write_down(shop)
    assert account.last_digits == CARD[-4:]
    async with bursary.db.read() as tx:
        rows = await tx.tuples("SELECT a::text, sealed FROM settlement.bank_account AS a")
        log = await tx.tuples("SELECT detail::text FROM identity.audit_entry")
        notices = await tx.tuples("SELECT facts::text FROM messages.message")
    assert all(CARD not in text and CARD[:-4] not in text for (text, *_) in (*rows, *log, *notices))
    assert CARD.encode() not in bytes(rows[0][1])
    async with bursary.db.read() as tx:
        assert await settlement.accounts.open_numbers(tx, bursary.signer, [account.id]) == {account.id: CARD}


async def test_a_change_cools_off_is_told_and_recorded(bursary: Bursary) -> None:
    shop = await bursary.shop()
    account = await bursary.write_down(shop)
    assert (account.usable_at - account.made_at).total_seconds() == 72 * 3600
    assert await bursary.told(shop) == ["bank_account_changed"]
    assert await bursary.acts("bank_account") == ["bank_account.changed"]


async def test_every_seat_that_may_touch_money_hears_of_a_change_and_can_stop_it(bursary: Bursary) -> None:
    shop = await bursary.shop()
    await bursary.ready(owed=0)  # somebody else's account is not in the way
    old = await bursary.write_down(shop)
    await bursary.wait(hours=72)
    clerk = await bursary.person()
    async with bursary.db.tx() as tx:
        handle = (await identity.get_account(tx, clerk)).handle
        await identity.grant_seat(tx, bursary.people[shop.id], ShopId(shop.id), handle, scopes=[Scope.money])
    new = await bursary.write_down(shop, an_account(holder="不认识的人"))
    async with bursary.db.read() as tx:
        assert (await settlement.accounts.find_current(tx, [shop.id], "CNY"))[shop.id].id == new.id
    async with bursary.db.tx() as tx:
        await settlement.accounts.stop_account(tx, clerk, new.id)
    async with bursary.db.read() as tx:
        assert (await settlement.accounts.find_current(tx, [shop.id], "CNY"))[shop.id].id == old.id
    assert await bursary.told(shop) == ["bank_account_changed", "bank_account_changed", "bank_account_stopped"]


async def test_a_change_that_has_cooled_off_cannot_be_stopped(bursary: Bursary) -> None:
    shop = await bursary.shop()
    account = await bursary.write_down(shop)
    await bursary.wait(hours=72)
    with pytest.raises(BankAccountNotCooling):
        async with bursary.db.tx() as tx:
            await settlement.accounts.stop_account(tx, bursary.people[shop.id], account.id)


async def test_another_change_stops_the_one_that_cools_off(bursary: Bursary) -> None:
    shop = await bursary.shop()
    first = await bursary.write_down(shop)
    second = await bursary.write_down(shop, an_account(holder="别人"))
    async with bursary.db.tx() as tx:
        await settlement.accounts.stop_account(tx, bursary.people[shop.id], second.id)
        assert (await settlement.accounts.get_account(tx, first.id)).stopped_at is not None
        assert await settlement.accounts.find_current(tx, [shop.id], "CNY") == {}


async def test_it_takes_the_password_and_the_owners_seat(bursary: Bursary) -> None:
    shop, streamer = await bursary.shop(), await bursary.streamer()
    clerk = await bursary.person()
    async with bursary.db.tx() as tx:
        handle = (await identity.get_account(tx, clerk)).handle
        await identity.grant_seat(tx, bursary.people[shop.id], ShopId(shop.id), handle, scopes=[Scope.money])
    with pytest.raises(Forbidden, match="password is wrong"):
        await bursary.write_down(shop, password="not the password")
    with pytest.raises(identity.ScopeLacking):
        await bursary.write_down(shop, actor=clerk)
    with pytest.raises(NotFound):
        await bursary.write_down(shop, actor=bursary.people[streamer.id])
    with pytest.raises(NotFound):
        await bursary.write_down(streamer, actor=bursary.people[shop.id])
    async with bursary.db.read() as tx:
        assert await tx.one(int, "SELECT count(*) FROM settlement.bank_account") == 0


async def test_the_same_id_is_the_same_change_or_none(bursary: Bursary) -> None:
    shop, new = await bursary.shop(), an_account()
    first = await bursary.write_down(shop, new)
    assert await bursary.write_down(shop, new) == first
    with pytest.raises(IdReused):
        await bursary.write_down(shop, an_account(id=new.id, number="6217000000000000004"))
    assert await bursary.told(shop) == ["bank_account_changed"]


async def test_who_leaves_takes_the_number_along(bursary: Bursary) -> None:
    streamer = await bursary.streamer()
    account = await bursary.write_down(streamer)
    async with bursary.db.tx() as tx:
        person = bursary.people[streamer.id].signed_in()
        assert [one.last_digits for one in await settlement.accounts.export(tx, person)] == [CARD[-4:]]
        await settlement.accounts.erase(tx, person)
        assert await settlement.accounts.open_numbers(tx, bursary.signer, [account.id]) == {}
