import { expect, test } from 'vitest'
import { NodeDaemonError } from '../../../src/core/errors.ts'
import { fuzz, once } from '../../fuzz/fuzz.ts'
import { HTTP_TARGETS } from '../../fuzz/http-targets.ts'
import { INGRESS_TARGETS } from '../../fuzz/ingress-targets.ts'
import type { FuzzTarget } from '../../fuzz/target.ts'
import { TEXT_TARGETS } from '../../fuzz/text-targets.ts'
import { WIRE_TARGETS } from '../../fuzz/wire-targets.ts'

const options = { seed: 1, forMs: 5_000, maxFindings: 1 }
const target = (take: FuzzTarget['take']): FuzzTarget => ({
  name: 'planted',
  samples: [Buffer.from('{"a":{"b":1}}')],
  take
})

test('a mistake that shows with a few inputs is found, and found again from its seed and round', async () => {
  const planted = target((input) => {
    if (input.length > 0) (JSON.parse(Buffer.from(input).toString()) as { a: { b: number } }).a.b += 1
  })
  const [finding] = (await fuzz([planted], options)).findings
  expect(finding?.problem).toMatch(/Error/)
  const again = await once(planted, 1, finding?.round ?? -1)
  expect(again?.input).toEqual(finding?.input)
  expect(again?.problem.split('\n')[0]).toBe(finding?.problem.split('\n')[0])
})

test('what is refused is no mistake, unless the refusal says that nobody expected it', async () => {
  const refusing = (code: 'BAD_REQUEST' | 'UNEXPECTED') =>
    fuzz([target(() => Promise.reject(new NodeDaemonError(code, 'no')))], { ...options, forMs: 50 })
  expect((await refusing('BAD_REQUEST')).findings).toEqual([])
  expect((await refusing('UNEXPECTED')).findings).toHaveLength(1)
})

test('memory that is kept is told', async () => {
  const kept: Buffer[] = []
  const report = await fuzz([target(() => void kept.push(Buffer.alloc(64 * 1024, 1)))], { ...options, forMs: 200 })
  expect(report.grownBytes).toBeGreaterThan((kept.length - 10) * 60 * 1024)
})

test('of every target at least one sample is valid, so that changed ones get deep into it', async () => {
  for (const { name, samples, take } of [...WIRE_TARGETS, ...HTTP_TARGETS, ...INGRESS_TARGETS, ...TEXT_TARGETS]) {
    const taken = await Promise.allSettled(samples.map(async (sample) => take(sample)))
    expect(
      taken.map(({ status }) => status),
      name
    ).toContain('fulfilled')
  }
})
