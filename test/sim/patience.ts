import type { World } from './world.ts'

const FOREVER_MS = 24 * 3_600_000

/** Waits for work that a process was asked for: where that process has ended meanwhile, it never comes. */
export async function unlessItEnds(world: World, of: { readonly runs: number }, work: Promise<unknown>): Promise<void> {
  const { runs } = of
  const state = { isOver: false }
  const ended = work.finally(() => {
    state.isOver = true
  })
  ended.catch(() => undefined)
  await world.until(() => state.isOver || of.runs !== runs, FOREVER_MS)
  if (state.isOver) await ended
}
