import type {
  Admin,
  AdminAccounts,
  CoordinatorService,
  InstanceService,
  Session,
  Topic
} from '../../../src/console/service.ts'
import type {
  CensusView,
  CollectedView,
  DrainView,
  HeadView,
  InstanceStatusView,
  PeerView,
  RebalanceView,
  RestoredView,
  SnapshotView,
  StatusView,
  VerifiedView,
  WorkspaceView
} from '../../../src/console/views.ts'
import { NodeDaemonError } from '../../../src/core/errors.ts'

export const STARTED_AT = '2026-01-02T03:04:05.000Z'

export const STATUS: StatusView = {
  role: 'coordinator',
  state: 'running',
  name: 'Example federation',
  peerId: '12D3KooWCoordinator',
  addresses: ['/ip4/192.0.2.1/tcp/9470'],
  http: 'http://127.0.0.1:9480',
  admin: 'http://127.0.0.1:9481',
  version: '0.1.0',
  startedAt: STARTED_AT,
  instances: { serving: 1, pending: 1, total: 2 },
  workspaces: { total: 1, waiting: 0 },
  users: 1,
  unsyncedBytes: 1500,
  unsyncedAgeMs: 2500,
  safeToSwitchOff: false,
  reason: '1.5 kB stand on alpha only',
  held: null,
  repository: {
    blocks: 10,
    storedBytes: 4096,
    logicalBytes: 8192,
    heads: 3,
    workspaces: 1,
    packs: 1,
    dedupRatio: 2,
    damaged: 1,
    lastGcAt: null,
    lastVerifyAt: STARTED_AT
  },
  dataFolder: '/var/lib/node-daemon'
}

export const peer = (change: Partial<PeerView> = {}): PeerView => ({
  peerId: '12D3KooWAlpha',
  code: 'tiger-lamp-river-stone-92',
  name: 'alpha',
  role: 'instance',
  state: 'serving',
  contact: 'a@example.org',
  site: 'Freiburg',
  message: '',
  labels: {},
  services: ['files'],
  unfit: {},
  newcomers: null,
  version: '0.1.0',
  lastSeenAt: STARTED_AT,
  workspaces: 1,
  standbyFor: 0,
  capacityBytes: 50e9,
  disk: { totalBytes: 100e9, freeBytes: 60e9, fullAt: null },
  unsyncedBytes: 0,
  unsyncedAgeMs: 0,
  pendingWork: 0,
  route: null,
  ...change
})

const service = {
  name: 'notes',
  route: '/notes',
  scope: 'user' as const,
  acknowledge: 'local' as const,
  version: '1',
  needs: {},
  writers: null,
  warnings: [],
  workspaces: 0,
  instances: 1
}

const groupOfOne = {
  name: 'lab',
  createdAt: STARTED_AT,
  members: [{ user: 'ada', rights: 'write' as const }],
  workspaces: 0
}

export const drained: DrainView = {
  state: 'drained',
  workspaces: { done: 1, total: 1 },
  bytes: { done: 10, total: 10 },
  etaMs: 0,
  reason: null,
  plan: [],
  waiting: [],
  exits: true,
  plannedAt: null,
  unproven: [],
  certificate: { format: 'node-daemon-exit-certificate/1' }
}

export const workspace: WorkspaceView = {
  id: '7f3a0000000000000000000000000001',
  service: 'files',
  user: 'user:ada',
  home: '12D3KooWAlpha',
  homeName: 'alpha',
  epoch: 1,
  standbys: [],
  state: 'serving',
  head: { sequence: 4, root: 'bafyroot', createdAt: STARTED_AT },
  receipts: 1,
  unsyncedBytes: 0,
  unsyncedAgeMs: 0,
  usedBytes: 1000,
  files: 3,
  expiresAt: null
}

export const head: HeadView = {
  head: 'bafyhead',
  root: 'bafyroot',
  sequence: 4,
  epoch: 1,
  createdAt: STARTED_AT,
  writer: '12D3KooWAlpha',
  writerName: 'alpha',
  files: 3,
  bytes: 1000,
  unsettledCount: 0,
  unsettled: [],
  diverged: false
}

export const snapshot: SnapshotView = {
  workspace: workspace.id,
  head,
  path: '',
  kind: 'folder',
  cid: 'bafyroot',
  totalBytes: 1200
}

export const VERIFIED: VerifiedView = { state: 'done', blocks: 10, bytes: 4096, damaged: 0, repaired: 0, left: [] }
export const COLLECTED: CollectedView = {
  state: 'done',
  headsDropped: 2,
  blocksDropped: 3,
  freedBytes: 1000,
  packsRewritten: 1
}
export const RESTORED: RestoredView = {
  state: 'done',
  workspace: workspace.id,
  from: head,
  before: { ...head, sequence: 5 },
  after: { ...head, sequence: 6 },
  pauseMs: 20
}

export const REBALANCE: RebalanceView = { state: 'moving', moved: 1, failed: 0, reason: null, plan: [] }

const ada = { name: 'ada', blocked: false, createdAt: STARTED_AT, workspaces: 1, quotaBytes: 10e9, source: 'token' }

/** A service that knows one peer, `alpha`, and writes down each call that changes something. */
export class FakeCoordinator implements CoordinatorService {
  readonly calls: unknown[][] = []
  readonly listeners = new Set<(topic: Topic) => void>()
  isReady = true

  ready = () => this.isReady
  status = () => STATUS
  census = (): CensusView => ({
    instances: { serving: 1, pending: 1 },
    workspaces: { serving: 1 },
    unsyncedInstances: [{ name: 'alpha', bytes: 1500, ageMs: 2500 }],
    unsyncedWorkspaces: [{ name: workspace.id, bytes: 1500, ageMs: 2500 }]
  })
  watch(listener: (topic: Topic) => void) {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }
  peers = () => [peer()]
  peer(target: string) {
    this.#known(target)
    return { ...peer(), workspaceIds: [], drain: null, address: null, reason: null, askedAt: null, decidedAt: null }
  }
  approve = (...args: unknown[]) => this.#decide('approve', args)
  deny = (...args: unknown[]) => this.#decide('deny', args)
  revoke = (...args: unknown[]) => this.#decide('revoke', args)
  label = (...args: unknown[]) => this.#decide('label', args)
  resume = (...args: unknown[]) => this.#decide('resume', args)
  drain(...args: unknown[]) {
    this.#decide('drain', args)
    return drained
  }
  cancelDrain(...args: unknown[]) {
    this.#decide('cancelDrain', args)
    return { ...drained, state: 'cancelled' as const }
  }
  drainOf(target: string) {
    this.#known(target)
    return drained
  }
  createInvite = (...args: unknown[]) =>
    this.#note('createInvite', args, { id: 'i1', link: 'http://x/#invite=s', expiresAt: STARTED_AT, uses: 1 })
  invites = () => []
  removeInvite = (...args: unknown[]) => this.#note('removeInvite', args, undefined)
  catalogue = {
    list: () => [service],
    add: (...args: unknown[]) => this.#note('catalogue.add', args, service),
    change: (...args: unknown[]) => this.#note('catalogue.change', args, service),
    remove: (...args: unknown[]) => this.#note('catalogue.remove', args, undefined)
  }
  groups = {
    list: () => [groupOfOne],
    add: (...args: unknown[]) => this.#note('groups.add', args, groupOfOne),
    remove: (...args: unknown[]) => this.#note('groups.remove', args, undefined),
    grant: (...args: unknown[]) => this.#note('groups.grant', args, groupOfOne),
    revoke: (...args: unknown[]) => this.#note('groups.revoke', args, groupOfOne)
  }
  workspaces = (...args: unknown[]) => this.#note('workspaces', args, [workspace])
  workspace = () => ({ ...workspace, standbyNames: [], diverged: [], receipts: [], historyCount: 4, receipt: null })
  move = (...args: unknown[]) =>
    this.#note('move', args, { id: workspace.id, from: 'a', to: 'b', epoch: 2, pauseMs: 20 })
  removeWorkspace = (...args: unknown[]) => this.#note('removeWorkspace', args, undefined)
  users = () => [ada]
  addUser = (...args: unknown[]) => this.#note('addUser', args, { name: 'ada', token: 'ndu_x' })
  renewUserToken = (...args: unknown[]) => this.#note('renewUserToken', args, { name: 'ada', token: 'ndu_y' })
  removeUser = (...args: unknown[]) => this.#note('removeUser', args, undefined)
  setQuota = (...args: unknown[]) => this.#note('setQuota', args, { ...ada, quotaBytes: 50e9 })
  blockUser = (...args: unknown[]) => this.#note('blockUser', args, { ...ada, blocked: true })
  admins = () => [{ name: 'root', role: 'admin' as const, createdAt: STARTED_AT }]
  addAdmin = (...args: unknown[]) =>
    this.#note('addAdmin', args, { name: 'bob', role: 'viewer' as const, token: 'nda_x' })
  removeAdmin = (...args: unknown[]) => this.#note('removeAdmin', args, undefined)
  createConsoleLink = (...args: unknown[]) =>
    this.#note('createConsoleLink', args, { link: 'http://x/#link=s', expiresAt: STARTED_AT })
  repository = () => STATUS.repository
  upkeep = {
    verify: (...args: unknown[]) => this.#lines('verify', args.slice(0, 2), VERIFIED),
    gc: (...args: unknown[]) => this.#lines('gc', args, COLLECTED),
    reindex: (...args: unknown[]) => this.#lines('reindex', args, { state: 'done' as const, tookMs: 5 }),
    export: (...args: unknown[]) => this.#bytes('repository', args)
  }
  past = {
    history: (...args: unknown[]) => this.#note('history', args, [head]),
    snapshot: (...args: unknown[]) => this.#note('snapshot', args, snapshot),
    export: (...args: unknown[]) => this.#bytes('export', args),
    restore: (...args: unknown[]) => this.#lines('restore', args, RESTORED)
  }
  handovers = {
    confirmFailover: (...args: unknown[]) => this.#note('confirmFailover', args, { causes: ['mass-loss'] }),
    rebalance: (...args: unknown[]) => this.#note('rebalance', args, REBALANCE),
    rebalancing: () => REBALANCE,
    stopRebalance: (...args: unknown[]) => this.#note('stopRebalance', args, REBALANCE)
  }
  /** What an export gives; an error ends it. */
  exported: (Uint8Array | Error)[] = [Buffer.from('the first part, '), Buffer.from('the second')]
  audit = (...args: unknown[]) => this.#note('audit', args, [])
  verifyAudit = () => ({ ok: true, entries: 0, brokenAt: null })
  stop = (...args: unknown[]) => this.#note('stop', args, undefined)

  #known(target: unknown): void {
    if (target === 'broken') throw new Error('a secret path /var/lib/x')
    if (target !== 'alpha') throw new NodeDaemonError('NOT_FOUND', `no peer ${target}`, { advice: 'see peers ls' })
  }

  async *#lines<T>(name: string, args: unknown[], outcome: T): AsyncGenerator<T> {
    yield this.#note(name, args, outcome)
  }

  async *#bytes(name: string, args: unknown[]): AsyncGenerator<Uint8Array> {
    this.#note(name, args, null)
    for (const part of this.exported) {
      if (part instanceof Error) throw part
      yield part
    }
  }

  #decide(name: string, args: unknown[]): PeerView {
    this.#known(args[1])
    return this.#note(name, args, peer())
  }

  #note<T>(name: string, args: unknown[], result: T): T {
    this.calls.push([name, ...args])
    return result
  }
}

const ADMINS: readonly Admin[] = [
  { name: 'root', role: 'admin' },
  { name: 'olga', role: 'operator' },
  { name: 'vic', role: 'viewer' },
  { name: 'prom', role: 'metrics' }
]

/** One admin of each role; the token is `token-` and the role. The link `one-use` works once. */
export class FakeAccounts implements AdminAccounts {
  readonly sessions = new Map<string, Session>()
  attemptsLeft = 1000
  #links = new Set(['one-use'])

  byToken = async (token: string) => ADMINS.find(({ role }) => token === `token-${role}`) ?? null
  redeemLink = async (secret: string) =>
    this.#links.delete(secret) ? this.createSession({ name: 'root', role: 'admin' }) : null
  createSession(admin: Admin): Session {
    const session = { ...admin, id: `id-${this.sessions.size}`, csrf: `csrf-${this.sessions.size}` }
    this.sessions.set(session.id, session)
    return session
  }
  session = (id: string) => this.sessions.get(id) ?? null
  endSession = (id: string) => void this.sessions.delete(id)
  attempt() {
    this.attemptsLeft -= 1
    return this.attemptsLeft >= 0
  }
}

export const INSTANCE_STATUS: InstanceStatusView = {
  role: 'instance',
  state: 'serving',
  name: 'alpha',
  peerId: '12D3KooWAlpha',
  code: 'tiger-lamp-river-stone-92',
  coordinator: { peerId: '12D3KooWCoordinator', federation: 'Example federation', connected: true, by: 'tcp' },
  users: 1,
  workspaces: { home: 1, standby: 0 },
  usedBytes: 1000,
  unsyncedBytes: 0,
  unsyncedAgeMs: 0,
  safeToSwitchOff: true,
  reason: null,
  version: '0.1.0',
  startedAt: STARTED_AT,
  drain: null,
  limits: { uploadLimit: null, uploadHours: [], downloadLimit: null, downloadHours: [], capacity: null },
  clockSkewMs: 0
}

export class FakeInstance implements InstanceService {
  readonly calls: unknown[][] = []
  /** What a drain tells; it throws what is an error. */
  drainSteps: readonly (DrainView | Error)[] = [{ ...drained, state: 'draining' }, drained]
  drainEnded = Promise.withResolvers<void>()

  status = () => INSTANCE_STATUS
  async *drain(...args: unknown[]) {
    this.calls.push(['drain', args[0]])
    try {
      for (const step of this.drainSteps) {
        if (step instanceof Error) throw step
        yield step
      }
    } finally {
      this.drainEnded.resolve()
    }
  }
  cancelDrain = () => ({ ...drained, state: 'cancelled' as const })
  stop = () => ({ state: 'stopped' as const })
  async *leave() {
    yield { ...drained, state: 'left' as const, removedFiles: 3, certificate: '/data/certificates/x.json' }
  }
  settings = () => INSTANCE_STATUS.limits
  changeSettings(...args: unknown[]) {
    this.calls.push(['changeSettings', ...args])
    return INSTANCE_STATUS.limits
  }
}
