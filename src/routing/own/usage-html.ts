import { sizeText } from '../../core/size-text.ts'
import { escapeHtml } from '../pages.ts'
import { WELL_KNOWN } from '../route.ts'
import type { Belonging } from './belongings.ts'
import type { OwnHtml } from './page.ts'

/** What a user has, and what it takes of what they may have. `name`: null for a guest. */
export function usageHtml(about: {
  readonly name: string | null
  readonly quotaBytes: number | null
  readonly all: readonly Belonging[]
}): OwnHtml {
  const { name, quotaBytes, all } = about
  const usedBytes = all.reduce((sum, one) => sum + one.usedBytes, 0)
  return {
    title: 'What you have here',
    body: [
      `<p class="quiet">${name === null ? 'You are a guest.' : `You are ${escapeHtml(name)}.`}</p>`,
      all.length === 0 ? '<p>You have saved nothing yet.</p>' : meter(usedBytes, quotaBytes),
      ...all.map(section),
      name === null && all.length > 0
        ? `<p class="quiet small">Sign in to <a href="${WELL_KNOWN}/keep">keep it under your name</a>.</p>`
        : ''
    ].join('\n')
  }
}

function meter(usedBytes: number, quotaBytes: number | null): string {
  if (quotaBytes === null) return `<p>You use ${sizeText(usedBytes)}.</p>`
  const text = `You use ${sizeText(usedBytes)} of ${sizeText(quotaBytes)}.`
  const bar = `<meter min="0" max="${quotaBytes}" high="${Math.round(quotaBytes * 0.9)}" value="${Math.min(usedBytes, quotaBytes)}">${text}</meter>`
  const full = usedBytes >= quotaBytes ? '<p class="problem">Delete something before you save more.</p>' : ''
  return `<div><p>${text}</p>${bar}${full}</div>`
}

function section(one: Belonging): string {
  const service = escapeHtml(one.service)
  const link = `${WELL_KNOWN}/export/${service}`
  return `<section><h2>${service}</h2>
<p>${one.files} ${one.files === 1 ? 'file' : 'files'}, ${sizeText(one.usedBytes)}. ${saved(one)}</p>${expiry(one)}
<div class="row"><a class="button" href="${link}.tar">Download all</a><a class="small" href="${link}.car">as a CAR file</a><a class="small" href="${WELL_KNOWN}/delete?service=${service}">Delete</a></div></section>`
}

function saved({ savedAtMs, copies, unsavedAgeMs }: Belonging): string {
  if (savedAtMs === null) return 'Nothing is saved yet.'
  const places = copies === 1 ? 'one place' : `${copies} places`
  const rest = unsavedAgeMs > 0 ? ' What you changed since then is on its way.' : ''
  return `Last saved on ${timeTag(savedAtMs)}, in ${places}.${rest}`
}

const expiry = ({ expiresAtMs }: Belonging): string =>
  expiresAtMs === null
    ? ''
    : `<p class="quiet small">If nobody uses it, it is removed after ${timeTag(expiresAtMs)}.</p>`

function timeTag(ms: number): string {
  const iso = new Date(ms).toISOString()
  return `<time datetime="${iso}">${iso.slice(0, 16).replace('T', ' ')} UTC</time>`
}
