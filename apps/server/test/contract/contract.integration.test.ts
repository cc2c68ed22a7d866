import { afterAll, beforeAll, describe } from 'vitest'
import { TestLab } from '../support/lab.ts'
import { Api } from './api.ts'
import { createContract } from './create.ts'
import { deleteContract } from './delete.ts'
import { httpContract } from './http.ts'
import { idempotencyContract } from './idempotency.ts'
import { instanceContract } from './instance.ts'
import { resetContract } from './reset.ts'
import { secretsContract } from './secrets.ts'
import { snapshotContract } from './snapshots.ts'
import { updateContract } from './update.ts'

describe('the API of a running lab', () => {
  let lab: TestLab
  let api: Api

  beforeAll(async () => {
    lab = await TestLab.make({ driver: 'copy', config: { access: { failedAttemptsPerMinute: 1000 } } })
    await lab.start()
    api = await Api.of(lab)
  })

  afterAll(async () => {
    await lab[Symbol.asyncDispose]()
  })

  const running = () => api
  // The first, since it tells of a lab that has made no clone yet.
  instanceContract(running)
  createContract(running)
  idempotencyContract(running)
  updateContract(running)
  resetContract(running)
  snapshotContract(running)
  deleteContract(running)
  httpContract(running)
  secretsContract(running)
})
