"""The life of an accession: claims, generations, what each thing was made from, recalls"""

from typing import Any

from alembic import op
import sqlalchemy as sa


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_TIME = sa.DateTime(timezone=True)
_STANDS = sa.text('superseded_at IS NULL AND withdrawn_at IS NULL')


def _text(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)


def _generation() -> "sa.Column[Any]":
    return sa.Column('generation', sa.Integer(), server_default='1', nullable=False)


def upgrade() -> None:
    op.add_column('accession', sa.Column('row_id', _ID, nullable=True))
    op.add_column('accession', _generation())
    op.add_column('accession', _text('label'))
    op.add_column('accession', sa.Column('claimed_by', sa.Text(), nullable=True))
    op.add_column('accession', sa.Column('claimed_until', _TIME, nullable=True))
    op.add_column('manifest_row', _text('resolve_via'))
    op.add_column('manifest_row', sa.Column('duplicate_of', _ID, nullable=True))
    op.add_column('manifest_row', _text('changed'))
    op.add_column('artifact', _generation())
    op.add_column('artifact', sa.Column('made_from', sa.JSON(), nullable=True))
    op.add_column('disposition', _generation())
    op.add_column('event', sa.Column('settings', sa.String(length=64), server_default=sa.text("''"), nullable=False))
    op.add_column('event', sa.Column('row_id', _ID, nullable=True))
    op.add_column('event', _generation())
    op.add_column('event', _text('label'))

    # A report for each generation: the key of its table grows.
    with op.batch_alter_table('deid_report', schema=None) as batch_op:
        batch_op.add_column(_generation())
        batch_op.drop_constraint('pk_deid_report', type_='primary')
        batch_op.create_primary_key('pk_deid_report', ['accession_id', 'generation'])

    # A place may be delivered to again once what lay there is superseded or withdrawn.
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.add_column(_generation())
        batch_op.add_column(sa.Column('made_from', sa.JSON(), nullable=True))
        batch_op.add_column(sa.Column('row_id', _ID, nullable=True))
        batch_op.add_column(sa.Column('run_id', sa.Text(), nullable=True))
        batch_op.add_column(sa.Column('superseded_at', _TIME, nullable=True))
        batch_op.add_column(sa.Column('superseded_by', _ID, nullable=True))
        batch_op.add_column(_text('withdrawal'))
        batch_op.add_column(sa.Column('withdrawn_at', _TIME, nullable=True))
        batch_op.add_column(_text('withdrawn'))
        batch_op.drop_constraint('uq_delivery_target_uri', type_='unique')
    op.create_index(
        'uq_delivery_standing', 'delivery', ['target', 'uri'], unique=True,
        sqlite_where=_STANDS, postgresql_where=_STANDS,
    )
    op.create_index('ix_delivery_uri', 'delivery', ['uri'])

    op.execute(
        'UPDATE accession SET row_id = (SELECT min(manifest_row.id) FROM manifest_row'
        ' WHERE manifest_row.accession_id = accession.id'
        ' AND manifest_row.partition_key IS NOT NULL)'
    )
    op.create_table('announcement',
    sa.Column('target', sa.String(length=64), nullable=False),
    sa.Column('uri', sa.Text(), nullable=False),
    sa.Column('accession_id', _ID, nullable=False),
    sa.Column('announced_at', _TIME, nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_announcement_accession_id')),
    sa.PrimaryKeyConstraint('target', 'uri', 'accession_id', name=op.f('pk_announcement'))
    )
    op.create_index('ix_announcement_accession_id', 'announcement', ['accession_id'])
    op.create_table('retired',
    sa.Column('accession_id', _ID, nullable=False),
    sa.Column('generation', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=32), nullable=False),
    sa.Column('phase', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('deleted', sa.Boolean(), nullable=False),
    sa.Column('row_id', _ID, nullable=True),
    sa.Column('source_fingerprint', sa.String(length=64), nullable=True),
    sa.Column('study_uid', sa.Text(), nullable=True),
    sa.Column('instances', sa.Integer(), nullable=True),
    sa.Column('delivered', sa.Integer(), nullable=True),
    sa.Column('withheld', sa.Integer(), nullable=True),
    sa.Column('run_id', sa.Text(), nullable=True),
    sa.Column('retired_at', _TIME, nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_retired_accession_id')),
    sa.PrimaryKeyConstraint('accession_id', 'generation', name=op.f('pk_retired'))
    )
    op.create_table('recall',
    sa.Column('id', _ID, nullable=False),
    sa.Column('workspace', sa.String(length=64), nullable=False),
    sa.Column('accession_id', _ID, nullable=True),
    sa.Column('subject_id', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('recalled_at', _TIME, nullable=False),
    sa.Column('lifted_at', _TIME, nullable=True),
    sa.Column('lifted_reason', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_recall_accession_id')),
    sa.ForeignKeyConstraint(['workspace'], ['workspace.name'], name=op.f('fk_recall_workspace')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recall'))
    )
    op.create_index('ix_recall_workspace_subject_id', 'recall', ['workspace', 'subject_id'])
    op.create_index('ix_recall_accession_id', 'recall', ['accession_id'])
    op.create_table('resolution',
    sa.Column('id', _ID, nullable=False),
    sa.Column('accession_id', _ID, nullable=False),
    sa.Column('command', sa.String(length=32), nullable=False),
    sa.Column('chosen', sa.Text(), nullable=True),
    sa.Column('passed_over', sa.JSON(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('run_id', sa.Text(), nullable=True),
    sa.Column('resolved_at', _TIME, nullable=False),
    sa.Column('closed_at', _TIME, nullable=True),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_resolution_accession_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_resolution'))
    )
    op.create_index('ix_resolution_accession_id', 'resolution', ['accession_id'])
    op.create_table('pause',
    sa.Column('scope', sa.String(length=200), nullable=False),
    sa.Column('paused', sa.Boolean(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('changed_at', _TIME, nullable=False),
    sa.Column('changed_by', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('scope', name=op.f('pk_pause'))
    )


def downgrade() -> None:
    raise RuntimeError('what later generations hold would be lost: restore a backup instead')
