import type { HeadView, RestoredView, RestoreView, SnapshotView } from '../../console/views.ts'
import { hasCode, messageOf, NodeDaemonError } from '../../core/errors.ts'
import { API_SETTINGS, command, onlyNow, YES } from '../command.ts'
import { adminApi, type Context, sure } from '../context.ts'
import { followWork } from '../follow-work.ts'
import { ago, bytes, clean, count, duration } from '../format.ts'
import type { Api } from '../local-client.ts'
import { restoreFolder } from '../restore-folder.ts'
import { type Source, saveFile } from '../save-file.ts'
import { maybe, toggle, type ValuesOf, value } from '../settings.ts'
import { line, moment, whole } from '../values.ts'

const EXITS = {
  3: 'no such workspace, moment, path or folder',
  4: true,
  5: 'out of reach, timed out, or cut short: see "node-daemon repo verify"',
  6: 'a block of it is damaged'
} as const
const SHOWN_ID = 12
/** All begin alike: about half of this tells one from the other. */
const SHOWN_HEAD = 20

const MOMENT = {
  at: onlyNow(maybe('<time>', 'the newest head not later than this, or than so long ago, such as 2h', line(64), 'now')),
  sequence: onlyNow(maybe('<n>', 'the head with this number, as the history shows it', whole(1, 1e15))),
  head: onlyNow(maybe('<cid>', 'this head, by its name or the start of it; also one that diverged', line(128))),
  path: onlyNow(maybe('<path>', 'only this file, folder or link, from the root of the workspace', line(4096), 'all'))
} as const

type MomentValues = ValuesOf<typeof MOMENT>

/** The query that means a moment. */
function queryOf(context: Context, { at, sequence, head, path }: MomentValues): URLSearchParams {
  if ([at, sequence, head].filter((one) => one !== null).length > 1) {
    throw new NodeDaemonError('BAD_USAGE', '--at, --sequence and --head do not go together', {
      advice: 'say one of them'
    })
  }
  const atMs = at === null ? null : moment(() => context.clock.wall())(at)
  return new URLSearchParams({
    ...(atMs === null ? {} : { at: new Date(atMs).toISOString() }),
    ...(sequence === null ? {} : { sequence: String(sequence) }),
    ...(head === null ? {} : { head }),
    ...(path === null ? {} : { path: path.replace(/^\.?\/+/, '') })
  })
}

const pathOf = (id: string, what: string): string => `/workspaces/${encodeURIComponent(id)}/${what}`

/** Which head is meant, once and for all: a newer one may come while it is fetched. */
const snapshotOf = (context: Context, api: Api, id: string, values: MomentValues): Promise<SnapshotView> =>
  api.get<SnapshotView>(pathOf(id, `snapshot?${queryOf(context, values)}`))

const carOfSnapshot = (api: Api, { workspace, head, path }: SnapshotView): Source => {
  const query = new URLSearchParams({ head: head.head, path })
  return (signal) => api.download(pathOf(workspace, `export?${query}`), signal)
}

const named = ({ head, path }: SnapshotView, nowMs: number): string =>
  `${path === '' ? '' : `"${clean(path)}" of `}head ${head.sequence} (${clean(head.createdAt)}, ${ago(head.createdAt, nowMs)})`

const noteOf = (head: HeadView): string =>
  [
    head.diverged ? `diverged: ${head.head}` : '',
    head.unsettledCount === 0 ? '' : `not taken exactly: ${head.unsettled.join(', ') || head.unsettledCount}`
  ]
    .filter((text) => text !== '')
    .join('; ')

export const history = command({
  name: 'history',
  takes: ['<workspace>'],
  about: 'the moments of a workspace that are kept, newest first',
  settings: {
    ...API_SETTINGS,
    limit: onlyNow(value('<n>', 'how many of the newest', whole(1, 10_000), 1000, '1000'))
  },
  examples: ['node-daemon workspaces history 7f3a', 'node-daemon workspaces history 7f3a --json --limit 10'],
  exits: { 3: 'no such workspace, or several begin like this', 4: true, 5: true },
  async run(context, values, [id = '']) {
    const heads = await adminApi(context, values).get<HeadView[]>(pathOf(id, `history?limit=${values.limit}`))
    context.print.machine(heads)
    const now = context.clock.wall()
    context.print.table(
      [
        { title: 'SEQUENCE', of: (head) => head.sequence, right: true, fixed: true },
        { title: 'HEAD', of: (head) => head.head.slice(0, SHOWN_HEAD), fixed: true },
        { title: 'AT', of: (head) => head.createdAt, fixed: true },
        { title: 'AGE', of: (head) => ago(head.createdAt, now) },
        { title: 'FILES', of: (head) => head.files, right: true },
        { title: 'SIZE', of: (head) => bytes(head.bytes), right: true },
        { title: 'WRITER', of: (head) => head.writerName },
        { title: 'NOTE', of: noteOf }
      ],
      heads,
      'Nothing was saved in it yet.'
    )
    return 0
  }
})

export const exportOne = command({
  name: 'export',
  takes: ['<workspace>', '<file>'],
  about: 'write a moment of a workspace as a CAR file that other IPFS tools read; - is stdout',
  settings: { ...API_SETTINGS, ...MOMENT },
  examples: [
    'node-daemon workspaces export 7f3a ada.car',
    'node-daemon workspaces export 7f3a --at 2d --path photos photos.car'
  ],
  exits: EXITS,
  async run(context, values, [id = '', file = '']) {
    const api = adminApi(context, values)
    const snapshot = await snapshotOf(context, api, id, values)
    const written = await saveFile(context, file, carOfSnapshot(api, snapshot))
    context.print.machine({ file, bytes: written, root: snapshot.cid, head: snapshot.head })
    if (file !== '-') {
      const what = named(snapshot, context.clock.wall())
      context.print.say(`${bytes(written)} written to ${clean(file)}: ${what}, root ${clean(snapshot.cid)}.`)
    }
    return 0
  }
})

async function toFolder(context: Context, api: Api, snapshot: SnapshotView, folder: string): Promise<0> {
  const { files, bytes: size } = await restoreFolder(context, snapshot, carOfSnapshot(api, snapshot), folder)
  context.print.machine({ folder, files, bytes: size, path: snapshot.path, head: snapshot.head })
  const what = named(snapshot, context.clock.wall())
  context.print.say(`${count(files, 'file', 'files')}, ${bytes(size)}, put into ${clean(folder)}: ${what}.`)
  return 0
}

/** What stands in the way of a path now: a file or link above it, or something of another kind at it. Null for nothing. */
async function inTheWay(api: Api, { workspace, path, kind }: SnapshotView): Promise<SnapshotView | null> {
  if (path === '') return null
  const now = async (at: string): Promise<SnapshotView | null> => {
    try {
      return await api.get<SnapshotView>(pathOf(workspace, `snapshot?${new URLSearchParams({ path: at })}`))
    } catch (error) {
      // What is damaged now may be what is to be replaced.
      if (hasCode(error, 'NOT_FOUND', 'INCOMPLETE')) return null
      throw error
    }
  }
  const there = await now(path)
  if (there !== null) return there.kind === kind ? null : there
  const names = path.split('/')
  for (let depth = 1; depth < names.length; depth++) {
    const above = await now(names.slice(0, depth).join('/'))
    if (above?.kind !== 'folder') return above
  }
  return null
}

const thing = ({ kind, path }: SnapshotView): string =>
  `the ${kind} "${clean(path)}"${kind === 'folder' ? ' with all that is in it' : ''}`

/** Carries it out at the home. Once it has begun, silence says nothing about whether it was done. */
async function goBack(context: Context, api: Api, { workspace, head, path }: SnapshotView): Promise<RestoredView> {
  const id = workspace.slice(0, SHOWN_ID)
  let hasBegun = false
  try {
    return await followWork(
      context,
      (signal) => api.stream<RestoreView>(pathOf(workspace, 'restore'), { head: head.head, path }, signal),
      () => {
        hasBegun = true
        context.print.progress(0, 'the home goes back', 'working', 'err')
      },
      `it goes on by itself; see: node-daemon workspaces history ${id}`
    )
  } catch (error) {
    if (!hasBegun || !hasCode(error, 'OUT_OF_REACH', 'TIMED_OUT')) throw error
    throw new NodeDaemonError(error.code, `it is not known whether ${id} went back: ${messageOf(error)}`, {
      advice: `look whether there is a new head: node-daemon workspaces history ${id}`,
      cause: error
    })
  }
}

async function inPlace(context: Context, api: Api, snapshot: SnapshotView, yes: boolean): Promise<0> {
  const { print } = context
  const { path, workspace } = snapshot
  const id = clean(workspace.slice(0, SHOWN_ID))
  const what = named(snapshot, context.clock.wall())
  const gone = await inTheWay(api, snapshot)
  const replaced =
    path === ''
      ? `Replace what is in workspace ${id} now by ${what}?`
      : `Replace "${clean(path)}" in workspace ${id} by ${what}?`
  const loss = gone === null ? '' : ` This removes ${thing(gone)}, which stands there now.`
  await sure(context, `${replaced}${loss} What is there now stays in its history.`, yes)
  const done = await goBack(context, api, snapshot)
  print.machine({ ...done, replaced: gone === null ? null : { path: gone.path, kind: gone.kind } })
  if (done.before.head === done.after.head) {
    print.say(`${id} is already so: it stands at ${what}. There is no new head.`)
    return 0
  }
  print.say(
    `${id} is back at ${what} as head ${done.after.sequence}; its requests waited ${duration(done.pauseMs)}. ` +
      `What was there is head ${done.before.sequence}.`
  )
  if (gone !== null) {
    print.say(`It took the place of ${thing(gone)}: that is in head ${done.before.sequence}.`)
  }
  return 0
}

export const restore = command({
  name: 'restore',
  takes: ['<workspace>'],
  about: 'go back to a moment of a workspace, in whole or in part: into a folder here, or in place while it is in use',
  settings: {
    ...API_SETTINGS,
    ...MOMENT,
    ...YES,
    to: onlyNow(maybe('<dir>', 'put the files into this new or empty folder', line(4096))),
    'in-place': toggle('replace what the user sees; what is there now stays in the history', { flagOnly: true })
  },
  examples: [
    'node-daemon workspaces restore 7f3a --at 2h --to ./before',
    'node-daemon workspaces restore 7f3a --sequence 17 --path notes/thesis.tex --in-place'
  ],
  exits: { ...EXITS, 4: 'refused: not permitted, or nobody serves it now', 7: 'what came does not verify', 130: true },
  async run(context, values, [id = '']) {
    if ((values.to === null) === !values['in-place']) {
      const what = values.to === null ? 'it is not said where the files go' : '--to and --in-place do not go together'
      throw new NodeDaemonError('BAD_USAGE', what, {
        advice: values.to === null ? 'say one of --to DIR and --in-place' : 'say one of the two'
      })
    }
    const api = adminApi(context, values)
    const snapshot = await snapshotOf(context, api, id, values)
    if (values.to !== null) return await toFolder(context, api, snapshot, values.to)
    return await inPlace(context, api, snapshot, values.yes)
  }
})
