import { CheckExits } from './check-exits.ts'
import { CheckFrozen } from './check-frozen.ts'
import { CheckWriters } from './check-writers.ts'
import { FILES } from './door.ts'
import type { Federation } from './federation.ts'
import type { Plan } from './plan.ts'
import type { SimulatedUser } from './users.ts'

/** What was promised, and is not so. The promise by its number. */
export interface Violation {
  readonly promise: string
  readonly what: string
}

export type Note = (promise: string, what: string) => void

/** From one look to the next. */
const DIALS_MAX = 25
const HANDED_IN_MS = 60_000
const LOOK_AGAIN_MS = 2000
/** Of a text: enough to tell it from all others. */
const TEXT_COMPARED = 60
const SHOWN = 200

/** Looks at a federation while it works, and notes what must not be. */
export class Checks {
  readonly violations: Violation[] = []
  readonly #federation: Federation
  readonly #isEnough: boolean
  readonly #writers: CheckWriters
  readonly #exits: CheckExits

  /** @param isEnough one violation is all that is asked for */
  constructor(federation: Federation, { settings }: Plan, isEnough: boolean) {
    this.#federation = federation
    this.#isEnough = isEnough
    const note: Note = (promise, what) => this.add(promise, what)
    this.#writers = new CheckWriters(federation, note, settings.acknowledge === 'local')
    this.#exits = new CheckExits(federation, note)
    new CheckFrozen(federation, note)
  }

  add(promise: string, what: string): void {
    this.violations.push({ promise, what })
    this.#federation.world.note('check', `${promise} ${what}`)
    if (this.#isEnough) this.#federation.world.end()
  }

  /** What must hold at any moment. */
  async look(): Promise<void> {
    this.#writers.look()
    await this.#exits.look()
    this.#receiptsAreOfTheirSigners()
    this.#nobodyRushes()
  }

  /** I14: who is cut off does not try again and again without a pause. */
  #nobodyRushes(): void {
    for (const [{ name }, count] of this.#federation.network.dials) {
      if (count > DIALS_MAX) this.add('I14', `${name} tried to reach others ${count} times within a moment`)
    }
    this.#federation.network.dials.clear()
  }

  /** I7 */
  #receiptsAreOfTheirSigners(): void {
    const { core } = this.#federation.coordinator
    for (const { signed } of core?.table.all() ?? []) {
      const { workspace } = signed.value
      for (const { signer, value } of core?.holdings.of(workspace) ?? []) {
        if (signer !== value.recipient) this.add('I7', `a receipt that ${signer} signed counts for ${value.recipient}`)
      }
    }
  }

  /** I1: what a home acknowledged alone is kept, though another one took over. It may take a while until it is handed in. */
  async isKept(user: SimulatedUser): Promise<void> {
    const { world } = this.#federation
    const until = world.now + HANDED_IN_MS
    for (;;) {
      const missing = await this.#notKept(user)
      if (missing.length === 0) return
      if (world.now >= until) return this.add('I1', `${user.id}: "${missing.join('", "')}" is in no diverged head`)
      await world.sleep(LOOK_AGAIN_MS)
    }
  }

  async #notKept(user: SimulatedUser): Promise<string[]> {
    const { core } = this.#federation.coordinator
    const workspace = core?.table.find(FILES, user.id) ?? null
    if (core === null || workspace === null || user.setAside.length === 0) return []
    const found: Buffer[] = []
    for (const head of await core.repository.diverged(workspace)) {
      for await (const { bytes } of core.repository.closure(head)) found.push(Buffer.from(bytes))
    }
    const isFound = (text: string): boolean => found.some((bytes) => bytes.includes(text.slice(0, TEXT_COMPARED)))
    return user.setAside.filter((texts) => !texts.some(isFound)).map((texts) => texts.join('" or "').slice(0, SHOWN))
  }

  /** I4: what can be seen is there as a whole. */
  async everyHeadIsWhole(): Promise<void> {
    const { core } = this.#federation.coordinator
    if (core === null) return
    for await (const workspace of core.repository.workspaces()) {
      const found = await core.repository.tip(workspace)
      if (found === null) continue
      try {
        for await (const _block of core.repository.closure(found.head));
      } catch (error) {
        this.add('I4', `the tip of ${workspace} is not whole: ${String(error)}`)
      }
    }
  }
}
