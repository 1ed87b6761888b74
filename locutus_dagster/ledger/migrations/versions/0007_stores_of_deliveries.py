"""Stores of deliveries: in which one a URI is to be looked for, where it does not say that itself"""

from typing import Any

from alembic import op
import sqlalchemy as sa


revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def _store() -> "sa.Column[Any]":
    # Empty for what is there already: nobody knows.
    return sa.Column('store', sa.Text(), server_default=sa.text("''"), nullable=False)


def _key_of_announcements(columns: "list[str]") -> None:
    # Two stores may hold the same place; what was begun in either must be found.
    with op.batch_alter_table('announcement', schema=None) as batch_op:
        if 'store' in columns:
            batch_op.add_column(_store())
        batch_op.drop_constraint('pk_announcement', type_='primary')
        batch_op.create_primary_key('pk_announcement', columns)
        if 'store' not in columns:
            batch_op.drop_column('store')


def upgrade() -> None:
    op.add_column('delivery', _store())
    _key_of_announcements(['target', 'uri', 'accession_id', 'store'])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM announcement WHERE store != ''"))
    _key_of_announcements(['target', 'uri', 'accession_id'])
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_column('store')
