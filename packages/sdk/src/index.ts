export { type LabOptions, labFromEnvironment, openLab } from './node.ts'
export * from './public.ts'
export { type UndiciTransportOptions, undiciTransport } from './undici.ts'
