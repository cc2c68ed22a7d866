// Writes the bill of materials of what runs in production: CycloneDX JSON, into the file that is named, or dblab.cdx.json.
import { writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { newerPnpm } from './newer-pnpm.mjs'

const file = resolve(process.env.INIT_CWD ?? '.', process.argv[2] ?? 'dblab.cdx.json')
const args = ['sbom', '--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--prod', '--lockfile-only']
const { status, stdout, stderr, error } = newerPnpm(args)
if (status !== 0) {
  process.stderr.write(`the bill of materials could not be made: ${error ?? ''}${stderr}\n`)
  process.exit(1)
}
const { components } = JSON.parse(stdout)
writeFileSync(file, stdout)
process.stdout.write(`${components.length} components in ${file}\n`)
