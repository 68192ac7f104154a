import type { WorkspaceId } from '../core/ids.ts'

/** What goes first: writes that a user waits for, then small changes, then bulk. */
export type Urgency = 'acknowledged' | 'small' | 'bulk'

const ORDER: readonly Urgency[] = ['acknowledged', 'small', 'bulk']
const REVERSED = ORDER.toReversed()
/** Every so many turns the least urgent goes first, so that nothing waits for ever. */
const TURNS_FOR_THE_LAST = 8

/** Lines of those who wait: by urgency, and within one the workspaces in turn. */
export class FairQueue<T> {
  readonly #lines: Readonly<Record<Urgency, Map<WorkspaceId, T[]>>> = {
    acknowledged: new Map(),
    small: new Map(),
    bulk: new Map()
  }
  #turns = 1

  get isEmpty(): boolean {
    return ORDER.every((urgency) => this.#lines[urgency].size === 0)
  }

  push(urgency: Urgency, workspace: WorkspaceId, item: T): void {
    const line = this.#lines[urgency]
    const items = line.get(workspace)
    if (items === undefined) line.set(workspace, [item])
    else items.push(item)
  }

  /** Takes the next one that may go; null where none may. Whose turn it is while it may not go is overtaken by the most urgent only. */
  next(mayGo: (item: T, urgency: Urgency) => boolean): T | null {
    const least = REVERSED.find((urgency) => this.#lines[urgency].size > 0)
    if (least === undefined) return null
    if (this.#turns % TURNS_FOR_THE_LAST !== 0) return this.#firstOf(ORDER, mayGo, 1)
    return this.#firstOf([least], mayGo, 1) ?? this.#firstOf(['acknowledged'], mayGo, 0)
  }

  #firstOf(order: readonly Urgency[], mayGo: (item: T, urgency: Urgency) => boolean, turns: number): T | null {
    for (const urgency of order) {
      const [first] = this.#lines[urgency]
      const [item] = first?.[1] ?? []
      if (first === undefined || item === undefined || !mayGo(item, urgency)) continue
      this.#turns += turns
      this.#take(urgency, ...first)
      return item
    }
    return null
  }

  remove(urgency: Urgency, workspace: WorkspaceId, item: T): void {
    const items = this.#lines[urgency].get(workspace) ?? []
    const at = items.indexOf(item)
    if (at >= 0) items.splice(at, 1)
    if (items.length === 0) this.#lines[urgency].delete(workspace)
  }

  /** The workspace goes to the end of its line. */
  #take(urgency: Urgency, workspace: WorkspaceId, items: T[]): void {
    const line = this.#lines[urgency]
    items.shift()
    line.delete(workspace)
    if (items.length > 0) line.set(workspace, items)
  }
}
