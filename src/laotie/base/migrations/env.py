"""Alembic's entry: one connection, handed over by `laotie.base.migrate`."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="migration", version_table_schema="base", transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
