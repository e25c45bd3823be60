"""The address book: where an account's parcels go. At most twenty, at most one of them the default."""

import re

from psycopg import errors

from laotie.base.db import Tx
from laotie.base.refusals import IdReused, NotFound
from laotie.identity.model import ADDRESSES_MAX, Actor, Address, AddressId, AddressRefused, TooMany, is_plain_text

PHONE = re.compile(r"\+?[0-9][0-9 ()-]{4,23}")
COUNTRY = re.compile(r"[A-Z]{2}")
LENGTHS_MAX = {"name": 60, "region": 60, "city": 60, "district": 60, "street": 200, "postcode": 16}
MAY_BE_EMPTY = frozenset({"region", "district", "postcode"})


async def list_addresses(tx: Tx, actor: Actor) -> list[Address]:
    """The actor's addresses, the default first."""
    return await tx.all(
        Address,
        """
        SELECT id, name, phone, country, region, city, district, street, postcode, is_default FROM identity.address
        WHERE account_id = %(account_id)s ORDER BY is_default DESC, id LIMIT %(limit)s
        """,
        account_id=actor.signed_in(),
        limit=ADDRESSES_MAX,
    )


async def get_address(tx: Tx, actor: Actor, address_id: AddressId) -> Address:
    """One of the actor's own addresses, or `NotFound`."""
    address = await tx.maybe(
        Address,
        """
        SELECT id, name, phone, country, region, city, district, street, postcode, is_default FROM identity.address
        WHERE id = %(id)s AND account_id = %(account_id)s
        """,
        id=address_id,
        account_id=actor.signed_in(),
    )
    if address is None:
        raise NotFound()
    return address


async def create_address(tx: Tx, actor: Actor, address: Address) -> Address:
    """Add an address under the client's id; the first one becomes the default.

    Locks the account. Refuses `AddressRefused`, `TooMany`, `IdReused`; said again with the same content it answers
    again.
    """
    _check(address)
    present = await _lock_addresses(tx, actor)
    before = next((one for one in present if one.id == address.id), None)
    if before is not None:
        if _content(before) != _content(address):
            raise IdReused()
        return before
    if len(present) >= ADDRESSES_MAX:
        raise TooMany(count_max=ADDRESSES_MAX)
    is_default = address.is_default or not present
    if is_default:
        await _clear_default(tx, actor)
    try:
        async with tx.savepoint():
            return await tx.one(
                Address,
                """
                INSERT INTO identity.address
                    (id, account_id, name, phone, country, region, city, district, street, postcode, is_default)
                VALUES (%(id)s, %(account_id)s, %(name)s, %(phone)s, %(country)s, %(region)s, %(city)s, %(district)s,
                        %(street)s, %(postcode)s, %(is_default)s)
                RETURNING id, name, phone, country, region, city, district, street, postcode, is_default
                """,
                **_columns(address, actor, is_default=is_default),
            )
    except errors.UniqueViolation:
        raise IdReused() from None


async def change_address(tx: Tx, actor: Actor, address: Address) -> Address:
    """Replace an address; the default stays one until another takes its place. Locks the account."""
    _check(address)
    present = await _lock_addresses(tx, actor)
    before = next((one for one in present if one.id == address.id), None)
    if before is None:
        raise NotFound()
    if address.is_default and not before.is_default:
        await _clear_default(tx, actor)
    return await tx.one(
        Address,
        """
        UPDATE identity.address
        SET name = %(name)s, phone = %(phone)s, country = %(country)s, region = %(region)s, city = %(city)s,
            district = %(district)s, street = %(street)s, postcode = %(postcode)s, is_default = %(is_default)s
        WHERE id = %(id)s AND account_id = %(account_id)s
        RETURNING id, name, phone, country, region, city, district, street, postcode, is_default
        """,
        **_columns(address, actor, is_default=address.is_default or before.is_default),
    )


async def delete_address(tx: Tx, actor: Actor, address_id: AddressId) -> None:
    """Remove an address; if it was the default, the oldest left takes its place. Locks the account."""
    present = await _lock_addresses(tx, actor)
    gone = next((one for one in present if one.id == address_id), None)
    if gone is None:
        raise NotFound()
    await tx.run("DELETE FROM identity.address WHERE id = %(id)s", id=address_id)
    left = [one.id for one in present if one.id != address_id]
    if gone.is_default and left:
        await tx.run("UPDATE identity.address SET is_default = true WHERE id = %(id)s", id=min(left))


async def _lock_addresses(tx: Tx, actor: Actor) -> list[Address]:
    await tx.run("SELECT FROM identity.account WHERE id = %(id)s FOR NO KEY UPDATE", id=actor.signed_in())
    return await list_addresses(tx, actor)


async def _clear_default(tx: Tx, actor: Actor) -> None:
    await tx.run(
        "UPDATE identity.address SET is_default = false WHERE account_id = %(account_id)s AND is_default",
        account_id=actor.signed_in(),
    )


def _columns(address: Address, actor: Actor, *, is_default: bool) -> dict[str, object]:
    lines = {name: getattr(address, name).strip() for name in (*LENGTHS_MAX, "phone", "country")}
    return {"id": address.id, "account_id": actor.signed_in(), "is_default": is_default, **lines}


def _content(address: Address) -> tuple[str, ...]:
    return tuple(getattr(address, name).strip() for name in (*LENGTHS_MAX, "phone", "country"))


def _check(address: Address) -> None:
    for line, length_max in LENGTHS_MAX.items():
        text = getattr(address, line).strip()
        if len(text) > length_max or not is_plain_text(text) or (not text and line not in MAY_BE_EMPTY):
            raise AddressRefused(line=line)
    if PHONE.fullmatch(address.phone.strip()) is None:
        raise AddressRefused(line="phone")
    if COUNTRY.fullmatch(address.country.strip()) is None:
        raise AddressRefused(line="country")
