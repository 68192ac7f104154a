import type { MoveView, WorkspaceDetailView, WorkspaceView } from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { receiptFile } from '../../handover/certificate.ts'
import { API_SETTINGS, command, group, onlyNow } from '../command.ts'
import { adminApi, type Context } from '../context.ts'
import { ago, bytes, clean, count, duration, unsynced } from '../format.ts'
import { saveFile } from '../save-file.ts'
import { maybe } from '../settings.ts'
import { facts } from '../table.ts'
import { line } from '../values.ts'
import { exportOne, history, restore } from './workspaces-past.ts'
import { rm } from './workspaces-rm.ts'

const EXITS = { 4: true, 5: true } as const
const SHOWN_ID = 12

const ls = command({
  name: 'ls',
  about: 'list the workspaces: whose, where, how safe',
  settings: API_SETTINGS,
  examples: ['node-daemon workspaces ls'],
  exits: EXITS,
  async run(context, values) {
    const now = context.clock.wall()
    const workspaces = await adminApi(context, values).get<WorkspaceView[]>('/workspaces')
    context.print.machine(workspaces)
    context.print.table(
      [
        { title: 'WORKSPACE', of: (one) => one.id.slice(0, SHOWN_ID), fixed: true },
        { title: 'SERVICE', of: (one) => one.service },
        { title: 'USER', of: (one) => one.user },
        { title: 'HOME', of: (one) => one.homeName },
        { title: 'STATE', of: (one) => one.state, fixed: true },
        { title: 'STANDBYS', of: (one) => one.standbys.length, right: true },
        { title: 'FILES', of: (one) => one.files, right: true },
        { title: 'SIZE', of: (one) => bytes(one.usedBytes), right: true },
        { title: 'SAVED', of: (one) => ago(one.head?.createdAt, now) },
        { title: 'UNSYNCED', of: (one) => unsynced(one.unsyncedBytes, one.unsyncedAgeMs) },
        { title: 'EXPIRES IN', of: (one) => expiresIn(one, now), right: true }
      ],
      workspaces,
      'No workspaces yet: one comes into being when a user first saves something.'
    )
    return 0
  }
})

/** Of a guest's workspace that nobody uses; empty for others. */
function expiresIn({ expiresAt }: Pick<WorkspaceView, 'expiresAt'>, now: number): string {
  return expiresAt === null ? '' : duration(Math.max(0, Date.parse(expiresAt) - now))
}

async function writeReceipt(context: Context, { id, receipt }: WorkspaceDetailView, file: string): Promise<void> {
  if (receipt === null) {
    throw new NodeDaemonError('INCOMPLETE', `the repository can give no receipt for workspace ${id} now`, {
      advice: 'nothing was saved in it yet, or a block is damaged: see "node-daemon repo verify"'
    })
  }
  await saveFile(context, file, () => [receiptFile(Buffer.from(receipt, 'base64'))])
  context.print.say(
    `The receipt is in ${clean(file)}; anyone can check it: node-daemon receipts verify ${clean(file)}\n`
  )
}

const show = command({
  name: 'show',
  takes: ['<workspace>'],
  about: 'one workspace: home, standbys, receipts, diverged heads',
  settings: {
    ...API_SETTINGS,
    receipt: onlyNow(maybe('<file>', "write the repository's receipt for the newest head", line(4096)))
  },
  examples: ['node-daemon workspaces show 7f3a', 'node-daemon workspaces show 7f3a --receipt ada.receipt.json'],
  exits: { 3: 'no such workspace, or several begin like this', 6: 'there is no receipt now', ...EXITS },
  async run(context, values, [id = '']) {
    const { print } = context
    const view = await adminApi(context, values).get<WorkspaceDetailView>(`/workspaces/${encodeURIComponent(id)}`)
    if (values.receipt !== null) await writeReceipt(context, view, values.receipt)
    print.machine(view)
    const head = view.head
    print.say(
      facts([
        ['Workspace', view.id],
        ['Service', view.service],
        ['User', view.user],
        ['State', view.state],
        ['Home', view.homeName],
        ['Epoch', view.epoch],
        ['Standbys', view.standbyNames.join(', ')],
        ['Size', `${bytes(view.usedBytes)} in ${count(view.files, 'file', 'files')}`],
        ['Newest head', head === null ? null : `${head.sequence}, ${ago(head.createdAt, context.clock.wall())}`],
        ['Root', head?.root],
        ['History', count(view.historyCount, 'snapshot', 'snapshots')],
        ['Unsynced', unsynced(view.unsyncedBytes, view.unsyncedAgeMs)],
        ['Expires in', expiresIn(view, context.clock.wall()) || null]
      ]).trimEnd()
    )
    for (const receipt of view.receipts) {
      print.say(
        `${clean(receipt.name)} (${clean(receipt.role)}) holds head ${receipt.sequence}, signed at ${clean(receipt.issuedAt)}`
      )
    }
    for (const head of view.diverged) {
      print.say(print.styled('yellow', `diverged head ${clean(head.head)} of ${clean(head.createdAt)}, kept`))
    }
    return 0
  }
})

const move = command({
  name: 'move',
  takes: ['<workspace>'],
  about: 'move a workspace to another instance while it is in use',
  settings: { ...API_SETTINGS, to: onlyNow(maybe('<peer>', 'the instance that takes it', line(128))) },
  examples: ['node-daemon workspaces move 7f3a --to beta'],
  exits: { 3: 'no such workspace or peer', ...EXITS },
  async run(context, values, [id = '']) {
    if (values.to === null) {
      throw new NodeDaemonError('BAD_USAGE', 'it is not said where the workspace goes', {
        advice: 'add --to PEER; see who is there with: node-daemon peers ls'
      })
    }
    const path = `/workspaces/${encodeURIComponent(id)}/move`
    const moved = await adminApi(context, values).send<MoveView>('POST', path, { to: values.to }, { patient: true })
    context.print.machine(moved)
    context.print.say(
      `${clean(moved.id.slice(0, SHOWN_ID))} is at ${clean(values.to)} now; its requests waited ${duration(moved.pauseMs)}.`
    )
    return 0
  }
})

export const workspacesCommand = group('workspaces', "users' workspaces: list, look, move, go back in time, remove", [
  ls,
  show,
  history,
  move,
  restore,
  exportOne,
  rm
])
