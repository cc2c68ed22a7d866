import { randomUUID } from 'node:crypto'
import { PrismaPg } from '@prisma/adapter-pg'

// The engine that comes with Prisma as WebAssembly, over its adapter for node-postgres, with what the adapter lacks for it.

/** Types of Postgres' catalogues that the adapter does not know: "char", name and name[]. */
const CHAR = 18
const AS_TEXT = { 18: 25, 19: 25, 1003: 1009 }
/** ColumnTypeEnum of @prisma/driver-adapter-utils. */
const CHARACTER = 6

function complete(adapter) {
  const characters = new WeakMap()
  const performIO = adapter.performIO.bind(adapter)
  adapter.performIO = async (query) => {
    const result = await performIO(query)
    // Several statements at once have several results, and none that is read.
    if (!result.fields) return result
    const columns = result.fields.flatMap(({ dataTypeID }, at) => (dataTypeID === CHAR ? [at] : []))
    characters.set(result.rows, columns)
    for (const field of result.fields) field.dataTypeID = AS_TEXT[field.dataTypeID] ?? field.dataTypeID
    return result
  }
  const queryRaw = adapter.queryRaw.bind(adapter)
  adapter.queryRaw = async (query) => {
    const answer = await queryRaw(query)
    for (const at of characters.get(answer.rows) ?? []) answer.columnTypes[at] = CHARACTER
    return answer
  }
  return adapter
}

const { hostname, port, username, password, pathname } = new URL(process.env.DATABASE_URL)
const login = { host: hostname, port: Number(port), user: username, password: decodeURIComponent(password) }
// Pools that the engine leaves open keep no command from ending.
const config = { ...login, allowExitOnIdle: true }
const connect = async (database) => complete(await new PrismaPg({ ...config, database }).connect())

/** The adapter's own drops the database while its pool still has a connection there. */
async function connectToShadow() {
  const main = await connect(pathname.slice(1))
  const name = `prisma_migrate_shadow_db_${randomUUID()}`
  await main.executeScript(`CREATE DATABASE "${name}"`)
  const shadow = await connect(name)
  const dispose = shadow.dispose.bind(shadow)
  shadow.dispose = async () => {
    await dispose()
    await main.executeScript(`DROP DATABASE "${name}"`)
    await main.dispose()
  }
  return shadow
}

export default {
  experimental: { adapter: true },
  engine: 'js',
  schema: './schema.prisma',
  migrations: { path: './migrations' },
  adapter: async () =>
    Object.assign(new PrismaPg(config), {
      connect: () => connect(pathname.slice(1)),
      connectToShadowDb: connectToShadow,
    }),
}
