"""The floor of a cold start: a Python that imports SQLAlchemy and psycopg and connects once, as the worker would."""

import os

from sqlalchemy import URL, create_engine

url = URL.create(
    "postgresql+psycopg",
    username=os.environ["GUI_DB_USER"],
    password=os.environ["GUI_DB_PASSWORD"] or None,
    database=os.environ["GUI_DB_NAME"],
    query={"host": os.environ["GUI_DB_HOST"], "port": os.environ["GUI_DB_PORT"]},
)
create_engine(url).connect().close()
