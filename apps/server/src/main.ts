import { armFaults, isProvisionError, parseFaultPlan } from '@dblab/provision'
import { LabApiError, LabConnectionError } from '@dblab/sdk'
import { Command, Option } from 'commander'
import { explainFailure, firstCause } from './cloning/explain.ts'
import { StillRunningError, stop } from './commands/stop.ts'
import { tokenCommand } from './commands/token.ts'
import { ConfigError, loadConfig } from './config/load.ts'
import type { Config } from './config/schema.ts'
import { isOutOfSpace, LabError } from './errors.ts'
import { errorTable } from './http/errors.ts'
import { IdentityError } from './lab/identity.ts'
import { LabLockedError } from './lab/lock.ts'
import { readServerFile } from './lab/server-file.ts'
import { createLog } from './log.ts'
import { version } from './version.ts'

// Postgres' account must be able to pass the lab's directories, whatever the caller's own mask; what is secret says so where it is made.
process.umask(0o022)

// On a full disk, or without a reader, lines of the log are lost, with nowhere left to say so; the lab goes on, and tries the next one.
process.stderr.on('error', () => undefined)

if (process.env.DBLAB_FAULTS) {
  armFaults(parseFaultPlan(process.env.DBLAB_FAULTS))
  process.stderr.write('DBLAB_FAULTS is set: this process suffers faults on purpose\n')
}

// A command loads what it needs alone: the server's own modules take longer than it takes to stop a lab.
const program = new Command('dblab')
  .description('Database Lab: thin, writable, full-size PostgreSQL clones over a REST API')
  .version(version)
  .showHelpAfterError()

program
  .command('start', { isDefault: true })
  .description('serve the lab; the first time, make it, with a sample database')
  .usage('[options]   (as: npm start -- [options])')
  .option(
    '--import <path>',
    'bring in a dump as the newest data: plain SQL, or a custom file, tar file or directory of pg_dump; a file may be compressed with gzip or zstd',
  )
  .addOption(
    new Option(
      '--source <url>',
      'bring in the data of a live server, as postgresql://USER@HOST:PORT/DATABASE; its password is taken from PGPASSWORD',
    ).conflicts('import'),
  )
  .action(async (options: { import?: string; source?: string }) => {
    const loaded = loadConfig(process.env, process.cwd())
    const log = createLog(loaded.config)
    if (loaded.file) log.info('read the configuration', { file: loaded.file })
    const { start } = await import('./commands/start.ts')
    await start(loaded, options, log)
  })

program
  .command('stop')
  .description('stop the server and all clones; the next start brings them back')
  .action(async () => {
    await stop(lenientConfig())
  })

program
  .command('destroy')
  .description('remove the lab and all that it made')
  .option('--yes', 'do not ask')
  .action(async (options: { yes?: boolean }) => {
    const { destroy } = await import('./commands/destroy.ts')
    await destroy(lenientConfig(), options)
  })

program.addCommand(
  tokenCommand(() => {
    const loaded = loadConfig(process.env, process.cwd())
    return { loaded, log: createLog(loaded.config) }
  }),
)
program
  .command('rebuild')
  .description(
    "make a lost catalogue anew, of what the storage's labels and the clones' own data say; no server may run",
  )
  .option('--yes', 'do not ask')
  .option('--force', 'even though the catalogue is sound, or a newer server wrote it')
  .action(async (options: { yes?: boolean; force?: boolean }) => {
    const { rebuild } = await import('./commands/rebuild.ts')
    // Its ports and its Postgres are what the clones come back with: a mistake there must not pass.
    await rebuild(loadConfig(process.env, process.cwd()).config, options)
  })

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`${await explain(error)}\n`)
  process.exitCode = 1
}

/** A mistake in what a command does not need must not keep it from stopping the lab. */
function lenientConfig(): Config {
  const { config, ignored } = loadConfig(process.env, process.cwd(), { lenient: true })
  if (ignored !== undefined)
    process.stderr.write(`The configuration can't be used for a start, and is ignored:\n${ignored}\n`)
  return config
}

/** What went wrong, for the person at the terminal; a defect shows its stack. */
async function explain(raised: unknown): Promise<string> {
  const error = firstCause(raised)
  if (error instanceof LabLockedError) {
    const { config } = loadConfig(process.env, process.cwd(), { lenient: true })
    const server = await readServerFile(config.dataDir)
    if (!server) return error.message
    if (process.argv.includes('--import')) {
      return 'Nothing was imported: the lab is running already. Press Ctrl-C there (the clones go on), then run this again.'
    }
    const where = server.url ?? 'it is still starting'
    return `The lab is running already: ${where} (process ${server.pid}). Ctrl-C there stops it; "npm run stop" stops the clones too.`
  }
  if (error instanceof LabApiError || error instanceof LabConnectionError) return error.message
  if (error instanceof LabError) return [error.message, errorTable[error.code].hint].join('\n')
  if (error instanceof ConfigError || error instanceof IdentityError || error instanceof StillRunningError)
    return error.message
  if (isOutOfSpace(error)) return explainFailure(error)
  if (isProvisionError(error, 'ABORTED')) return 'Stopped before the lab was ready; the next start begins again.'
  if (isProvisionError(error)) return [error.message, error.hint].filter(Boolean).join('\n')
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
