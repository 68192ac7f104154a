export const DIALOG = `
import { byId, h } from './dom.js'

const TOAST_MS = 5000
const { setTimeout: later, clearTimeout: never } = window
let toastTimer = null

export function toast(text) {
  const element = byId('toast')
  element.textContent = text
  element.classList.add('shown')
  never(toastTimer)
  toastTimer = later(() => element.classList.remove('shown'), TOAST_MS)
}

export function problem(error) {
  return error.message + (error.advice ? ' – ' + error.advice : '')
}

let serial = 0

/**
 * A question. onconfirm may be slow, and may fail: the dialog then stays and says why. Escape and Cancel close it, and
 * the focus goes back to where it was. One that stays is closed by its button only.
 */
export function ask({ id, title, body, confirm, cancel = 'Cancel', danger = false, stays = false, onconfirm }) {
  serial += 1
  const titleId = 'dialog-title-' + serial
  const alert = h('p', { class: 'problem', role: 'alert' })
  const yes = confirm ? h('button', { type: 'submit', class: danger ? 'danger' : 'primary', data: { action: 'confirm' } }, confirm) : null
  const no = h('button', { type: 'button', class: 'plain', data: { action: 'cancel' }, onclick: () => dialog.close() }, cancel)
  const form = h('form', { method: 'dialog' },
    h('h2', { id: titleId }, title),
    h('div', { class: 'dialog-body' }, body),
    alert,
    h('div', { class: 'dialog-buttons' }, no, yes))
  const dialog = h('dialog', { id, 'aria-labelledby': titleId }, form)
  const before = document.activeElement
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    if (yes === null) return dialog.close()
    yes.disabled = true
    alert.textContent = ''
    try {
      await onconfirm(Object.fromEntries(new FormData(form)))
      dialog.close()
    } catch (error) {
      alert.textContent = problem(error)
    } finally {
      yes.disabled = false
    }
  })
  dialog.addEventListener('cancel', (event) => {
    if (stays) event.preventDefault()
  })
  dialog.addEventListener('close', () => {
    dialog.remove()
    if (before?.isConnected) before.focus()
  })
  document.body.append(dialog)
  dialog.showModal()
  return { dialog, confirm: yes, alert }
}

export function field(label, name, options = {}) {
  const id = 'field-' + name
  const { hint, choices, value, ...rest } = options
  const control = choices === undefined
    ? h('input', { id, name, type: 'text', autocomplete: 'off', value, ...rest })
    : h('select', { id, name, ...rest }, choices.map(([choice, text]) => h('option', { value: choice, selected: choice === value }, text)))
  return h('div', { class: 'field' }, h('label', { for: id }, label), control, hint ? h('p', { class: 'quiet small' }, hint) : null)
}

/** A token or link that is never shown again. */
export function showSecret({ id, title, text, secret }) {
  const input = h('input', { type: 'text', readonly: true, value: secret, 'aria-label': title, data: { secret: 'true' }, onfocus: () => input.select() })
  const copy = h('button', { type: 'button', class: 'primary', data: { action: 'copy' }, onclick: async () => {
    input.select()
    try {
      await navigator.clipboard.writeText(secret)
      copy.textContent = 'Copied'
    } catch {
      copy.textContent = 'Press Ctrl-C to copy'
    }
  } }, 'Copy')
  ask({ id, title, stays: true, cancel: 'I have kept it', body: [h('p', null, text), h('div', { class: 'secret' }, input, copy)] })
}
`
