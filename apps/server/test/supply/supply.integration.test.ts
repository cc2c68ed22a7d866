import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { REPOSITORY } from '@dblab/provision/testbed'
import { describe, expect, test } from 'vitest'

const execute = promisify(execFile)

interface Bom {
  bomFormat: string
  components: { purl: string }[]
}

function script(name: string, ...args: string[]) {
  return execute(process.execPath, [join(REPOSITORY, 'scripts', name), ...args], { cwd: REPOSITORY })
}

describe('what the lab is made of', { timeout: 120_000 }, () => {
  test('has no install scripts but those that are named', async () => {
    expect((await script('check-install-scripts.mjs')).stdout).toMatch(/^\d{3,} packages\n$/)
  })

  test.each([
    ['a hook', { scripts: { postinstall: 'node evil.js' } }, undefined],
    ['a native build', {}, 'binding.gyp'],
  ])('has a check that names a package which brings %s', async (_what, fields, file) => {
    const store = await mkdtemp(join(tmpdir(), 'dblab-store-'))
    const directory = join(store, 'left-pad@1.0.0/node_modules/left-pad')
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'package.json'), JSON.stringify({ name: 'left-pad', ...fields }))
    if (file) await writeFile(join(directory, file), '{}')
    await expect(script('check-install-scripts.mjs', store)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('left-pad has an install script'),
    })
    await rm(store, { recursive: true })
  })

  test.skipIf(!process.env.DBLAB_INSTALL_TESTS)(
    'is in the bill of materials, and nothing that only builds or tests it (needs DBLAB_INSTALL_TESTS: it asks npm)',
    async () => {
      const directory = await mkdtemp(join(tmpdir(), 'dblab-sbom-'))
      const file = join(directory, 'bom.json')
      await script('sbom.mjs', file)
      const bom = JSON.parse(await readFile(file, 'utf8')) as Bom
      expect(bom.bomFormat).toBe('CycloneDX')
      const manifest = JSON.parse(await readFile(join(REPOSITORY, 'apps/server/package.json'), 'utf8')) as {
        dependencies: Record<string, string>
      }
      const purls = bom.components.map(({ purl }) => purl)
      for (const name of ['express', 'pg', '@tsoa/runtime']) {
        const version = manifest.dependencies[name]
        expect(purls).toContain(`pkg:npm/${name.replace('@', '%40')}@${version}`)
      }
      expect(purls.filter((purl) => /\/(?:vitest|tsoa|typescript|turbo)@/.test(purl))).toEqual([])
      await rm(directory, { recursive: true })
    },
  )
})
