import { expect, test } from 'vitest'
import { appSecret } from '../../../src/core/app-secret.ts'
import { createIdentity, identityFromBytes, identityToBytes } from '../../../src/core/identity.ts'
import type { WorkspaceId } from '../../../src/core/ids.ts'

const [ONE, TWO] = ['1', '2'].map((digit) => digit.repeat(32) as WorkspaceId) as [WorkspaceId, WorkspaceId]

test('the secret of a workspace follows from the key, the same for ever, and from no other key or workspace', async () => {
  const identity = await createIdentity()
  const secret = appSecret(identity, ONE)
  expect(secret.length).toBe(32)
  expect(appSecret(identityFromBytes(identityToBytes(identity)), ONE)).toEqual(secret)
  expect(appSecret(identity, TWO)).not.toEqual(secret)
  expect(appSecret(await createIdentity(), ONE)).not.toEqual(secret)
})
