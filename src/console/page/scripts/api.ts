export const API = `
import { noteTime } from './format.js'

const KEPT = 'node-daemon-session'
const RANKS = ['metrics', 'viewer', 'operator', 'admin']

let session = readKept()
let onSignedOut = () => undefined

function readKept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT) ?? 'null')
  } catch {
    return null
  }
}

function keep(value) {
  session = value
  if (value === null) localStorage.removeItem(KEPT)
  else localStorage.setItem(KEPT, JSON.stringify(value))
}

export const me = () => session
export const may = (role) => RANKS.indexOf(session?.role ?? '') >= RANKS.indexOf(role)
export function whenSignedOut(callback) {
  onSignedOut = callback
}

export class ApiError extends Error {
  constructor(code, message, advice) {
    super(message)
    this.code = code
    this.advice = advice
  }
}

async function exchange(method, path, body) {
  const headers = {}
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (method !== 'GET' && session !== null) headers['x-nd-csrf'] = session.csrf
  let response
  try {
    response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) })
  } catch {
    throw new ApiError('OUT_OF_REACH', 'the coordinator does not answer', 'this page tries again by itself')
  }
  noteTime(response.headers.get('date'))
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  const { code = 'UNEXPECTED', message = response.statusText, advice = null } = answer.error ?? {}
  throw new ApiError(code, message, advice)
}

/** A call of the API, below /api/v1. Whoever is no longer signed in is led to the sign-in page. */
export async function call(method, path, body) {
  try {
    return await exchange(method, '/api/v1' + path, body)
  } catch (error) {
    if (error.code === 'UNAUTHENTICATED') {
      keep(null)
      onSignedOut()
    }
    throw error
  }
}

export const get = (path) => call('GET', path)
export const post = (path, body = {}) => call('POST', path, body)
export const remove = (path) => call('DELETE', path)
export const at = (...segments) => '/' + segments.map(encodeURIComponent).join('/')

/** Begins a session with { token } or { link }. */
export async function signIn(secret) {
  keep(await exchange('POST', '/session', secret))
}

export async function signOut() {
  try {
    await exchange('DELETE', '/session')
  } finally {
    keep(null)
    onSignedOut()
  }
}
`
