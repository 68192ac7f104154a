import { connect } from 'node:net'
import { ALICES_TOKEN, BOBS_WORKSPACE, HOSTILE } from '../../corpus/requests.ts'
import { type Benchmark, row } from '../benchmark.ts'
import { Federation } from '../federation.ts'
import type { ToClient } from '../front-door/client.ts'
import type { Answered } from '../load.ts'
import { Scratch } from '../scratch.ts'
import { Worker } from '../worker.ts'

const CLIENT = new URL('../front-door/client.ts', import.meta.url)
const USERS = 16
/** Of the honest users together: well below what the front door can do. */
const PER_SECOND = 400
const ATTACKERS = 8
/** Between two attacks of one attacker. They wait for no answer. */
const PAUSE_MS = 20
/** How long an attacker leaves each connection open. */
const OPEN_MS = 500
const WARM_UP_MS = 2_000

interface Round {
  readonly calm: Answered
  readonly attacked: Answered
  readonly attacks: number
}

/** Sends one hostile request after the other, until it is told to stop. Says how many. */
async function attack(url: string, token: string, signal: AbortSignal, first: number): Promise<number> {
  const { port, hostname } = new URL(url)
  let sent = 0
  for (let index = first; !signal.aborted; index += ATTACKERS) {
    const { bytes } = HOSTILE[index % HOSTILE.length] ?? { bytes: '' }
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined).resume()
    socket.write(bytes.replaceAll(ALICES_TOKEN, token).replaceAll(BOBS_WORKSPACE, 'b'.repeat(32)), 'latin1')
    setTimeout(() => socket.destroy(), OPEN_MS)
    sent++
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  return sent
}

export const hostileBenchmark: Benchmark = {
  name: 'hostile',
  about: 'honest requests while others send what nobody should send: how much longer they take',
  async run(options) {
    await using scratch = await Scratch.create()
    await using client = Worker.start(scratch, CLIENT)
    await using federation = await Federation.start(scratch, 'hostile', options, { users: USERS + 1 })
    const [token = ''] = federation.tokens
    const users = federation.users.slice(1)
    const load = (method: 'GET' | 'PUT', durationMs: number): Promise<Answered> => {
      const question: ToClient = {
        kind: 'requests',
        url: federation.url,
        method,
        path: '/small',
        users,
        status: null,
        durationMs,
        perSecond: PER_SECOND
      }
      return client.ask<Answered>(question)
    }
    await load('PUT', WARM_UP_MS)
    await load('GET', WARM_UP_MS)
    const rounds: Round[] = []
    for (let number = 1; number <= options.rounds; number++) {
      options.say(`round ${number} of ${options.rounds}`)
      const calm = await load('GET', options.loadMs)
      const stop = new AbortController()
      const attackers = Array.from({ length: ATTACKERS }, (_, first) =>
        attack(federation.url, token, stop.signal, first)
      )
      const attacked = await load('GET', options.loadMs)
      stop.abort()
      const attacks = (await Promise.all(attackers)).reduce((sum, sent) => sum + sent, 0)
      rounds.push({ calm, attacked, attacks })
    }
    const values = (of: (round: Round) => number): { readonly values: readonly number[] } => ({
      values: rounds.map(of)
    })
    return [
      {
        title: `${PER_SECOND} honest GETs a second of ${USERS} users, calm and under ${ATTACKERS} attackers`,
        rows: [
          row(
            'calm, p50',
            'ms',
            values(({ calm }) => calm.p50Ms)
          ),
          row(
            'calm, p99',
            'ms',
            values(({ calm }) => calm.p99Ms)
          ),
          row(
            'attacked, p50',
            'ms',
            values(({ attacked }) => attacked.p50Ms)
          ),
          row(
            'attacked, p99',
            'ms',
            values(({ attacked }) => attacked.p99Ms)
          ),
          row(
            'attacked p99 : calm p99',
            '×',
            values(({ calm, attacked }) => attacked.p99Ms / calm.p99Ms)
          ),
          row(
            'honest requests that failed',
            '',
            values(({ calm, attacked }) => calm.failed + attacked.failed)
          ),
          row(
            'attacks',
            '',
            values(({ attacks }) => attacks)
          )
        ]
      }
    ]
  }
}
