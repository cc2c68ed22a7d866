export { run } from '../src/exec.ts'
export { type LaunchedServer, launchServer } from '../src/postgres/process/launcher.ts'
export { startSmallProcess } from '../src/small-process/small-process.ts'
