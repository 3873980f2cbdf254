"""asyncpg: named statements, batches, a cursor in a transaction, binary COPY, an error."""
import asyncio
import sys

import asyncpg


async def main():
    connection = await asyncpg.connect(host="127.0.0.1", port=int(sys.argv[1]), user="app", database="shop",
                                       ssl=False, statement_cache_size=20)
    await connection.execute("CREATE TABLE apg (id int PRIMARY KEY, name text, tags text[])")
    await connection.executemany("INSERT INTO apg VALUES ($1, $2, $3)", [(n, None, ["secret", None]) for n in range(100)])
    await connection.executemany("UPDATE apg SET name = $2 WHERE id = $1", [(n % 100, "secret") for n in range(400)])
    for number in (1, 2):
        await connection.fetchrow("SELECT name FROM apg WHERE id = $1", number)
    try:
        await connection.execute("INSERT INTO apg VALUES (1, 'secret')")
    except asyncpg.UniqueViolationError:
        pass
    await connection.copy_records_to_table("apg", records=[(n, "secret", None) for n in range(101, 1000)])
    async with connection.transaction():
        rows = [row async for row in connection.cursor("SELECT * FROM apg", prefetch=500)]
        assert len(rows) == 999
    await connection.close(timeout=10)


asyncio.run(main())
