"""Batches that are marked before they are processed"""

from alembic import op
import sqlalchemy as sa


revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'accession', sa.Column('on_deck', sa.Boolean(), server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    with op.batch_alter_table('accession', schema=None) as batch_op:
        batch_op.drop_column('on_deck')
