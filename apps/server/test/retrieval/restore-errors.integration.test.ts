import { describe, expect, test } from 'vitest'
import { LiveSource } from './live-source.ts'
import { FILL } from './load.ts'
import { ended, labOf, lacking, logical, needSource } from './world.ts'

/** Lets the rows in at the source alone, and says what it met elsewhere. */
const PICKY = `CREATE FUNCTION picky(text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
  IF current_user <> 'postgres' THEN RAISE EXCEPTION 'address % is not known', $1; END IF;
  RETURN true;
END $f$`

describe.skipIf(lacking !== '')(`a restore that the data's own functions fail${lacking}`, () => {
  test('tells the table and no value, and is not tried again', async () => {
    await using live = await LiveSource.make(needSource())
    await live.query('postgres', 'CREATE DATABASE shop')
    await live.query(
      'shop',
      ...FILL,
      PICKY,
      'CREATE TABLE customers (address text CHECK (picky(address)))',
      `INSERT INTO customers VALUES ('1 Secret Street')`,
    )
    await using lab = await labOf({ attempts: 3, sources: [logical(live.url('shop'))] })
    await lab.start()
    const run = await ended(lab)
    expect(run).toMatchObject({ outcome: 'FAILED', attempt: 1, error: { code: 'FAILED' } })
    expect(run.error?.message).toContain('COPY failed for table "customers"')
    const told = await (await lab.fetch('/retrieval')).text()
    expect(told + lab.output).not.toMatch(/Secret Street/)
  })
})
