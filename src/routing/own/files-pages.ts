import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { messageOf, NodeDaemonError } from '../../core/errors.ts'
import { isServiceName, type ServiceName, type UserId } from '../../core/ids.ts'
import type { Logger } from '../../core/log.ts'
import { sizeText } from '../../core/size-text.ts'
import { tokenOf } from '../identify.ts'
import type { OwnRequest } from '../neighbours.ts'
import { answerJson, escapeHtml } from '../pages.ts'
import { WELL_KNOWN } from '../route.ts'
import { type Belonging, type BelongingsBook, EXPORTS, type ExportForm } from './belongings.ts'
import type { OwnPage } from './own-pages.ts'
import { checkMethod, checkOwnForm, queryOf, readForm, seeOther, sendPage } from './page.ts'
import { usageHtml } from './usage-html.ts'

const USAGE = `${WELL_KNOWN}/usage`
const DELETE = `${WELL_KNOWN}/delete`
const SIGN_IN = `${WELL_KNOWN}/sign-in`

export interface FilesPagesDeps {
  readonly belongings: BelongingsBook
  readonly log: Logger
}

export interface FilesPagesOptions {
  readonly secure: boolean
}

/** The pages on which users see what they have, take it with them, and delete it. */
export function filesPages(deps: FilesPagesDeps, options: FilesPagesOptions): Readonly<Record<string, OwnPage>> {
  return {
    usage: (asked) => usage(deps, asked),
    'export/': (asked) => exportOne(deps, asked),
    delete: (asked) => deleteOne(deps, options, asked)
  }
}

/** Null where the request was answered: nobody is signed in, or they may not come in. */
async function userOf(asked: OwnRequest): Promise<UserId | 'newcomer' | null> {
  const visitor = await asked.identify()
  if (!('why' in visitor)) return visitor.user ?? 'newcomer'
  const to = encodeURIComponent(asked.request.url ?? USAGE)
  const isOut = visitor.status === 403
  sendPage(asked.response, {
    status: visitor.status,
    title: isOut ? 'You may not come in' : 'Please sign in',
    body: isOut
      ? '<p>Ask the administrators of this federation.</p>'
      : `<p>Then you see what you have saved here.</p><a class="button primary" href="${SIGN_IN}?to=${escapeHtml(to)}">Sign in</a>`,
    headers: visitor.status === 401 ? ['www-authenticate', 'Bearer'] : []
  })
  return null
}

async function usage({ belongings }: FilesPagesDeps, asked: OwnRequest): Promise<void> {
  checkMethod(asked, 'GET')
  const user = await userOf(asked)
  if (user === null) return
  const all = user === 'newcomer' ? [] : await belongings.of(user)
  const quotaBytes = user === 'newcomer' ? null : belongings.quotaBytes(user)
  if (wantsJson(asked)) return answerJson(asked.response, jsonOf(user, quotaBytes, all))
  const name = user.startsWith('user:') ? user.slice('user:'.length) : null
  sendPage(asked.response, usageHtml({ name, quotaBytes, all }))
}

const wantsJson = ({ request }: OwnRequest): boolean => {
  const accept = request.headers.accept ?? ''
  return accept.includes('application/json') && !accept.includes('text/html')
}

function jsonOf(user: string, quotaBytes: number | null, all: readonly Belonging[]): object {
  const time = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())
  return {
    user: user === 'newcomer' ? null : user,
    quotaBytes,
    usedBytes: all.reduce((sum, { usedBytes }) => sum + usedBytes, 0),
    services: all.map(({ savedAtMs, expiresAtMs, ...rest }) => ({
      ...rest,
      quotaBytes,
      savedAt: time(savedAtMs),
      expiresAt: time(expiresAtMs)
    }))
  }
}

/** `export/SERVICE.tar`, `export/SERVICE.car` */
async function exportOne({ belongings, log }: FilesPagesDeps, asked: OwnRequest): Promise<void> {
  checkMethod(asked, 'GET')
  const { request, response, path } = asked
  const [, name = '', form = ''] = /^export\/([^/]+)\.(tar|car)$/.exec(path) ?? []
  if (!isServiceName(name)) throw nothingOf(name)
  const user = await userOf(asked)
  if (user === null) return
  if (user === 'newcomer') throw nothingOf(name)
  const isAsking = request.method === 'HEAD'
  if (isAsking && !(await isSaved(belongings, user, name))) throw nothingOf(name)
  const pieces = isAsking ? null : await belongings.export(user, name, form as ExportForm)
  response.writeHead(200, [
    'content-type',
    EXPORTS[form as ExportForm],
    'content-disposition',
    `attachment; filename="${name}.${form}"`,
    'cache-control',
    'no-store',
    'x-content-type-options',
    'nosniff',
    'content-security-policy',
    "sandbox; default-src 'none'",
    'x-served-by',
    'front-door'
  ])
  if (pieces === null) {
    response.end()
    return
  }
  try {
    await pipeline(Readable.from(pieces, { objectMode: false }), response)
  } catch (error) {
    // What was cut off must not look whole: the connection is broken.
    log.warn({ user, service: name, error: messageOf(error) }, 'an export was broken off')
  }
}

async function isSaved(belongings: BelongingsBook, user: UserId, service: ServiceName): Promise<boolean> {
  const all = await belongings.of(user)
  return all.some((one) => one.service === service && one.savedAtMs !== null)
}

async function deleteOne(
  { belongings }: FilesPagesDeps,
  { secure }: FilesPagesOptions,
  asked: OwnRequest
): Promise<void> {
  const isPost = checkMethod(asked, 'GET', 'POST') === 'POST'
  // A browser sends a Bearer token for nobody.
  const byProgram = tokenOf(asked.request.headers.authorization ?? '')?.scheme === 'bearer'
  if (isPost && !byProgram) checkOwnForm(asked, secure)
  const form = isPost ? await readForm(asked) : queryOf(asked)
  const service = serviceIn(form.get('service'))
  const user = await userOf(asked)
  if (user === null) return
  const all = user === 'newcomer' ? [] : await belongings.of(user)
  const found = all.find((one) => one.service === service)
  if (found === undefined || user === 'newcomer') throw nothingOf(service)
  if (!isPost) return askFirst(asked, found)
  if (form.get('sure') !== found.workspace) {
    throw new NodeDaemonError('CONFLICT', 'This is not what you were asked about. Look again, and then delete it.')
  }
  await belongings.remove(user, service)
  if (wantsJson(asked)) return answerJson(asked.response, { service, workspace: found.workspace, removed: true })
  seeOther(asked.response, USAGE)
}

function askFirst({ response }: OwnRequest, { service, workspace, files, usedBytes }: Belonging): void {
  const name = escapeHtml(service)
  sendPage(response, {
    title: `Delete all that you have in ${service}?`,
    body: `<p>${files} ${files === 1 ? 'file' : 'files'}, ${sizeText(usedBytes)}, with all copies and the history. Nobody can bring it back.</p>
<a class="button" href="${WELL_KNOWN}/export/${name}.tar">Download it first</a>
<form method="post" action="${DELETE}"><input type="hidden" name="service" value="${name}"><input type="hidden" name="sure" value="${workspace}">
<button class="danger" type="submit">Delete it for good</button></form>
<a class="button" href="${USAGE}">Keep it</a>`
  })
}

function serviceIn(text: string | null): ServiceName {
  if (text !== null && isServiceName(text)) return text
  throw nothingOf(text ?? '')
}

const nothingOf = (service: string): NodeDaemonError =>
  new NodeDaemonError('NOT_FOUND', `You have nothing in ${service.slice(0, 40) || 'this service'}.`)
