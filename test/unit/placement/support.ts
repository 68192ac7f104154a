import type { PeerIdText, ServiceName, WorkspaceId } from '../../../src/core/ids.ts'
import { type Candidate, RESERVE_BYTES } from '../../../src/placement/candidate.ts'
import type { DrainableWorkspace, DrainPolicy } from '../../../src/placement/plan-drain.ts'

export const FILES = 'files' as ServiceName
export const peer = (name: string): PeerIdText => name as PeerIdText
export const workspace = (number: number): WorkspaceId => number.toString(16).padStart(32, '0') as WorkspaceId

/** An instance that has exactly `room` bytes left for users' data. */
export const instance = (name: string, room = 1e9, changes: Partial<Candidate> = {}): Candidate => ({
  peer: peer(name),
  name,
  services: [FILES],
  unfit: new Map(),
  zone: null,
  newcomers: true,
  capacityBytes: room,
  usedBytes: 0,
  freeBytes: room + RESERVE_BYTES,
  diskTotalBytes: 0,
  loadPermille: 0,
  ...changes
})

export const drainable = (
  number: number,
  bytes: number,
  changes: Partial<DrainableWorkspace> = {}
): DrainableWorkspace => ({
  workspace: workspace(number),
  service: FILES,
  bytes,
  unsyncedBytes: 0,
  standbys: [],
  busy: false,
  ...changes
})

export const policy = (changes: Partial<DrainPolicy> = {}): DrainPolicy => ({
  deadlineMs: 600_000,
  to: null,
  toRepository: false,
  othersAwaited: false,
  measured: new Map(),
  assumed: 1_000_000,
  uploadLimit: null,
  ...changes
})
