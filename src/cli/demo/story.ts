import { aborted } from '../../core/clock.ts'
import { NodeDaemonError } from '../../core/errors.ts'
import type { Context } from '../context.ts'
import { bytes, clean, count, duration } from '../format.ts'
import type { ExitCode } from '../report-error.ts'
import { facts } from '../table.ts'
import {
  busiest,
  drainOne,
  killOne,
  people,
  readBack,
  repositoryOf,
  saveFiles,
  sayPauses,
  settle,
  volunteers
} from './acts.ts'
import { DemoFederation } from './federation.ts'
import { inputFiles } from './input-files.ts'
import { Load, percentile } from './load.ts'
import { type Door, newAgent, Tally, type WebUser } from './web-user.ts'

export interface DemoOptions {
  readonly users: number
  readonly input: string | null
  /** End by itself. */
  readonly once: boolean
}

/** The figures of a demo. */
export interface DemoSummary {
  readonly ok: boolean
  readonly users: number
  readonly requests: number
  readonly failed: number
  readonly files: number
  readonly lost: number
  readonly bytes: number
  readonly storedBytes: number
  readonly handoverPauseMs: { readonly p50: number; readonly p99: number }
  readonly failoverMs: number
  readonly certificates: number
}

function heading({ print }: Context, title: string, why: string): void {
  print.say(`\n${print.styled('bold', title)}`)
  print.say(`  ${print.styled('dim', why)}`)
}

/**
 * A whole federation on this machine, told as a story. Every process that it starts has ended, and its folder is gone,
 * when it returns or throws. Resolves with 0, or 1 where anything was lost or failed.
 */
export async function tellDemo(context: Context, options: DemoOptions): Promise<ExitCode> {
  const interrupted = new AbortController()
  const stopListening = context.terminal.onSignal(() => interrupted.abort())
  try {
    await using federation = await DemoFederation.create(context, interrupted.signal)
    const tally = new Tally()
    const { summary, door, users, console } = await acts(context, federation, options, tally, interrupted.signal)
    showSummary(context, summary, tally)
    if (!options.once) {
      await stayUp(context, federation, door.url, console, users)
      await untilAborted(interrupted.signal)
    }
    return summary.ok ? 0 : 1
  } catch (error) {
    if (!interrupted.signal.aborted) throw error
    throw new NodeDaemonError('ABORTED', 'the demo was interrupted', {
      advice: 'everything that it started is gone again'
    })
  } finally {
    stopListening()
  }
}

interface Told {
  readonly summary: DemoSummary
  readonly door: Door
  readonly users: readonly WebUser[]
  readonly console: string
}

async function acts(
  context: Context,
  federation: DemoFederation,
  options: DemoOptions,
  tally: Tally,
  signal: AbortSignal
): Promise<Told> {
  const { print, clock, random } = context
  const files = await inputFiles(options.input)
  heading(
    context,
    '1  A federation opens',
    'One coordinator admits servers, keeps the main repository, and is the front door for users.'
  )
  const { http, admin } = await federation.open()
  print.say(`  Users go to ${http}, admins to ${admin}.`)

  heading(
    context,
    '2  Three volunteers lend a server',
    'Each runs one command. Nobody is let in before an admin has compared the code.'
  )
  const members = await volunteers(context, federation, http)

  heading(context, '3  Users save real files', 'A save is acknowledged only once the main repository has it on disk.')
  const door: Door = { url: http, agent: newAgent(), clock, random, tally, signal }
  const users = await people(federation, options.users, door)
  const written = await saveFiles(context, users, files)
  const repository = await repositoryOf(federation)
  print.say(
    `  ${count(users.length, 'user has', 'users have')} saved ${count(written.files, 'file', 'files')}, ${bytes(written.bytes)}, in ${duration(written.tookMs)}. ` +
      `The repository holds them in ${bytes(repository.storedBytes)}, with the history of every save.`
  )
  await settle(context, federation)

  const load = new Load(users, { clock, random, tally })
  load.start()
  try {
    const leaver = busiest(members, users)
    heading(
      context,
      `4  ${leaver.name} goes home`,
      'It hands over everything while its users go on working: about 20 requests a second, and those who are moved read all the time.'
    )
    const drained = await drainOne(context, leaver, users, signal)
    sayPauses(context, drained)
    print.say(
      `  ${leaver.name} ended with code ${drained.exitCode} (${clean(drained.state)}), and leaves ${drained.certificates === 1 ? 'a certificate that verifies: each head has a receipt' : 'NO valid certificate'}.`
    )
    await settle(context, federation)

    const rest = members.filter((member) => member !== leaver)
    const victim = busiest(rest, users)
    heading(
      context,
      `5  ${victim.name} dies`,
      'kill -9, without a word. Its standbys take over from the last head that the repository has.'
    )
    const failoverMs = await killOne(context, victim, users, signal)
    print.say(
      `  All its users were served again after ${duration(failoverMs)}; their requests waited at the front door.`
    )
    await load.stop()

    heading(
      context,
      '6  Is everything still there?',
      'Every file of every user is read back through the front door and compared byte for byte.'
    )
    const back = await readBack(context, users)
    const { storedBytes } = await repositoryOf(federation)
    const isWhole = tally.failed === 0 && back.lost === 0 && drained.certificates === 1 && drained.exitCode === 0
    const summary: DemoSummary = {
      ok: isWhole,
      users: users.length,
      requests: tally.requests,
      failed: tally.failed,
      files: back.files,
      lost: back.lost,
      bytes: tally.savedBytes,
      storedBytes,
      handoverPauseMs: {
        p50: Math.round(percentile(drained.pausesMs, 0.5)),
        p99: Math.round(percentile(drained.pausesMs, 0.99))
      },
      failoverMs: Math.round(failoverMs),
      certificates: drained.certificates
    }
    return { summary, door, users, console: admin }
  } finally {
    await load.stop()
    door.agent.destroy()
  }
}

function showSummary({ print }: Context, summary: DemoSummary, tally: Tally): void {
  print.machine(summary)
  print.say(`\n${print.styled('bold', 'In short')}`)
  print.say(
    facts([
      ['  Users', summary.users],
      ['  Requests', `${summary.requests}, of which ${summary.failed} failed and ${tally.repeated} were sent again`],
      ['  Files', `${summary.files} read back, ${summary.lost} lost`],
      ['  Saved', `${bytes(summary.bytes)}, kept in ${bytes(summary.storedBytes)} on disk`],
      [
        '  Handover',
        `a user waited ${duration(summary.handoverPauseMs.p50)} (p50), ${duration(summary.handoverPauseMs.p99)} (p99)`
      ],
      ['  Sudden death', `served again after ${duration(summary.failoverMs)}`],
      ['  Certificates', `${summary.certificates} verified`]
    ]).trimEnd()
  )
  for (const reason of tally.reasons) print.say(`  ${print.styled('red', clean(reason))}`)
  print.say(
    summary.ok
      ? print.styled('green', '\nNothing was lost, and nobody saw an error.')
      : print.styled('red', '\nSomething was lost or failed: see above.')
  )
}

async function stayUp(
  { print }: Context,
  federation: DemoFederation,
  url: string,
  admin: string,
  users: readonly WebUser[]
): Promise<void> {
  const user = users.find(({ token }) => token !== null)
  print.say(`\n${print.styled('bold', 'It stays up. Try it:')}`)
  print.say(`  front door       ${url}`)
  print.say(`  console          ${admin}   signed in once by ${await federation.consoleLink()}`)
  if (user !== undefined) {
    const [path = ''] = user.saved.keys()
    print.say(`  as ${user.name}:`)
    print.say(`    curl -H "Authorization: Bearer ${user.token}" ${url}/${path}`)
    print.say(`    curl -H "Authorization: Bearer ${user.token}" -T FILE ${url}/FILE`)
    print.say(`    rclone ls :webdav: --webdav-url ${url} --webdav-bearer-token ${user.token}`)
  }
  print.say('\nCtrl-C ends it and removes everything.')
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw aborted(signal)
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
