import { pagilaFile, pagilaMissing } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { bringIn, lacking } from '../bring-in.ts'
import { search } from './canaries.ts'
import { majorsUnderTest, mask, maskableCluster } from './world.ts'

const majors = (await majorsUnderTest()).slice(-1)
const missing = pagilaMissing ? ` (skipped: ${pagilaMissing})` : lacking

const rules = [
  { table: 'public.customer', column: 'customer_id', hash: true },
  { table: 'public.rental', column: 'rental_id', hash: true },
  { table: 'public.*', column: 'email', fake: 'email' },
  { table: 'public.*', column: 'first_name', fake: 'firstName' },
  { table: 'public.*', column: 'last_name', fake: 'lastName' },
  { table: 'public.address', column: 'address', fake: 'address' },
  { table: 'public.address', column: 'address2', null: true },
  { table: 'public.address', column: 'phone', fake: 'phone' },
  { table: 'public.address', column: 'postal_code', constant: '00000' },
  { table: 'public.staff', column: 'username', hash: true },
  { table: 'public.staff', column: 'password', null: true },
  { table: 'public.payment', column: 'amount', shuffle: true },
]

describe.skipIf(missing !== '').each(majors)(`Pagila in PostgreSQL $version${missing}`, (binaries) => {
  test('is masked whole: nobody is in its files any more, and every row still finds the ones it refers to', async () => {
    await using cluster = await maskableCluster(binaries)
    const { database } = await bringIn(cluster, pagilaFile)
    const joined = `select count(*)::int as rows, sum(p.amount)::text as amount, min(c.last_update) as updated from public.payment p
      join public.rental r using (rental_id) join public.customer c on c.customer_id = p.customer_id join public.customer_list l on l.id = c.customer_id`
    const before = await cluster.query(database, joined)
    const [somebody] = await cluster.query<{ email: string; address: string }>(
      database,
      'select email, address from public.customer join public.address using (address_id) where customer_id = 7',
    )
    const texts = Object.values(somebody ?? {})
    expect((await search(cluster.instance.dataDir, texts)).size).toBe(2)

    const coverage = { allow: ['public.category.name', 'public.language.name'] }
    const result = await mask(cluster, { rules, coverage }, { database })
    expect(result.notes.join()).toMatch(/rental\.customer_id is masked as by/)
    expect(await cluster.query(database, joined)).toEqual(before)
    await cluster.stop()
    expect(await search(cluster.instance.dataDir, texts)).toEqual(new Map())
  })
})
