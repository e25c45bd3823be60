"""The ground floor: database, news, money, ids, refusals, settings. Knows nothing of shops or shows.

Rooms import the names they need from the modules below it (`from laotie.base.db import Tx`).
"""
