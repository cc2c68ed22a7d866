import { randomBytes } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { hasProgram, isRoot } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'
import { urlOf } from '../support/clones.ts'
import { TestLab } from '../support/lab.ts'
import { query } from '../support/sql.ts'
import { scanFiles } from './files.ts'
import { Secrets } from './forms.ts'
import { Life } from './life.ts'
import { ExecTrace, ProcessWatch } from './processes.ts'

const driver = isRoot ? 'btrfs' : 'copy'
const missing = hasProgram('strace') ? '' : ' (skipped: no strace, which sees every program that is started)'
const config = { storage: { imageSize: '3GB' } }

describe.skipIf(missing !== '')(`secrets${missing}`, { timeout: 600_000 }, () => {
  test('are in no file, log, answer, argument or environment, but for the one file of the first token', async () => {
    const secrets = new Secrets()
    await using trace = await ExecTrace.make()
    await using lab = await TestLab.make({ driver, config, env: { DBLAB_TOKEN: '' } })
    await using watch = new ProcessWatch(secrets)
    lab.through = trace.argv
    let token = ''
    const life = new Life(lab, secrets, () => token)

    await lab.start()
    token = secrets.add('the token', (await lab.readDataFile('token')).trim())
    // Shown once, to whoever made the lab.
    expect(lab.printed).toContain(token)
    const password = secrets.add('a password', `pässw0rd "7d1e" 'x\\y' 100%+/=?&`)
    await life.everyOperation(password)
    await life.mistakes(password)
    await life.ended(() => lab.interrupt(), { printedToken: true })
    await life.imports()
    await lab.start(['--import', await life.dump('good', 'CREATE TABLE good (a int);\nINSERT INTO good VALUES (1);\n')])
    const second = secrets.add('another password', 'second-passw0rd-31bd')
    const clone = await life.create('of-the-new', second, 'bob')
    await life.ended(() => lab.run(['stop']))
    await lab.start()
    const read = () => query(urlOf(clone, second), 'SELECT a FROM good').catch(String)
    await expect.poll(read, { timeout: 60_000 }).toEqual([{ a: 1 }])
    await life.mistakes(second)

    const data = join(lab.directory, '.dblab')
    // What is in the image is read through its mount here, and byte by byte once it has stopped.
    const running = await scanFiles(data, secrets, ['pool.img'])
    await life.ended(() => lab.kill())
    await lab.start()
    await life.ended(() => lab.run(['stop']))
    const stopped = await scanFiles(data, secrets)
    console.log(`secrets: ${report(running)} while it ran, ${report(stopped)} when it had stopped`)
    const only = [`${join(data, 'token')}: the token (plain)`]
    expect(running.found).toEqual(only)
    // What a failed import brought in lies on in free blocks until they are discarded: data, where all data is.
    const ofImport = `${join(data, 'pool.img')}: a row of a dump (plain)`
    expect(stopped.found.filter((what) => what !== ofImport)).toEqual(only)
    expect((await stat(join(data, 'token'))).mode & 0o777).toBe(0o600)

    expect(life.logs.join('')).toContain(' debug ')
    expect(secrets.in(life.logs.join('\n'))).toEqual([])
    expect(life.answers.length).toBeGreaterThan(50)
    expect(life.answers.filter((answer) => secrets.in(answer).length > 0)).toEqual([])
    const started = await trace.started()
    expect(started.map(({ program }) => program.split('/').at(-1))).toEqual(
      expect.arrayContaining(['node', 'postgres', 'initdb', 'psql']),
    )
    expect(started.flatMap(({ program, bytes }) => secrets.in(bytes).map((what) => `${program}: ${what}`))).toEqual([])
    console.log(
      `secrets: ${started.length} programs started, ${watch.seen.size} processes seen, ${watch.rounds} rounds`,
    )
    expect([...watch.found]).toEqual([])
    expect(watch.rounds).toBeGreaterThan(50)
  })

  test('of the environment stay with the server: no program that it starts gets its token', async () => {
    const secrets = new Secrets()
    // Of this test alone: other labs of the machine have another.
    const token = secrets.add('the token', `token-${randomBytes(12).toString('hex')}`)
    await using trace = await ExecTrace.make()
    await using lab = await TestLab.make({ driver, config, env: { DBLAB_TOKEN: token } })
    await using watch = new ProcessWatch(secrets)
    lab.through = trace.argv
    await lab.start()
    await new Life(lab, secrets, () => token).create('one', 'a password of the tests')
    await lab.interrupt()
    expect((await lab.run(['start', '--import', join(lab.directory, 'absent.sql')])).code).toBe(1)
    await lab.start()
    await lab.run(['stop'])
    const started = await trace.started()
    expect(started.length).toBeGreaterThan(10)
    const holders = started.filter(({ bytes }) => secrets.in(bytes).length > 0).map(({ program }) => program)
    // The two starts, the import that failed, and the stop: as they were told.
    expect(holders).toEqual(Array(4).fill(process.execPath))
    // The tracer was started with the server's environment, too.
    const seen = [...watch.found].filter((line) => !line.includes('/strace: '))
    expect(seen).toEqual([`environ of ${process.execPath}: the token (plain)`])
    expect((await scanFiles(join(lab.directory, '.dblab'), secrets)).found).toEqual([])
  })
})

function report({ files, bytes }: { files: number; bytes: number }): string {
  return `${files} files with ${Math.round(bytes / 1e6)} MB`
}
