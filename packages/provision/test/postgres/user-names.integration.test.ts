import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { scramVerifier, setUpUser } from '../../src/postgres/index.ts'
import { asUser, labQuery, labScript, openClone, PASSWORD, preparedTemplate, type Template } from './cluster.ts'
import { fillAsImport } from './production.ts'

let template: Template
beforeAll(async () => {
  template = await preparedTemplate({}, fillAsImport)
})
afterAll(() => template[Symbol.asyncDispose]())

const open = (username?: string) => openClone(template, username)

describe("a clone's user", () => {
  test('may be a role that the data has, even an expired one without connections', async () => {
    await using clone = await open('boss')
    const facts = await asUser(clone.instance, { user: 'boss' }, (query) =>
      query('select rolsuper from pg_roles where rolname = session_user'),
    )
    expect(facts).toEqual([{ rolsuper: false }])
  })

  test('is refused when it is a superuser of the data, unless superusers are allowed', async () => {
    await using clone = await open()
    await labScript(clone.instance, 'set default_transaction_read_only = off; create role admin superuser')
    const spec = { database: 'postgres', username: 'admin', verifier: await scramVerifier(PASSWORD) }
    const refused = setUpUser(clone.instance, { ...spec, allowSuperuser: false })
    await expect(refused).rejects.toMatchObject({ code: 'INVALID', hint: expect.any(String) })
    await setUpUser(clone.instance, { ...spec, allowSuperuser: true })
    expect(await labQuery(clone.instance, `select rolsuper from pg_roles where rolname = 'admin'`)).toEqual([
      { rolsuper: true },
    ])
  })

  test('can not have a name of the lab, of Postgres, or none', async () => {
    await using clone = await open()
    for (const username of [
      'dblab',
      'dblab_owner',
      'dblab_extensions',
      'dblab_import',
      'pg_monitor',
      'pg_x',
      'public',
      'none',
      '',
      'a\0b',
      'a\nb',
      'ä'.repeat(32),
    ]) {
      const spec = { database: 'postgres', username, verifier: await scramVerifier(PASSWORD), allowSuperuser: false }
      await expect(setUpUser(clone.instance, spec), username).rejects.toMatchObject({ code: 'INVALID' })
    }
    const plain = { database: 'postgres', username: 'x', verifier: 'a password by mistake', allowSuperuser: true }
    await expect(setUpUser(clone.instance, plain)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.not.stringContaining('mistake'),
    })
  })
})
