"""Alembic's entry: run the revisions over the connection that `upgrade` was given."""

from alembic import context

from locutus_dagster.ledger.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
