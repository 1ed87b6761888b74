"""The report of each study"""

from alembic import op
import sqlalchemy as sa


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('deid_report',
    sa.Column('accession_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('policy_name', sa.Text(), nullable=False),
    sa.Column('policy_fingerprint', sa.String(length=64), nullable=False),
    sa.Column('key_id', sa.Text(), nullable=False),
    sa.Column('engine_version', sa.String(length=32), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('report', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_deid_report_accession_id')),
    sa.PrimaryKeyConstraint('accession_id', name=op.f('pk_deid_report'))
    )


def downgrade() -> None:
    op.drop_table('deid_report')
