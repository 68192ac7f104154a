/** A mistake in the production's code that the simulation must find. */
export interface Bug {
  readonly name: string
  /** Below `src/`. */
  readonly file: string
  /** Stands there exactly once. */
  readonly find: string
  readonly put: string
}

/** Mistakes that systems of this kind have made. Each is switched on alone. */
export const BUGS: readonly Bug[] = [
  {
    name: 'promoted at the head that the new home happens to hold',
    file: 'handover/resident-workspace.ts',
    find: '    const base = await this.#tip()\n',
    put: '    const base = this.#record.head ?? (await this.#tip())\n'
  },
  {
    name: 'acknowledged before it is published',
    file: 'handover/resident.ts',
    find: "    if (this.#deps.acknowledge() === 'local') {",
    put: "    void workspace.published(paths).catch(() => undefined)\n    if (this.#deps.acknowledge() !== 'local') return\n    if (this.#deps.acknowledge() === 'local') {"
  },
  {
    name: 'a request that changes things is sent twice',
    file: 'routing/replay.ts',
    find: "  return method === 'PUT' && body !== 'unread' && !hasPrecondition(raw)",
    put: "  return body !== 'unread'"
  }
]

export function bugNamed(name: string): Bug {
  const found = BUGS.find((bug) => bug.name === name)
  if (found === undefined) throw new Error(`no bug is called "${name}"`)
  return found
}
