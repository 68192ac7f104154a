export const FORMAT = `
import { h } from './dom.js'

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

/** One decimal where it says something. */
const short = (value) => String(value < 99.5 ? Math.round(value * 10) / 10 : Math.round(value))

export function bytes(count) {
  let value = count
  let unit = 0
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000
    unit += 1
  }
  return short(value) + ' ' + UNITS[unit]
}

export function duration(ms) {
  const s = Math.round(ms / 1000)
  if (s < 1) return ms < 1 ? '0 s' : '1 s'
  if (s < 60) return s + ' s'
  if (s < 3600) return Math.round(s / 60) + ' min'
  if (s < 36 * 3600) return short(s / 3600) + ' h'
  return Math.round(s / 86400) + ' days'
}

/** What stands on one disk only. Changes that were not read yet have an age and no size. */
export const unsyncedSize = (one) => one.unsyncedBytes === 0 ? 'changes' : bytes(one.unsyncedBytes)
export function unsynced(one) {
  if (one.unsyncedBytes === 0 && one.unsyncedAgeMs === 0) return h('span', { class: 'quiet' }, 'none')
  return [unsyncedSize(one), h('div', { class: 'quiet small' }, 'for ' + duration(one.unsyncedAgeMs))]
}

export const number = (count) => count.toLocaleString('en')
export const plural = (count, one, many) => number(count) + ' ' + (count === 1 ? one : many)
export const shortId = (id) => id.slice(0, 8)
export const shortPeer = (id) => '…' + id.slice(-8)

/** The coordinator's time of the last answer: ages are right even where this machine's clock is not. */
let coordinatorTime = 0
export function noteTime(header) {
  const time = Date.parse(header ?? '')
  if (!Number.isNaN(time)) coordinatorTime = time
}

const age = (at) => {
  const ms = coordinatorTime - Date.parse(at)
  if (ms < -1500) return 'in ' + duration(-ms)
  return ms < 1500 ? 'now' : duration(ms) + ' ago'
}

export function when(at) {
  if (at === null || at === undefined) return h('span', { class: 'quiet' }, 'never')
  return h('time', { datetime: at, title: new Date(at).toLocaleString(), data: { age: 'true' } }, age(at))
}

export function refreshAges() {
  for (const element of document.querySelectorAll('time[data-age]')) {
    const text = age(element.dateTime)
    if (element.textContent !== text) element.textContent = text
  }
}
`
