import { NodeDaemonError } from '../core/errors.ts'
import type { PeerIdText } from '../core/ids.ts'

/**
 * Where a workspace stands, as the coordinator sees it. Requests pass while it is serving or moving, and are held
 * otherwise.
 *
 *   serving ─▶ moving ─▶ frozen ─▶ restoring ─▶ serving
 *      │          │         │          ▲ │
 *      │          └─▶ serving ◀┘       │ ▼
 *      └──────────────────────▶ restoring ⇄ orphaned
 */
export type WorkspaceState =
  | { readonly state: 'serving' }
  /** The target is brought up to date; the home still serves. */
  | { readonly state: 'moving'; readonly to: PeerIdText }
  /** Requests are held until the home has published its last snapshot. */
  | { readonly state: 'frozen'; readonly to: PeerIdText | null }
  /** Sealed or about to be: the next home applies the base. */
  | { readonly state: 'restoring' }
  /** Nobody can serve it now. Its data is in the main repository. */
  | { readonly state: 'orphaned'; readonly reason: string }

type State<Name extends WorkspaceState['state']> = Extract<WorkspaceState, { readonly state: Name }>

const SERVING: State<'serving'> = { state: 'serving' }
const RESTORING: State<'restoring'> = { state: 'restoring' }

function expect<Name extends WorkspaceState['state']>(
  from: WorkspaceState,
  names: readonly Name[],
  to: WorkspaceState['state']
): State<Name> {
  const name = names.find((candidate) => candidate === from.state)
  if (name !== undefined) return from as State<Name>
  throw new NodeDaemonError('ILLEGAL_TRANSITION', `a workspace that is ${from.state} cannot become ${to}`)
}

/** serving → moving: a target is brought up to date. */
export function beginMove(from: WorkspaceState, to: PeerIdText): State<'moving'> {
  expect(from, ['serving'], 'moving')
  return { state: 'moving', to }
}

/** serving, moving → frozen: new requests are held from now on. */
export function freeze(from: WorkspaceState): State<'frozen'> {
  const before = expect(from, ['serving', 'moving'], 'frozen')
  return { state: 'frozen', to: before.state === 'moving' ? before.to : null }
}

/** moving, frozen → serving: the move was given up before the swap. */
export function thaw(from: WorkspaceState): State<'serving'> {
  expect(from, ['moving', 'frozen'], 'serving')
  return SERVING
}

/** Any but orphaned by design → restoring: the epoch is being sealed, another home takes over. */
export function promote(from: WorkspaceState): State<'restoring'> {
  expect(from, ['serving', 'moving', 'frozen', 'restoring', 'orphaned'], 'restoring')
  return RESTORING
}

/** restoring → serving: the home has applied the base. */
export function assumed(from: WorkspaceState): State<'serving'> {
  expect(from, ['restoring', 'serving'], 'serving')
  return SERVING
}

/** frozen, restoring → orphaned: nobody is there to take it. */
export function orphan(from: WorkspaceState, reason: string): State<'orphaned'> {
  expect(from, ['frozen', 'restoring', 'orphaned'], 'orphaned')
  return { state: 'orphaned', reason }
}

/** Do requests pass now? */
export const passes = (state: WorkspaceState): boolean => state.state === 'serving' || state.state === 'moving'
