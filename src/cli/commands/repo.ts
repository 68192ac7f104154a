import type {
  CollectedView,
  GcView,
  ReindexedView,
  ReindexView,
  RepositoryView,
  VerifiedView,
  VerifyView
} from '../../console/views.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import { API_SETTINGS, command, group, onlyNow, YES } from '../command.ts'
import { adminApi, sure } from '../context.ts'
import { followWork } from '../follow-work.ts'
import { ago, bytes, clean, count, duration } from '../format.ts'
import type { Printer } from '../printer.ts'
import { saveFile } from '../save-file.ts'
import { maybe, toggle } from '../settings.ts'
import { facts } from '../table.ts'
import { size } from '../values.ts'

const LEFT_SHOWN = 20

/** A ratio that is shown as 1.00, or less, saves nothing. */
const savedText = (ratio: number): string => (ratio < 1.005 ? 'nothing' : `${ratio.toFixed(2)} times`)

const stats = command({
  name: 'stats',
  about: 'what the main repository holds, and how it is',
  settings: API_SETTINGS,
  examples: ['node-daemon repo stats', 'node-daemon repo stats --json'],
  exits: { 4: true, 5: true },
  async run(context, values) {
    const view = await adminApi(context, values).get<RepositoryView>('/repo/stats')
    context.print.machine(view)
    const now = context.clock.wall()
    context.print.say(
      facts([
        ['Workspaces', view.workspaces],
        ['Heads', view.heads],
        ['Blocks', `${view.blocks} in ${view.packs} packs`],
        ['Users see', bytes(view.logicalBytes)],
        ['Disk holds', bytes(view.storedBytes)],
        ['Saved by sharing', savedText(view.dedupRatio)],
        ['Damaged', view.damaged === 0 ? 'nothing' : count(view.damaged, 'block', 'blocks')],
        ['Last read again', view.lastVerifyAt === null ? 'never' : ago(view.lastVerifyAt, now)],
        ['Last thinned', view.lastGcAt === null ? 'never' : ago(view.lastGcAt, now)]
      ]).trimEnd()
    )
    return 0
  }
})

function showLeft(print: Printer, { left }: VerifiedView): void {
  for (const { cid, workspaces } of left.slice(0, LEFT_SHOWN)) {
    const whose = workspaces.map((id) => clean(id)).join(' ')
    print.note(`damaged: ${clean(cid)}, needed by ${whose || 'no workspace that is known'}`)
  }
}

function share(text: string): number {
  const read = size(text)
  if (read > 0) return read
  throw new NodeDaemonError('BAD_USAGE', 'a share of nothing reads nothing', { advice: 'write it like 500MB or 10GB' })
}

const verify = command({
  name: 'verify',
  about: 'read the main repository again, and repair what is damaged, blocks from the instances that have them',
  settings: { ...API_SETTINGS, share: onlyNow(maybe('<size>', 'only the next share, of this size', share, 'all')) },
  examples: ['node-daemon repo verify', 'node-daemon repo verify --share 1GB'],
  exits: {
    0: 'all that was read is whole, or was repaired',
    4: true,
    5: true,
    7: 'something is still damaged',
    130: true
  },
  async run(context, values) {
    const { print } = context
    const api = adminApi(context, values)
    const order = values.share === null ? {} : { maxBytes: values.share }
    const done = await followWork(
      context,
      (signal) => api.stream<VerifyView>('/repo/verify', order, signal),
      (view) => {
        const text = `${bytes(view.bytes)} of ${bytes(view.totalBytes)}`
        print.progress(view.totalBytes === 0 ? 0 : view.bytes / view.totalBytes, text, 'reading', 'err')
      },
      'it was ended; begin again with: node-daemon repo verify'
    )
    print.machine(done)
    print.say(`Read ${count(done.blocks, 'block', 'blocks')}, ${bytes(done.bytes)}.`)
    const hurt = done.repaired + done.left.length
    if (hurt > 0) {
      // Also what was found before, by whomever.
      const text = `Of ${count(hurt, 'damaged block', 'damaged blocks')} ${done.repaired} repaired, ${done.left.length} still damaged.`
      print.say(done.left.length === 0 ? print.styled('green', text) : text)
    }
    if (done.left.length === 0) {
      print.say(print.styled('green', 'The main repository is whole.'))
      return 0
    }
    showLeft(print, done)
    throw new NodeDaemonError('INTEGRITY', `${count(done.left.length, 'block is', 'blocks are')} still damaged`, {
      advice:
        done.left.length > LEFT_SHOWN
          ? 'see all of them with --json; connect the instances that hold these workspaces, and run it again'
          : 'connect the instances that hold these workspaces, and run it again'
    })
  }
})

const gc = command({
  name: 'gc',
  about:
    'thin the history by the retention policy, and give back the room; happens once a day by itself; heads of the last ' +
    'hour always stay',
  settings: {
    ...API_SETTINGS,
    ...YES,
    full: toggle('give back all there is, also where much must be copied for little', { flagOnly: true })
  },
  examples: ['node-daemon repo gc', 'node-daemon repo gc --full --yes'],
  exits: { 4: true, 5: 'out of reach, or one is under way', 130: true },
  async run(context, values) {
    const { print } = context
    const question =
      'Give up for good what lies beyond the retention policy (coordinator --retention)? Heads of the last hour stay.'
    await sure(context, question, values.yes)
    const api = adminApi(context, values)
    const done: CollectedView = await followWork(
      context,
      (signal) => api.stream<GcView>('/repo/gc', { full: values.full }, signal),
      () => print.progress(0, 'thinning the history', 'working', 'err'),
      'it goes on by itself; see its effect with: node-daemon repo stats'
    )
    print.machine(done)
    print.say(
      `${count(done.headsDropped, 'head', 'heads')} and ${count(done.blocksDropped, 'block', 'blocks')} given up, ` +
        `${bytes(done.freedBytes)} freed; ${count(done.packsRewritten, 'pack was', 'packs were')} written anew.`
    )
    return 0
  }
})

const reindex = command({
  name: 'reindex',
  about: 'build the index anew from the packs; users’ changes wait meanwhile',
  settings: API_SETTINGS,
  examples: ['node-daemon repo reindex'],
  exits: { 4: true, 5: true, 130: true },
  async run(context, values) {
    const { print } = context
    const api = adminApi(context, values)
    const done: ReindexedView = await followWork(
      context,
      (signal) => api.stream<ReindexView>('/repo/reindex', {}, signal),
      () => print.progress(0, 'building the index', 'working', 'err'),
      'it goes on by itself'
    )
    print.machine(done)
    print.say(`The index was built anew in ${duration(done.tookMs)}.`)
    return 0
  }
})

const exportAll = command({
  name: 'export',
  takes: ['<file>'],
  about: 'write the newest snapshots of all workspaces and their signed heads as a CAR file; - is stdout',
  settings: API_SETTINGS,
  examples: ['node-daemon repo export backup.car', 'node-daemon repo export - | zstd > backup.car.zst'],
  exits: {
    3: 'nothing was saved yet, or no such folder',
    4: true,
    5: 'out of reach, or cut short: see "node-daemon repo verify"',
    6: 'a block of it is damaged',
    130: true
  },
  async run(context, values, [file = '']) {
    const api = adminApi(context, values)
    const written = await saveFile(context, file, (signal) => api.download('/repo/export', signal))
    context.print.machine({ file, bytes: written })
    if (file !== '-') context.print.say(`${bytes(written)} written to ${clean(file)}.`)
    return 0
  }
})

export const repoCommand = group('repo', 'the main repository', [stats, verify, gc, reindex, exportAll])
