export { pagilaFile, pagilaMissing } from '@dblab/provision/testbed'
