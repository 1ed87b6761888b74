"""Studies that arrive: what the source's log of changes has told, and how far it has been read"""

from typing import Any

from alembic import op
import sqlalchemy as sa


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), 'sqlite')
_DUE = sa.text('gone_at IS NULL AND handled < revision')
_UNSETTLED = sa.text('gone_at IS NULL AND stable_since IS NULL')


def _text(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Text(), nullable=False)


def _number(name: str) -> "sa.Column[Any]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _time(name: str, nullable: bool = True) -> "sa.Column[Any]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    op.create_table(
        'stage_study',
        sa.Column('id', _ID, nullable=False),
        sa.Column('workspace', sa.String(length=64), nullable=False),
        _text('source_study'),
        _text('accession_number'),
        _text('formerly'),
        _text('patient_id'),
        _number('instances'),
        _number('series'),
        _text('modalities'),
        sa.Column('version', sa.String(length=64), nullable=False),
        _number('revision'),
        _number('handled'),
        sa.Column('seq', _ID, nullable=False),
        _time('first_seen', False),
        _time('changed_at', False),
        _time('stable_since'),
        _time('gone_at'),
        _time('looked_at'),
        _text('verdict'),
        sa.Column('refused', sa.Boolean(), nullable=False),
        _time('asked_at'),
        _text('asked_run'),
        _number('asked_revision'),
        sa.Column('asked_event', _ID, nullable=False),
        _number('attempts'),
        _time('not_before'),
        sa.ForeignKeyConstraint(['workspace'], ['workspace.name'], name='fk_stage_study_workspace'),
        sa.PrimaryKeyConstraint('id', name='pk_stage_study'),
        sa.UniqueConstraint('workspace', 'source_study', name='uq_stage_study_workspace_source_study'),
    )
    op.create_index(
        'ix_stage_study_workspace_accession_number', 'stage_study', ['workspace', 'accession_number']
    )
    op.create_index('ix_stage_study_workspace_looked_at', 'stage_study', ['workspace', 'looked_at'])
    op.create_index(
        'ix_stage_study_due',
        'stage_study',
        ['workspace', 'id'],
        sqlite_where=_DUE,
        postgresql_where=_DUE,
    )
    op.create_index(
        'ix_stage_study_unsettled',
        'stage_study',
        ['workspace'],
        sqlite_where=_UNSETTLED,
        postgresql_where=_UNSETTLED,
    )
    op.create_table(
        'stage_cursor',
        sa.Column('workspace', sa.String(length=64), nullable=False),
        _text('place'),
        sa.Column('seq', _ID, nullable=False),
        sa.Column('mark', sa.JSON(), nullable=True),
        _time('polled_at'),
        _time('failed_at'),
        _text('failure'),
        _number('restarts'),
        _text('judged_by'),
        sa.ForeignKeyConstraint(['workspace'], ['workspace.name'], name='fk_stage_cursor_workspace'),
        sa.PrimaryKeyConstraint('workspace', name='pk_stage_cursor'),
    )


def downgrade() -> None:
    op.drop_table('stage_cursor')
    op.drop_table('stage_study')
