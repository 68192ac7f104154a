import type { Bug } from './bug.ts'

/** Mistakes about who may speak, and at the front door. */
export const MEMBERSHIP_BUGS: readonly Bug[] = [
  {
    name: 'a request that changes things is sent twice',
    edits: [
      {
        file: 'routing/replay.ts',
        find: "  return method === 'PUT' && body !== 'unread' && !hasPrecondition(raw)",
        put: "  return body !== 'unread'"
      }
    ],
    caughtBy: 'network/13'
  },
  {
    name: 'a revoked peer keeps its connections',
    edits: [
      {
        file: 'daemon/caretaker.ts',
        find: '    clock.after(CUT_AFTER_MS, () => network().cut(peer, reason))\n',
        put: '    clock.after(CUT_AFTER_MS, () => network())\n'
      }
    ],
    caughtBy: 'rogue/5'
  },
  {
    name: 'a revoked peer keeps its workspaces',
    edits: [
      {
        file: 'daemon/presence.ts',
        find: "    detector.lost(peer, { heardAt, intent: 'leave', leaseGrantedAt: leaseGrantedAt ?? heardAt })\n",
        put: '    detector.connected(peer)\n'
      },
      {
        file: 'daemon/presence.ts',
        find: '    detector.lost(peer, { heardAt, intent, leaseGrantedAt })\n',
        put: "    if (registry.standing(peer) === 'member') detector.lost(peer, { heardAt, intent, leaseGrantedAt })\n"
      }
    ],
    caughtBy: 'rogue/1'
  },
  {
    name: 'one protocol without the membership check',
    edits: [{ file: 'wire/heads.ts', find: "  open: 'members'\n", put: "  open: 'anyone'\n" }],
    caughtBy: 'rogue/2'
  },
  {
    name: 'blocks for whoever knows their names',
    edits: [
      {
        file: 'sync/blocks-server.ts',
        find: '  if (deps.access(channel.peer, workspace) === null) throw noAccess(workspace)\n',
        put: ''
      },
      { file: 'sync/blocks-server.ts', find: '      if (!access.read) throw noAccess(workspace)\n', put: '' },
      { file: 'sync/blocks-server.ts', find: '  if (access === null) throw noAccess(workspace)\n', put: '' }
    ],
    caughtBy: 'rogue/13'
  }
]
