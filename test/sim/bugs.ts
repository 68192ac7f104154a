import type { Bug } from './bug.ts'
import { HANDOVER_BUGS } from './bugs-handover.ts'
import { INSTANCE_BUGS } from './bugs-instance.ts'
import { MEMBERSHIP_BUGS } from './bugs-membership.ts'
import { REPOSITORY_BUGS } from './bugs-repository.ts'

/** Mistakes that systems of this kind have made. Each is planted alone. */
export const BUGS: readonly Bug[] = [...HANDOVER_BUGS, ...INSTANCE_BUGS, ...REPOSITORY_BUGS, ...MEMBERSHIP_BUGS]

export function bugNamed(name: string): Bug {
  const found = BUGS.find((bug) => bug.name === name)
  if (found === undefined) throw new Error(`no bug is called "${name}"`)
  return found
}
