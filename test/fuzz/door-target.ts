import { once } from 'node:events'
import type { UserId, WorkspaceId } from '../../src/core/ids.ts'
import { ALICES_TOKEN, BOBS_WORKSPACE, HOSTILE } from '../corpus/requests.ts'
import { Federation, TOKEN, until, untilStill } from '../unit/routing/federation.ts'
import type { FuzzTarget } from './target.ts'

const BOB = 'user:bob' as UserId
const BOBS = 'b'.repeat(32) as WorkspaceId
/** Every so many inputs an honest request must be answered. */
const HONEST_EVERY = 20

/** A front door with two instances behind it, to which bytes are sent as a client of one of them. */
export class DoorTarget implements FuzzTarget, AsyncDisposable {
  readonly name = 'the front door'
  readonly samples = HOSTILE.filter(({ bytes }) => bytes.length > 0 && bytes.length < 4_096).map(({ bytes }) =>
    Buffer.from(bytes.replaceAll(ALICES_TOKEN, TOKEN).replaceAll(BOBS_WORKSPACE, BOBS), 'latin1')
  )
  readonly #fed: Federation
  #taken = 0

  private constructor(fed: Federation) {
    this.#fed = fed
    fed.table.put(BOB, fed.beta.serving(BOBS))
  }

  static async start(): Promise<DoorTarget> {
    return new DoorTarget(await Federation.start())
  }

  async take(input: Uint8Array): Promise<void> {
    const fed = this.#fed
    const socket = fed.raw()
    let received = 0
    socket.on('data', (chunk) => {
      received += chunk.length
    })
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.end(input)
    await untilStill(() => received + fed.alpha.seen.length + fed.door.load.underWay)
    socket.destroy()
    await until(() => fed.door.load.underWay === 0)
    this.#check()
    if (++this.#taken % HONEST_EVERY === 0) await this.#askHonestly()
  }

  #check(): void {
    const { alpha, beta } = this.#fed
    if (beta.seen.length > 0) throw new Error('a request reached the instance of somebody else')
    for (const { target } of alpha.seen.splice(0)) {
      const own = target.workspace === null || target.user === 'user:alice'
      if (!own || target.workspace === BOBS) throw new Error(`a request for ${target.workspace} of ${target.user}`)
    }
  }

  async #askHonestly(): Promise<void> {
    const answer = await this.#fed.ask('GET', '/honest')
    if (answer.text !== 'alpha:GET:') throw new Error(`an honest request got ${answer.status} ${answer.text}`)
    this.#fed.alpha.seen.length = 0
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#fed[Symbol.asyncDispose]()
  }
}
