"""Imports: programs that turn other houses' books into shops, products, customers and history.

They stand above the rooms and use them as anyone would. The general product sheet is `catalog`'s own.
"""

from laotie.imports.invoices import FileRefused
from laotie.imports.online_retail import Summary, import_online_retail, write_report

__all__ = ["FileRefused", "Summary", "import_online_retail", "write_report"]
