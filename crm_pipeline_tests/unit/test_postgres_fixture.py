"""The throw-away Postgres that other tests stand on."""

import pytest
from sqlalchemy import create_engine, text

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("turn", [1, 2])
def test_a_test_gets_a_database_in_which_nothing_of_another_test_is_left(empty_postgres_url, turn):
    engine = create_engine(empty_postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE visits (turn int)"))
        connection.execute(text("INSERT INTO visits VALUES (:turn)"), {"turn": turn})
        assert connection.execute(text("SELECT turn FROM visits")).scalars().all() == [turn]
    engine.dispose()
