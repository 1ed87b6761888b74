"""Several targets: what each store confirms, and how each of them stands"""

from typing import Any

from alembic import op
import sqlalchemy as sa


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')


def _text(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)


def upgrade() -> None:
    op.add_column('delivery', _text('checksum'))
    op.add_column('delivery', _text('version'))
    op.create_table(
        'target_state',
        sa.Column('accession_id', _ID, nullable=False),
        sa.Column('target', sa.String(length=64), nullable=False),
        sa.Column('confirmed', sa.Boolean(), nullable=False),
        sa.Column('reason', sa.Text(), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name='fk_target_state_accession_id'),
        sa.PrimaryKeyConstraint('accession_id', 'target', name='pk_target_state'),
    )


def downgrade() -> None:
    op.drop_table('target_state')
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_column('version')
        batch_op.drop_column('checksum')
