import type { Benchmark } from '../benchmark.ts'
import { Federation } from '../federation.ts'
import { Scratch } from '../scratch.ts'
import { programPath } from '../system.ts'
import { Worker } from '../worker.ts'
import { CONNECTIONS } from './limits.ts'
import { startProxies } from './proxies.ts'
import { oneRound, type Round, type Stage, warmUp } from './rounds.ts'
import { sectionsOf } from './sections.ts'
import type { ToUpstream, UpstreamListening } from './upstream.ts'

const CLIENT = new URL('./client.ts', import.meta.url)
const UPSTREAM = new URL('./upstream.ts', import.meta.url)
const WARM_UP_MS = 2_000

export const frontDoorBenchmark: Benchmark = {
  name: 'front-door',
  about: 'requests by tunnel, directly and by redirect, WebSockets, a large file; beside nginx and HAProxy',
  async run(options) {
    await using scratch = await Scratch.create()
    await using client = Worker.start(scratch, CLIENT)
    await using upstream = Worker.start(scratch, UPSTREAM)
    const { port } = await upstream.ask<UpstreamListening>({ kind: 'listen' } satisfies ToUpstream)
    const wish = { users: CONNECTIONS, ingress: true, appPort: port }
    await using federation = await Federation.start(scratch, 'front-door', options, wish)
    const proxies = await startProxies(scratch, port)
    const stage: Stage = { options, client, federation, proxies, wrk: await programPath('wrk') }
    options.say('warming up')
    await warmUp(stage, WARM_UP_MS)
    const rounds: Round[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`round ${number} of ${options.rounds}`)
      rounds.push(await oneRound(stage, number))
    }
    return sectionsOf(rounds, options.sizeBytes)
  }
}
