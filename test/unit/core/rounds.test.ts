import { expect, test } from 'vitest'
import { Rounds } from '../../../src/core/rounds.ts'

/** Rounds that end when the test says so. */
function held() {
  const begun: PromiseWithResolvers<void>[] = []
  const rounds = new Rounds(() => {
    const round = Promise.withResolvers<void>()
    begun.push(round)
    return round.promise
  })
  return { begun, rounds }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('who asks while a round runs is served by the next one, together with all others who ask meanwhile', async () => {
  const { begun, rounds } = held()
  const served: string[] = []
  const ask = (name: string): Promise<number> => rounds.run().then(() => served.push(name))
  const first = [ask('a'), ask('b')]
  await turn()
  const second = [ask('c'), ask('d')]
  await turn()
  expect([begun.length, served]).toEqual([1, []])
  begun[0]?.resolve()
  await Promise.all(first)
  await turn()
  expect([begun.length, served]).toEqual([2, ['a', 'b']])
  begun[1]?.resolve()
  await Promise.all(second)
  expect(served).toEqual(['a', 'b', 'c', 'd'])
})

test('a round that fails is told to those whom it served, and to nobody else', async () => {
  const { begun, rounds } = held()
  const first = rounds.run().catch((error: Error) => error.message)
  await turn()
  const second = rounds.run().then(() => 'done')
  begun[0]?.reject(new Error('no'))
  expect(await first).toBe('no')
  await turn()
  begun[1]?.resolve()
  expect(await second).toBe('done')
})
