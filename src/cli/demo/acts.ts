import { readFile } from 'node:fs/promises'
import type { DrainView, RepositoryView } from '../../console/views.ts'
import { withTimeout } from '../../core/clock.ts'
import { verifyCertificate } from '../../handover/certificate.ts'
import type { Context } from '../context.ts'
import { drainLine, drainShare, isFinal } from '../drain-view.ts'
import { bytes, count, duration } from '../format.ts'
import { type DemoFederation, INSTANCE_NAMES, type Member } from './federation.ts'
import type { InputFile } from './input-files.ts'
import { Probe, percentile } from './load.ts'
import { type Door, forEachOf, WebUser } from './web-user.ts'

const UPLOADS_AT_ONCE = 8
const SHARED_FILES = 3
const GUESTS = 3
const EXIT_MS = 60_000
const NAMES = [
  'ada',
  'alan',
  'barbara',
  'donald',
  'edsger',
  'frances',
  'grace',
  'john',
  'katherine',
  'linus',
  'margaret',
  'radia'
]

export const userName = (index: number): string => NAMES[index] ?? `user-${index + 1}`

export async function volunteers({ print }: Context, federation: DemoFederation, door: string): Promise<Member[]> {
  return await Promise.all(
    INSTANCE_NAMES.map(async (name) => {
      const member = await federation.ask(name, door)
      print.say(`  ${name} asks to join and shows the code ${print.styled('bold', member.code)}`)
      await federation.approve(member)
      print.say(`  ${name} was approved: the admin saw the same code. It serves.`)
      return member
    })
  )
}

export async function people(federation: DemoFederation, named: number, door: Door): Promise<WebUser[]> {
  const users: WebUser[] = []
  for (let index = 0; index < named; index += 1) {
    const name = userName(index)
    users.push(new WebUser(name, await federation.addUser(name), door))
  }
  for (let index = 0; index < GUESTS; index += 1) users.push(new WebUser(`guest ${index + 1}`, null, door))
  await forEachOf(users, UPLOADS_AT_ONCE, (user) => user.arrive())
  return users
}

/** Whose files: each user gets a share of their own, and the first few belong to everybody. */
export function shareOut<User>(
  users: readonly User[],
  files: readonly InputFile[]
): { user: User; files: InputFile[] }[] {
  const shared = files.slice(0, SHARED_FILES)
  const rest = files.slice(SHARED_FILES)
  return users.map((user, index) => ({
    user,
    files: [...shared, ...rest.filter((_, at) => at % users.length === index)]
  }))
}

export interface Written {
  readonly files: number
  readonly bytes: number
  readonly tookMs: number
}

export async function saveFiles(
  { print, clock }: Context,
  users: readonly WebUser[],
  files: readonly InputFile[]
): Promise<Written> {
  const shares = shareOut(users, files)
  const total = shares.reduce((sum, share) => sum + share.files.length, 0)
  const startedAt = clock.now()
  let saved = 0
  let savedBytes = 0
  await forEachOf(shares, UPLOADS_AT_ONCE, async (share) => {
    for (const file of share.files) {
      if (!(await share.user.save(file))) continue
      saved += 1
      savedBytes += file.bytes.length
      print.progress(saved / total, `${saved} of ${count(total, 'file', 'files')}, ${bytes(savedBytes)}`)
    }
  })
  return { files: saved, bytes: savedBytes, tookMs: clock.now() - startedAt }
}

/** The member that most of these users have as their home. */
export function busiest(members: readonly Member[], users: readonly WebUser[]): Member {
  const homes = (member: Member): number => users.filter((user) => user.home === member.name).length
  return members.reduce((best, member) => (homes(member) > homes(best) ? member : best))
}

function probesOf(member: Member, users: readonly WebUser[], { clock }: Context): Probe[] {
  return users
    .filter((user) => user.home === member.name)
    .flatMap((user) => [...user.saved.keys()].slice(0, 1).map((path) => new Probe(user, path, clock)))
}

export interface Drained {
  readonly pausesMs: readonly number[]
  readonly certificates: number
  readonly exitCode: number | null
  readonly state: string
}

/** One instance hands over while its users go on working. */
export async function drainOne(
  context: Context,
  member: Member,
  users: readonly WebUser[],
  signal: AbortSignal
): Promise<Drained> {
  const { print } = context
  const probes = probesOf(member, users, context)
  let last: DrainView | null = null
  try {
    for await (const view of member.api.stream<DrainView>('/drain', {}, signal)) {
      last = view
      print.progress(drainShare(view), drainLine(view), view.state)
      if (isFinal(view)) break
    }
  } finally {
    await Promise.allSettled(probes.map((probe) => probe.stop()))
  }
  const pausesMs = probes.map((probe) => Math.max(0, ...probe.looks.map((look) => look.tookMs)))
  const path = last?.certificate
  const certificates = typeof path === 'string' && (await verifyCertificate(await readFile(path))).ok ? 1 : 0
  const ending = await withTimeout(
    context.clock,
    EXIT_MS,
    `the end of ${member.name}`,
    () => member.child.ended,
    signal
  )
  return { pausesMs, certificates, exitCode: ending.code, state: last?.state ?? 'unknown' }
}

/** One instance is killed without warning; how long until the last of its users has an answer? */
export async function killOne(
  context: Context,
  member: Member,
  users: readonly WebUser[],
  signal: AbortSignal
): Promise<number> {
  const { clock } = context
  const affected = users.filter((user) => user.home === member.name)
  const killedAt = clock.now()
  member.child.kill()
  await withTimeout(clock, EXIT_MS, `the end of ${member.name}`, () => member.child.ended, signal)
  const waits = await Promise.all(
    affected.map(async (user) => {
      const [path = ''] = user.saved.keys()
      await user.read(path)
      return clock.now() - killedAt
    })
  )
  return Math.max(0, ...waits)
}

/** Reads everything back; resolves with how many files are not what was acknowledged. */
export async function readBack(
  { print }: Context,
  users: readonly WebUser[]
): Promise<{ files: number; lost: number }> {
  const all = users.flatMap((user) => [...user.saved.keys()].map((path) => ({ user, path })))
  let read = 0
  let lost = 0
  await forEachOf(all, UPLOADS_AT_ONCE, async ({ user, path }) => {
    if (!(await user.stillHas(path))) lost += 1
    read += 1
    print.progress(read / all.length, `${read} of ${count(all.length, 'file', 'files')} compared`)
  })
  return { files: all.length, lost }
}

export function sayPauses({ print }: Context, drained: Drained): void {
  const { pausesMs } = drained
  print.say(
    `  ${count(pausesMs.length, 'user', 'users')} moved. The longest that a request of theirs took: ` +
      `${duration(percentile(pausesMs, 0.5))} for the middle one, ${duration(percentile(pausesMs, 0.99))} at worst.`
  )
}

/** Waits until every workspace has a standby again, so that the next trouble finds one. */
export async function settle({ print }: Context, federation: DemoFederation): Promise<void> {
  if (!(await federation.settled())) print.say('  Not every workspace has a standby yet; the story goes on.')
}

export const repositoryOf = (federation: DemoFederation): Promise<RepositoryView> =>
  federation.api.get<RepositoryView>('/repo/stats')
