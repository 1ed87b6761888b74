"""The first ledger"""

from alembic import op
import sqlalchemy as sa


revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('workspace',
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('key_id', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_workspace'))
    )
    op.create_table('accession',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('workspace', sa.String(length=64), nullable=False),
    sa.Column('accession_number', sa.Text(), nullable=False),
    sa.Column('state', sa.String(length=32), nullable=False),
    sa.Column('phase', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('source_study', sa.Text(), nullable=True),
    sa.Column('source_fingerprint', sa.String(length=64), nullable=True),
    sa.Column('study_uid', sa.Text(), nullable=True),
    sa.Column('study_token', sa.String(length=64), nullable=True),
    sa.Column('instances', sa.Integer(), nullable=True),
    sa.Column('delivered', sa.Integer(), nullable=True),
    sa.Column('withheld', sa.Integer(), nullable=True),
    sa.Column('run_id', sa.Text(), nullable=True),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['workspace'], ['workspace.name'], name=op.f('fk_accession_workspace')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_accession')),
    sa.UniqueConstraint('workspace', 'accession_number', name=op.f('uq_accession_workspace_accession_number'))
    )
    with op.batch_alter_table('accession', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_accession_run_id'), ['run_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_accession_workspace_state'), ['workspace', 'state'], unique=False)

    op.create_table('manifest',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('workspace', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=64), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('columns', sa.JSON(), nullable=False),
    sa.Column('loaded_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['workspace'], ['workspace.name'], name=op.f('fk_manifest_workspace')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_manifest')),
    sa.UniqueConstraint('workspace', 'name', name=op.f('uq_manifest_workspace_name'))
    )
    op.create_table('artifact',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('accession_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('host', sa.Text(), nullable=False),
    sa.Column('path', sa.Text(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('instances', sa.Integer(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_artifact_accession_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_artifact'))
    )
    with op.batch_alter_table('artifact', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_artifact_accession_id_kind'), ['accession_id', 'kind'], unique=False)

    op.create_table('delivery',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('accession_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('target', sa.String(length=64), nullable=False),
    sa.Column('uri', sa.Text(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('instances', sa.Integer(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_delivery_accession_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_delivery')),
    sa.UniqueConstraint('target', 'uri', name=op.f('uq_delivery_target_uri'))
    )
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_delivery_accession_id'), ['accession_id'], unique=False)

    op.create_table('disposition',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('accession_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('sop_class', sa.Text(), nullable=False),
    sa.Column('modality', sa.Text(), nullable=False),
    sa.Column('disposition', sa.String(length=32), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('instances', sa.Integer(), nullable=False),
    sa.Column('policy_fingerprint', sa.String(length=64), nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_disposition_accession_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_disposition'))
    )
    with op.batch_alter_table('disposition', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_disposition_accession_id'), ['accession_id'], unique=False)

    op.create_table('event',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('accession_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('before', sa.String(length=32), nullable=False),
    sa.Column('after', sa.String(length=32), nullable=False),
    sa.Column('phase', sa.Integer(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('run_id', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_event_accession_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_event'))
    )
    with op.batch_alter_table('event', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_event_accession_id'), ['accession_id'], unique=False)

    op.create_table('manifest_row',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('manifest_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('workspace', sa.String(length=64), nullable=False),
    sa.Column('row_number', sa.Integer(), nullable=False),
    sa.Column('line', sa.Integer(), nullable=False),
    sa.Column('partition_key', sa.String(length=100), nullable=True),
    sa.Column('accession_id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=True),
    sa.Column('subject_id', sa.Text(), nullable=False),
    sa.Column('imaging_type', sa.Text(), nullable=False),
    sa.Column('age', sa.Text(), nullable=False),
    sa.Column('anatomical_position', sa.Text(), nullable=False),
    sa.Column('deid_qc_status', sa.Text(), nullable=False),
    sa.Column('extra', sa.JSON(), nullable=False),
    sa.Column('rejected', sa.Text(), nullable=False),
    sa.Column('rejected_column', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['accession_id'], ['accession.id'], name=op.f('fk_manifest_row_accession_id')),
    sa.ForeignKeyConstraint(['manifest_id'], ['manifest.id'], name=op.f('fk_manifest_row_manifest_id')),
    sa.ForeignKeyConstraint(['workspace'], ['workspace.name'], name=op.f('fk_manifest_row_workspace')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_manifest_row')),
    sa.UniqueConstraint('manifest_id', 'row_number', name=op.f('uq_manifest_row_manifest_id_row_number')),
    sa.UniqueConstraint('workspace', 'partition_key', name=op.f('uq_manifest_row_workspace_partition_key'))
    )
    with op.batch_alter_table('manifest_row', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_manifest_row_accession_id'), ['accession_id'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('manifest_row', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_manifest_row_accession_id'))

    op.drop_table('manifest_row')
    with op.batch_alter_table('event', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_event_accession_id'))

    op.drop_table('event')
    with op.batch_alter_table('disposition', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_disposition_accession_id'))

    op.drop_table('disposition')
    with op.batch_alter_table('delivery', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_delivery_accession_id'))

    op.drop_table('delivery')
    with op.batch_alter_table('artifact', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_artifact_accession_id_kind'))

    op.drop_table('artifact')
    op.drop_table('manifest')
    with op.batch_alter_table('accession', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_accession_workspace_state'))
        batch_op.drop_index(batch_op.f('ix_accession_run_id'))

    op.drop_table('accession')
    op.drop_table('workspace')
