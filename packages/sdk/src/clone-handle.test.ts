import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { after, apiError, cloneBody, cloneGone, cloneReply, rejection, StubLab } from '../test/stub-lab.ts'
import { type CloneHandle, type Lab, openLab } from './index.ts'

let stub: StubLab
let lab: Lab
let clone: CloneHandle
beforeEach(async () => {
  stub = await StubLab.start()
  lab = openLab({ url: stub.url })
  stub.on('GET /clone/c1', cloneReply('OK'))
  clone = await lab.clones.get('c1')
  stub.received.length = 0
})
afterEach(async () => {
  await stub[Symbol.asyncDispose]()
  await lab.close()
})

const protectedError = apiError(409, 'CLONE_PROTECTED')
const deleting = { status: 202, body: cloneBody('DELETING') }

describe('a connection string', () => {
  it.each(['plain', 'p@ss:w/rd?#[]', 'a%41b', '100%', 'pä ss', '\'"`$\\'])(
    'has the password %s so that it is read back',
    (password) => {
      const url = new URL(clone.connectionString(password))
      expect(decodeURIComponent(url.password)).toBe(password)
      expect(`${url.protocol}//${url.username}@${url.host}${url.pathname}`).toBe(clone.connStr)
    },
  )

  it('keeps host, port, user and database of any kind', async () => {
    const connStr = 'postgresql://a%40b@[::1]:6001/my%2Fdb'
    stub.on('GET /clone/c1', cloneReply('OK', { db: { ...clone.db, connStr } }))
    await clone.refresh()
    expect(clone.connectionString('p')).toBe('postgresql://a%40b:p@[::1]:6001/my%2Fdb')
  })

  it('has the password of the creation, and none where none is known', async () => {
    stub.on('POST /clone', { status: 201, body: cloneBody('OK') })
    const created = await lab.clones.create({ db: { password: 'mine' } })
    expect(created.connectionString()).toBe('postgresql://clone:mine@127.0.0.1:6001/shop')
    expect(created.connectionString('other')).toContain(':other@')
    const { db } = (await lab.clones.create()).toJSON()
    expect(db.password).toBe('')
    expect(clone.connectionString()).toBe(clone.connStr)
  })
})

describe('a handle', () => {
  it('shows the clone as it was last seen', async () => {
    stub.on('GET /clone/c1', cloneReply('FATAL', { cloneSize: 7, fromTheFuture: 1 }))
    expect(await clone.refresh()).toBe(clone)
    expect([clone.status.code, clone.cloneSize]).toEqual(['FATAL', 7])
    expect(JSON.parse(JSON.stringify(clone))).toEqual(cloneBody('FATAL', { cloneSize: 7, fromTheFuture: 1 }))
    stub.on('GET /clone/c1', cloneGone)
    expect(await rejection(clone.refresh())).toMatchObject({ code: 'CLONE_NOT_FOUND' })
  })

  it('changes what it is told', async () => {
    stub.on('PATCH /clone/c1', cloneReply('OK', { protected: true }), cloneReply('OK'), cloneReply('OK', { name: 'n' }))
    await clone.protect()
    expect(clone.protected).toBe(true)
    await clone.unprotect()
    await clone.update({ name: 'n', deleteAt: null })
    expect(clone.name).toBe('n')
    expect(stub.received.map(({ body }) => body)).toEqual([
      { protected: true },
      { protected: false },
      { name: 'n', deleteAt: null },
    ])
  })

  it('resets, and is ready again', async () => {
    stub.on('POST /clone/c1/reset', { status: 202, body: cloneBody('RESETTING') })
    stub.on('GET /clone/c1', after(50, cloneReply('OK', { snapshot: 's2' })))
    await clone.reset({ snapshot: 's2' })
    expect([clone.status.code, clone.snapshot]).toEqual(['OK', 's2'])
    expect(stub.received.map(({ body }) => body)).toEqual([{ snapshot: 's2' }, undefined])
  })

  it('tells a reset that left the data from before from one that worked', async () => {
    const resetFailedAt = '2026-01-31T12:00:00.000Z'
    stub.on('POST /clone/c1/reset', { status: 202, body: cloneBody('RESETTING') })
    stub.on('GET /clone/c1', cloneReply('OK', { resetFailedAt }))
    expect(await rejection(clone.reset())).toMatchObject({
      name: 'CloneFailedError',
      message: expect.stringContaining('was not reset'),
    })
    expect([clone.status.code, clone.resetFailedAt]).toEqual(['OK', resetFailedAt])
    stub.on('GET /clone/c1', cloneReply('OK'))
    await clone.reset()
  })

  it('says when a reset failed, and keeps the clone', async () => {
    stub
      .on('POST /clone/c1/reset', { status: 202, body: cloneBody('RESETTING') })
      .on('GET /clone/c1', cloneReply('FATAL'))
    expect(await rejection(clone.reset())).toMatchObject({ name: 'CloneFailedError' })
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(0)
  })
})

describe('deleting by a handle', () => {
  it('resolves when the clone is gone', async () => {
    stub.on('DELETE /clone/c1', deleting).on('GET /clone/c1', after(50, cloneGone))
    await clone.delete()
    expect(stub.received.map(({ method }) => method)).toEqual(['DELETE', 'GET'])
  })

  it('is fine when it is gone already, also through a retry', async () => {
    stub.on('DELETE /clone/c1', 'cut', cloneGone)
    await clone.delete()
  })

  it('is done when the id is taken by a newer clone', async () => {
    stub
      .on('DELETE /clone/c1', deleting)
      .on('GET /clone/c1', cloneReply('OK', { createdAt: '2026-02-01T00:00:00.000Z' }))
    await clone.delete()
  })

  it('says when the deletion failed, and when it takes too long', async () => {
    stub.on('DELETE /clone/c1', deleting).on('GET /clone/c1', cloneReply('FATAL'))
    expect(await rejection(clone.delete())).toMatchObject({ name: 'CloneFailedError' })
    stub.on('GET /clone/c1', apiError(401, 'UNAUTHORIZED'))
    expect(await rejection(clone.delete())).toMatchObject({ code: 'UNAUTHORIZED' })
    stub.on('GET /clone/c1', 'silent')
    expect(await rejection(clone.delete({ timeoutMs: 50 }))).toMatchObject({ name: 'LabTimeoutError' })
  })

  it('does not take a proxy’s 404 for a clone that is gone', async () => {
    stub.on('DELETE /clone/c1', { status: 404, body: '<h1>Not Found</h1>' })
    expect(await rejection(clone.delete())).toMatchObject({ code: 'UNKNOWN', status: 404 })
  })
})

describe('the end of an await using block', () => {
  it('deletes the clone', async () => {
    stub.on('DELETE /clone/c1', deleting).on('GET /clone/c1', cloneReply('OK'), cloneGone)
    {
      await using used = await lab.clones.get('c1')
      expect(used.id).toBe('c1')
      expect(stub.requests('DELETE /clone/c1')).toHaveLength(0)
    }
    expect(stub.requests('DELETE /clone/c1')).toHaveLength(1)
  })

  it('is fine with a clone that is gone, and leaves a protected one', async () => {
    stub.on('DELETE /clone/c1', cloneGone, protectedError)
    await clone[Symbol.asyncDispose]()
    await clone[Symbol.asyncDispose]()
    expect(await rejection(clone.delete())).toMatchObject({ code: 'CLONE_PROTECTED' })
  })

  it('throws what else went wrong', async () => {
    stub.on('DELETE /clone/c1', apiError(500, 'INTERNAL_ERROR'))
    expect(await rejection(clone[Symbol.asyncDispose]())).toMatchObject({ code: 'INTERNAL_ERROR' })
  })
})
