import type { DrainView } from '../../src/console/views.ts'
import type { TestFederation } from '../tools/federation.ts'

const UNDER_WAY: ReadonlySet<DrainView['state']> = new Set(['preparing', 'draining', 'stalled'])

/** A drain of one instance, as whoever typed the command sees it. */
export class WatchedDrain {
  readonly name: string
  readonly #beganAt = performance.now()
  /** Null until the first line came. */
  view: DrainView | null = null
  /** Why nobody sees any more how it goes on; null while they do. */
  cutShort: string | null = null
  #endedAt: number | null = null

  private constructor(name: string) {
    this.name = name
  }

  /** Resolves once the first line came: from then on the drain is under way, until it has ended. */
  static async begin(federation: TestFederation, name: string): Promise<WatchedDrain> {
    const drain = new WatchedDrain(name)
    const lines = federation.apiOf(name).stream<DrainView>('/drain', {})
    const first = await lines.next()
    if (first.done === true) throw new Error(`${name} did not say how its drain goes`)
    drain.view = first.value
    void drain.#watch(lines)
    return drain
  }

  /** How long it took; so far, where it has not ended. */
  get tookMs(): number {
    return (this.#endedAt ?? performance.now()) - this.#beganAt
  }

  get isUnderWay(): boolean {
    return this.#endedAt === null && this.cutShort === null
  }

  /** Who takes over: the first of the plan. Null where it is the main repository, or where nothing is handed over. */
  get targetName(): string | null {
    const move = this.view?.plan.find(({ to }) => to !== null)
    return move?.toName ?? null
  }

  async #watch(lines: AsyncGenerator<DrainView>): Promise<void> {
    try {
      for await (const view of lines) {
        this.view = view
        if (!UNDER_WAY.has(view.state)) this.#endedAt ??= performance.now()
      }
    } catch (error) {
      this.cutShort = error instanceof Error ? error.message : String(error)
    }
  }
}
