import { expect, test } from 'vitest'
import { createIdentity } from '../../../src/core/identity.ts'
import { toInstance } from '../../../src/wire/control.ts'
import { neighbourBytes, neighboursParts } from '../../../src/wire/neighbours.ts'

test.each([0, 1, 300])('%d neighbours that were encoded before are the same message', async (count) => {
  const { peerId: peer } = await createIdentity()
  const neighbours = Array.from({ length: count }, (_, index) => ({
    peer,
    zone: index % 2 === 0 ? 'hall' : null,
    addresses: [`/ip4/192.0.2.7/tcp/${index + 1}`]
  }))
  for (const told of [
    { whole: true, zone: 'attic' },
    { whole: false, zone: null }
  ]) {
    const parts = neighboursParts({ ...told, neighbours: neighbourBytes(neighbours) })
    expect(toInstance.decode(Buffer.concat(parts))).toEqual({ kind: 'neighbours', news: { ...told, neighbours } })
  }
})
