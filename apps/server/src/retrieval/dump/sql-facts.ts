import { type ScriptEnd, SqlScanner } from './sql-scanner.ts'
import { type Token, tokens } from './sql-tokens.ts'

/** What a script says about the world that it expects and makes. Names are as Postgres would store them. */
export interface SqlFacts {
  /** Roles that objects are given to. */
  owners: Set<string>
  /** Those of them that have to be superusers, for what only a superuser may own. */
  superusers: Set<string>
  /** Roles named in any other way: grants, policies, settings. */
  otherRoles: Set<string>
  /** Roles that the script makes itself. */
  createdRoles: Set<string>
  extensions: Set<string>
  /** Databases of CREATE DATABASE. */
  createdDatabases: Set<string>
  /** Databases of DROP DATABASE without IF EXISTS. */
  droppedDatabases: Set<string>
  /** Databases of `\connect`. */
  connections: Set<string>
  /** The whole CREATE DATABASE statement, the last of several. */
  createDatabase: string | undefined
  /** ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET, whole. */
  databaseSettings: string[]
  /** It makes the schema public, as `pg_dump --schema=public` does, and takes it not to be there. */
  createsPublic: boolean
  /** It drops something without IF EXISTS. */
  drops: boolean
  clientEncoding: string | undefined
  /** Parameters that the script sets for its session, in lower case: a server that lacks one fails on it. */
  parameters: Set<string>
  /** It begins with `\restrict`, which only a psql of August 2025 or later knows. */
  restricted: boolean
  /** The first words of its first statement, in capitals. */
  firstStatement: string | undefined
  statements: number
  copies: number
  comments: HeaderComments
}

/** What pg_dump and pg_dumpall write about themselves in comments. */
export interface HeaderComments {
  isDump: boolean
  isClusterDump: boolean
  /** "dump complete" was met: the file wasn't cut short. */
  complete: boolean
  serverVersion: string | undefined
  toolVersion: string | undefined
  startedOn: string | undefined
}

/** Gathers facts from a script that is pushed into it chunk by chunk. */
export class SqlFactFinder {
  readonly facts: SqlFacts = emptyFacts()
  /** How much of the script the facts hold on to: a name keeps the text alive that it was cut from. */
  keptBytes = 0
  readonly #scanner = new SqlScanner({
    statement: (text) => this.#note(text, noteStatement),
    metaCommand: (line) => this.#note(line, noteMetaCommand),
    comment: (text) => noteComment(this.facts.comments, text),
  })

  push(chunk: Buffer): void {
    this.#scanner.push(chunk)
  }

  end(): ScriptEnd {
    return this.#scanner.end()
  }

  #note(text: string, note: (facts: SqlFacts, text: string) => void): void {
    const before = factCount(this.facts)
    note(this.facts, text)
    if (factCount(this.facts) > before) this.keptBytes += text.length
  }
}

/** Of those that there may be any number of. */
function factCount(facts: SqlFacts): number {
  const roles = facts.owners.size + facts.otherRoles.size + facts.createdRoles.size
  const databases = facts.createdDatabases.size + facts.droppedDatabases.size + facts.connections.size
  return roles + databases + facts.extensions.size + facts.parameters.size + facts.databaseSettings.length
}

function emptyFacts(): SqlFacts {
  return {
    owners: new Set(),
    superusers: new Set(),
    otherRoles: new Set(),
    createdRoles: new Set(),
    extensions: new Set(),
    createdDatabases: new Set(),
    droppedDatabases: new Set(),
    connections: new Set(),
    createDatabase: undefined,
    databaseSettings: [],
    createsPublic: false,
    drops: false,
    clientEncoding: undefined,
    parameters: new Set(),
    restricted: false,
    firstStatement: undefined,
    statements: 0,
    copies: 0,
    comments: {
      isDump: false,
      isClusterDump: false,
      complete: false,
      serverVersion: undefined,
      toolVersion: undefined,
      startedOn: undefined,
    },
  }
}

function noteComment(comments: HeaderComments, text: string): void {
  if (text === 'PostgreSQL database dump') comments.isDump = true
  else if (text === 'PostgreSQL database cluster dump') comments.isClusterDump = true
  else if (text === 'PostgreSQL database dump complete') comments.complete = true
  comments.serverVersion ??= /^Dumped from database version (.+)$/.exec(text)?.[1]
  comments.toolVersion ??= /^Dumped by pg_dump version (.+)$/.exec(text)?.[1]
  comments.startedOn ??= /^Started on (.+)$/.exec(text)?.[1]
}

function noteMetaCommand(facts: SqlFacts, line: string): void {
  if (/^\\restrict\b/.test(line)) facts.restricted = true
  const target = /^\\c(?:onnect)?\s+(.+)$/.exec(line)?.[1]?.trim()
  if (target !== undefined) facts.connections.add(connectTarget(target))
}

/**
 * The database of `\connect shop`, `\connect "a b"` or `\connect -reuse-previous=on "dbname='a b'"`; pg_dump writes the last for a name that
 * holds other than letters, digits, `_` and `.`.
 */
export function connectTarget(argument: string): string {
  const text = argument.replace(/^-reuse-previous=\w+\s+/, '')
  const word = /^"((?:[^"]|"")*)"/.exec(text)?.[1]?.replaceAll('""', '"') ?? text.split(/\s/)[0] ?? ''
  const quoted = /^dbname='((?:[^'\\]|\\.)*)'/.exec(word)?.[1]?.replaceAll(/\\(.)/g, '$1')
  return quoted ?? /^dbname=(\S+)/.exec(word)?.[1] ?? word
}

type Note = (facts: SqlFacts, list: readonly Token[], text: string) => void

const notes: Readonly<Record<string, Note>> = {
  ALTER: noteAlter,
  CREATE: noteCreate,
  DROP: noteDrop,
  GRANT: (facts, list) => {
    addRoles(facts.otherRoles, list, list.findLastIndex(isWord('TO')) + 1)
    const granter = list.findLastIndex((token, index) => token.word === 'BY' && list[index - 1]?.word === 'GRANTED')
    addRoles(facts.otherRoles, list, granter + 1)
  },
  REVOKE: (facts, list) => addRoles(facts.otherRoles, list, list.findLastIndex(isWord('FROM')) + 1),
  SET: noteSet,
  COPY: (facts) => {
    facts.copies++
  },
}

function noteStatement(facts: SqlFacts, text: string): void {
  facts.statements++
  facts.firstStatement ??= text.slice(0, 40).toUpperCase()
  const note = notes[/^\w+/.exec(text)?.[0].toUpperCase() ?? '']
  if (note !== undefined) note(facts, tokens(text), text)
}

function noteSet(facts: SqlFacts, list: readonly Token[]): void {
  const [, first, second, third] = list
  if (first?.word === 'CLIENT_ENCODING') facts.clientEncoding ??= third?.text
  const authorization = first?.word === 'SESSION' && second?.word === 'AUTHORIZATION' ? third : undefined
  const role = first?.word === 'ROLE' ? second : authorization
  if (second?.text === '=' && first?.isName) facts.parameters.add(first.text)
  if (role !== undefined && role.word !== 'DEFAULT' && role.word !== 'NONE') facts.owners.add(role.text)
}

function noteAlter(facts: SqlFacts, list: readonly Token[], text: string): void {
  const kind = list[1]?.word
  const owner = list.findIndex((token, index) => token.word === 'OWNER' && list[index + 1]?.word === 'TO')
  if (owner !== -1) addRoles(facts.owners, list, owner + 2)
  // https://www.postgresql.org/docs/current/sql-altereventtrigger.html, and sql-alterforeigndatawrapper.html
  const isSuperusers = kind === 'EVENT' || (kind === 'FOREIGN' && list[2]?.word === 'DATA')
  if (owner !== -1 && isSuperusers) addRoles(facts.superusers, list, owner + 2)
  if (list.some((token, index) => token.word === 'DROP' && list[index + 1]?.word === 'CONSTRAINT')) facts.drops = true
  if (kind === 'DATABASE' && list.some(isWord('SET'))) facts.databaseSettings.push(text)
  if (kind === 'DEFAULT' && list[2]?.word === 'PRIVILEGES') noteDefaultPrivileges(facts, list)
  if ((kind === 'ROLE' || kind === 'USER') && list[3]?.word === 'IN' && list[4]?.word === 'DATABASE') {
    addRoles(facts.otherRoles, list, 2)
    facts.databaseSettings.push(text)
  }
}

function noteDefaultPrivileges(facts: SqlFacts, list: readonly Token[]): void {
  const role = list.findIndex(
    (token, index) => token.word === 'FOR' && /^(ROLE|USER)$/.test(list[index + 1]?.word ?? ''),
  )
  if (role !== -1) addRoles(facts.otherRoles, list, role + 2)
  addRoles(facts.otherRoles, list, list.findLastIndex((token) => token.word === 'TO' || token.word === 'FROM') + 1)
}

function noteCreate(facts: SqlFacts, list: readonly Token[], text: string): void {
  const kind = list[1]?.word
  const named = list[nameIndex(list)]
  if (kind === 'EXTENSION' && named) facts.extensions.add(named.text)
  if ((kind === 'ROLE' || kind === 'USER' || kind === 'GROUP') && named && named.word !== 'MAPPING') {
    facts.createdRoles.add(named.text)
  }
  if (kind === 'DATABASE' && named) {
    facts.createdDatabases.add(named.text)
    facts.createDatabase = text
    const owner = list.findIndex(isWord('OWNER'))
    if (owner !== -1) addRoles(facts.owners, list, list[owner + 1]?.text === '=' ? owner + 2 : owner + 1)
  }
  if (kind === 'SCHEMA' && list[2]?.text === 'public') facts.createsPublic = true
  if (kind === 'SCHEMA') addRolesAfter(facts.owners, list, 'AUTHORIZATION')
  if (kind === 'POLICY') addRolesAfter(facts.otherRoles, list, 'TO')
  if (kind === 'USER' && named?.word === 'MAPPING') addRolesAfter(facts.otherRoles, list, 'FOR')
}

function noteDrop(facts: SqlFacts, list: readonly Token[]): void {
  const named = list[2]
  if (named?.word !== 'IF') facts.drops = true
  if (list[1]?.word === 'DATABASE' && named && named.word !== 'IF') facts.droppedDatabases.add(named.text)
}

/** Where the name stands in `CREATE <kind> [IF NOT EXISTS] <name>`. */
function nameIndex(list: readonly Token[]): number {
  return list[2]?.word === 'IF' ? 5 : 2
}

function addRolesAfter(roles: Set<string>, list: readonly Token[], word: string): void {
  const index = list.findIndex(isWord(word))
  if (index !== -1) addRoles(roles, list, index + 1)
}

/** Adds `role [, role]…` from `index` on. Words such as PUBLIC and CURRENT_USER name no role of their own. */
function addRoles(roles: Set<string>, list: readonly Token[], index: number): void {
  if (index <= 0) return
  const at = list[index]?.word === 'GROUP' && list[index + 1]?.isName ? index + 1 : index
  const role = list[at]
  if (!role?.isName) return
  if (!/^(PUBLIC|CURRENT_ROLE|CURRENT_USER|SESSION_USER)$/.test(role.word ?? '')) roles.add(role.text)
  if (list[at + 1]?.text === ',') addRoles(roles, list, at + 2)
}

function isWord(word: string): (token: Token) => boolean {
  return (token) => token.word === word
}
