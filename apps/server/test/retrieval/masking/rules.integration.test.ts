import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Cluster } from '../cluster.ts'
import { majorsUnderTest, mask, maskableCluster, masking, shopWith } from './world.ts'

const majors = await majorsUnderTest()
const [, embedded] = majors

async function one(cluster: Cluster, sql: string): Promise<Record<string, unknown>> {
  return (await cluster.query<Record<string, unknown>>('shop', sql))[0] ?? {}
}

describe.each(majors)('rules in PostgreSQL $version', (binaries) => {
  test('mask each kind, keep equal values equal, and NULL NULL', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, [
      `create table person (
        id int generated always as identity primary key, email varchar(60) unique, name text, first varchar(12), phone text, iban text,
        ip inet, token uuid, note text, salary numeric(8,2) not null, tags text[], doc jsonb, level char(3), home text,
        lower_email text generated always as (lower(email)) stored
      )`,
      `insert into person (email, name, first, phone, iban, ip, token, note, salary, tags, doc, level, home)
       select 'Person' || i || '@corp.test', 'Name ' || i % 5, 'First' || i % 5, '+4930' || 100000 + i, 'DE02120300000000202051', '192.168.1.1',
         gen_random_uuid(), case when i % 2 = 0 then 'note' end, 1000 + i, array['a', 'b'], '{"a": 1}', 'abc', 'Home ' || i
       from generate_series(1, 300) i`,
      'create table login (email text, person_id bigint references person)',
      'insert into login select email, id from person',
    ])
    const result = await mask(cluster, {
      rules: [
        { table: 'public.*', column: 'email', fake: 'email' },
        { table: 'public.person', column: 'id', hash: true },
        { table: 'public.person', column: 'name', fake: 'name' },
        { table: 'public.person', column: 'first', fake: 'firstName' },
        { table: 'public.person', column: 'phone', fake: 'phone' },
        { table: 'public.person', column: 'iban', fake: 'iban' },
        { table: 'public.person', column: 'ip', fake: 'ip' },
        { table: 'public.person', column: 'token', hash: true },
        { table: 'public.person', column: 'note', hash: true },
        { table: 'public.person', column: 'salary', shuffle: true },
        { table: 'public.person', column: 'tags', hash: true },
        { table: 'public.person', column: 'doc', constant: '{}' },
        { table: 'public.person', column: 'level', constant: 'x' },
        { table: 'public.person', column: 'home', fake: 'address' },
      ],
    })
    expect(result).toMatchObject({ tables: 2, maskVersion: expect.stringMatching(/^[0-9a-f]{16}$/) })
    expect(result.notes).toEqual([expect.stringMatching(/public\.login\.person_id is masked as by .*person\.id/)])
    const facts = await one(
      cluster,
      `select count(*)::int as rows, count(distinct email)::int as emails, count(*) filter (where email ~ '^[a-z]+\\.[a-z]+\\.[0-9a-f]{16}@example\\.com$')::int as like_emails,
        bool_and(lower_email = lower(email)) as generated, count(distinct name)::int as names, bool_or(name ~ '^Name') as old_names,
        max(length(first)) <= 12 as fits, bool_and(phone ~ '^\\+999[0-9]{11}$') as phones, count(distinct iban)::int as ibans, bool_and(iban ~ '^GB[0-9]{2}TEST[0-9]{14}$') as uk,
        bool_and(ip <<= '198.18.0.0/15') as ips, count(distinct token)::int as tokens, count(note)::int as notes, count(distinct note)::int as hashes,
        sum(salary)::int as sum, count(distinct salary)::int as salaries, count(*) filter (where array_length(tags, 1) = 1)::int as arrays, bool_and(doc = '{}') as docs,
        bool_and(level = 'x') as levels, min(id) > 0 as positive, count(*) filter (where id <= 300)::int < 10 as moved
       from public.person`,
    )
    expect(facts).toEqual({
      ...{
        rows: 300,
        emails: 300,
        like_emails: 300,
        generated: true,
        names: 5,
        old_names: false,
        fits: true,
        phones: true,
      },
      ...{
        ibans: 1,
        uk: true,
        ips: true,
        tokens: 300,
        notes: 150,
        hashes: 1,
        sum: 1000 * 300 + 150 * 301,
        salaries: 300,
      },
      ...{ arrays: 300, docs: true, levels: true, positive: true, moved: true },
    })
    const joined = await one(
      cluster,
      'select count(*)::int as rows from public.login l join public.person p on p.id = l.person_id and p.email = l.email',
    )
    expect(joined).toEqual({ rows: 300 })
    const identity = await one(
      cluster,
      `select attidentity as kind from pg_attribute where attrelid = 'public.person'::regclass and attname = 'id'`,
    )
    expect(identity).toEqual({ kind: 'a' })
    const iban = await one(
      cluster,
      `select (substring(iban from 5) || substring(iban for 4)) as turned from public.person limit 1`,
    )
    const digits = String(iban.turned).replaceAll(/[A-Z]/g, (letter) => String(letter.charCodeAt(0) - 55))
    expect(BigInt(digits) % 97n).toBe(1n)
  })

  test('keep whole numbers different and in their range, whatever the column that they are in', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, [
      'create table small (k smallint primary key)',
      'insert into small select generate_series(-32768, 32767)',
      'create table medium (k int primary key, again bigint)',
      'insert into medium select i, i from generate_series(1, 20000) i',
      'insert into medium values (-2147483648, 0), (2147483647, 0), (0, 0), (-1, 0)',
      'create table large (k bigint primary key)',
      `insert into large values (9007199254740991), (9007199254740992), (9223372036854775807), (-9223372036854775808), (2147483648), (7)`,
    ])
    await mask(cluster, {
      rules: [
        { table: 'public.*', column: 'k', hash: true },
        { table: 'public.medium', column: 'again', hash: true },
      ],
    })
    const facts = await one(
      cluster,
      `select (select count(distinct k)::int from public.small) as small, (select count(*) filter (where k < 0)::int from public.small) as negative,
        (select count(distinct k)::int from public.medium) as medium,
        (select count(*)::int from public.medium where k = again) as same,
        (select count(*) filter (where k between 0 and 2147483647)::int from public.large) as ints,
        (select count(*) filter (where k between 2147483648 and 9007199254740991)::int from public.large) as safe,
        (select count(*) filter (where k > 9007199254740991)::int from public.large) as big, (select count(*) filter (where k < 0)::int from public.large) as below,
        (select count(*)::int from public.large l join public.medium m on m.k = l.k) as seven`,
    )
    expect(facts).toMatchObject({
      small: 65536,
      negative: 32768,
      medium: 20004,
      ints: 1,
      safe: 2,
      big: 2,
      below: 1,
      seven: 1,
    })
    expect(facts.same).toBe(20001)
  })

  test('fire no trigger or rule, whatever it says, and pass row security by', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, [
      'create table seen (what text)',
      'create table account (id int primary key, email text)',
      `insert into account values (1, 'one@corp.test'), (2, 'two@corp.test')`,
      `create function spy() returns trigger language plpgsql as $$ begin insert into public.seen values (old.email); return null; end $$`,
      'create trigger usual after update on account for each row execute function spy()',
      'create trigger always before update on account for each row execute function spy()',
      'alter table account enable always trigger always',
      'create trigger replica after update on account for each statement execute function spy()',
      'alter table account enable replica trigger replica',
      `create rule noted as on update to account do also insert into seen values (old.email)`,
      'alter table account enable always rule noted',
      'alter table account enable row level security; alter table account force row level security',
      `create function watch() returns event_trigger language plpgsql as $$ begin raise exception 'seen'; end $$`,
      'create event trigger watcher on ddl_command_start execute function watch(); alter event trigger watcher enable always',
    ])
    await mask(cluster, { rules: [{ table: 'public.account', column: 'email', hash: true }] })
    expect(await cluster.query('shop', 'select * from public.seen')).toEqual([])
    expect(await one(cluster, `select count(*)::int as left from public.account where email ~ 'corp'`)).toEqual({
      left: 0,
    })
    const modes = await cluster.query<{ mode: string }>(
      'shop',
      `select string_agg(tgenabled, '' order by tgname) || (select string_agg(ev_enabled, '') from pg_rewrite where rulename = 'noted') as mode from pg_trigger where not tgisinternal`,
    )
    expect(modes).toEqual([{ mode: 'AROA' }])
  })

  test('reach partitions and children through their parents, and keys over partitions', async () => {
    await using cluster = await maskableCluster(binaries)
    await shopWith(cluster, [
      'create table customer (id text primary key)',
      `insert into customer select 'c' || i from generate_series(1, 50) i`,
      'create table event (at int, customer text references customer, email text, primary key (at, customer)) partition by range (at)',
      'create table event_1 partition of event for values from (0) to (100)',
      'create table event_2 (email text, at int not null, gone int, customer text not null)',
      'alter table event_2 drop column gone',
      'alter table event attach partition event_2 for values from (100) to (200)',
      `insert into event select i, 'c' || 1 + i % 50, 'e' || i || '@corp.test' from generate_series(0, 199) i`,
      'create table base (email text)',
      'create table derived (more int) inherits (base)',
      `insert into base values ('a@corp.test'); insert into derived values ('b@corp.test', 1)`,
    ])
    const result = await mask(cluster, {
      rules: [
        { table: 'public.customer', column: 'id', hash: true },
        { table: 'public.event_1', column: 'email', null: true },
        { table: 'public.base', column: 'email', fake: 'email' },
      ],
    })
    expect(result.tables).toBe(5)
    const facts = await one(
      cluster,
      `select (select count(email)::int from public.event) as emails, (select count(*)::int from public.event join public.customer c on c.id = customer) as joined,
        (select count(*)::int from public.customer where id ~ '^[0-9a-f]{32}$') as hashed, (select count(*)::int from public.base where email ~ 'corp') as corp`,
    )
    expect(facts).toEqual({ emails: 0, joined: 200, hashed: 50, corp: 0 })
  })
})

describe.skipIf(!embedded)('what rules make', () => {
  test('of a shuffled column is its own values in other rows, and its gaps where they were', async () => {
    await using cluster = await maskableCluster(embedded)
    await shopWith(cluster, [
      'create table pay (id int, amount int unique)',
      'insert into pay select i, case when i % 10 > 0 then i end from generate_series(1, 1000) i',
    ])
    await mask(cluster, { rules: [{ table: 'public.pay', column: 'amount', shuffle: true }] })
    const facts = await one(
      cluster,
      `select count(amount)::int as kept, sum(amount)::int as sum, count(*) filter (where amount is null and id % 10 > 0)::int as moved_gaps,
        count(*) filter (where amount = id)::int < 50 as moved from public.pay`,
    )
    expect(facts).toEqual({ kept: 900, sum: (1000 * 1001) / 2 - 50500, moved_gaps: 0, moved: true })
  })

  test('of published tables without a key is masked too, and they are published as before', async () => {
    await using cluster = await maskableCluster(embedded)
    await shopWith(cluster, [
      'create table bare (a text)',
      `insert into bare values ('x')`,
      'create table keyed (id int primary key)',
      'insert into keyed values (1), (2)',
      'create publication everything for all tables',
    ])
    await mask(cluster, {
      rules: [
        { table: 'public.bare', column: 'a', hash: true },
        { table: 'public.keyed', column: 'id', hash: true },
      ],
    })
    expect(await one(cluster, `select count(*)::int as left from public.bare where a = 'x'`)).toEqual({ left: 0 })
    expect(
      await one(
        cluster,
        `select string_agg(relreplident, '') as kinds from pg_class where relname in ('bare', 'keyed')`,
      ),
    ).toEqual({ kinds: 'dd' })
  })

  test('of the identity of a partitioned table is its identity still', async () => {
    await using cluster = await maskableCluster(embedded)
    await shopWith(cluster, [
      'create table ledger (id bigint generated always as identity, at int) partition by range (at)',
      'create table ledger_1 partition of ledger for values from (0) to (10)',
      'create table ledger_2 partition of ledger for values from (10) to (20)',
      'insert into ledger (at) select i from generate_series(0, 19) i',
    ])
    await mask(cluster, { rules: [{ table: 'public.ledger', column: 'id', hash: true }] })
    const facts = await one(
      cluster,
      `select count(distinct id)::int as rows, max(id) > 1000 as moved,
        (select string_agg(attidentity, '') from pg_attribute where attname = 'id' and attrelid::regclass::text ~ 'ledger') as kinds from public.ledger`,
    )
    expect(facts).toEqual({ rows: 20, moved: true, kinds: 'aaa' })
    await expect(cluster.query('shop', 'update public.ledger set id = 1')).rejects.toMatchObject({ code: 'FAILED' })
  })

  test('keeps a foreign key of a single partition, and one to itself', async () => {
    await using cluster = await maskableCluster(embedded)
    await shopWith(cluster, [
      'create table area (id text primary key)',
      `insert into area values ('north'), ('south')`,
      'create table visit (at int, area text) partition by range (at)',
      'create table visit_1 partition of visit for values from (0) to (10)',
      'create table visit_2 partition of visit for values from (10) to (20)',
      'alter table visit_1 add foreign key (area) references area',
      `insert into visit values (1, 'north'), (11, 'nowhere')`,
      'create table boss (id int primary key, above int references boss deferrable initially deferred)',
      'insert into boss values (1, null), (2, 1), (3, 2)',
    ])
    await mask(cluster, {
      rules: [
        { table: 'public.area', column: 'id', hash: true },
        { table: 'public.boss', column: 'id', hash: true },
      ],
    })
    const facts = await one(
      cluster,
      `select (select count(*)::int from public.visit join public.area on id = area) as visits, (select count(*)::int from public.visit where area = 'nowhere') as left,
        (select count(*)::int from public.boss b join public.boss a on a.id = b.above) as bosses`,
    )
    expect(facts).toEqual({ visits: 1, left: 0, bosses: 2 })
  })

  test('is the same in another cluster and encoding, with the same secret, and HMAC-SHA256 of the value', async () => {
    const values: unknown[] = []
    for (const [type, encoding] of [
      ['text', 'UTF8'],
      ['varchar(80)', 'LATIN1'],
    ] as const) {
      await using cluster = await maskableCluster(embedded)
      await shopWith(
        cluster,
        [`create table t (a ${type}, b ${type}, c int)`, `insert into t values ('sämé@corp.test', 'sàme', 42)`],
        `encoding '${encoding}' locale 'C'`,
      )
      await mask(cluster, {
        rules: [
          { table: 'public.t', column: 'a', fake: 'email' },
          { table: 'public.t', column: 'b', hash: true },
          { table: 'public.t', column: 'c', hash: true },
        ],
      })
      values.push(await one(cluster, 'select * from public.t'))
    }
    expect(values[0]).toEqual(values[1])
    const { keys } = await masking({})
    const key = keys?.innerPad.map((byte) => byte ^ 0x36) ?? ''
    const hmac = createHmac('sha256', key).update('hash:sàme').digest('hex')
    expect(values[0]).toMatchObject({ b: hmac.slice(0, 32) })
  })
})
