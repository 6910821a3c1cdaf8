"""Alembic's entry: runs the migrations on the connection or the output that `worker.db.migrate` hands over."""

from alembic import context

from worker.db.schema import metadata

config = context.config
connection = config.attributes.get("connection")

if connection is None:
    context.configure(
        dialect_name="postgresql",
        target_metadata=metadata,
        literal_binds=True,
        output_buffer=config.attributes["output"],
    )
else:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)

with context.begin_transaction():
    context.run_migrations()
