export const DOM = `
/** An element. Children are elements or texts; texts are never read as markup. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name === 'data') Object.assign(element.dataset, value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false))
  return element
}

export const byId = (id) => document.getElementById(id)

const prints = new WeakMap()

/**
 * Makes the children of parent those of items, by key. What has not changed stays the same element, so that focus and
 * selection survive a refresh; where the focused element is built anew, its successor gets the focus.
 */
export function renderList(parent, items, keyOf, build) {
  const known = new Map(Array.from(parent.children, (child) => [child.dataset.key, child]))
  const focused = parent.contains(document.activeElement) ? document.activeElement : null
  const focusKey = focused?.closest('[data-key]')?.dataset.key
  const next = items.map((item) => {
    const key = String(keyOf(item))
    const print = JSON.stringify(item)
    const old = known.get(key)
    if (old !== undefined && prints.get(old) === print) return old
    const element = build(item)
    element.dataset.key = key
    prints.set(element, print)
    return element
  })
  const keep = new Set(next)
  for (const child of Array.from(parent.children)) if (!keep.has(child)) child.remove()
  next.forEach((element, index) => {
    const there = parent.children[index]
    if (there !== element) parent.insertBefore(element, there ?? null)
  })
  if (focused !== null && !focused.isConnected) refocus(next, focusKey, focused.dataset.action)
}

function refocus(elements, key, action) {
  const element = elements.find((candidate) => candidate.dataset.key === key)
  const wanted = Array.from(element?.querySelectorAll('[data-action]') ?? [])
  const target = wanted.find((candidate) => candidate.dataset.action === action) ?? wanted[0]
  target?.focus()
}

/** A table with headings; its body is for renderList. An empty one says so. */
export function table(id, caption, headings, empty) {
  const body = h('tbody', { id: id + '-rows' })
  const note = h('p', { class: 'empty', id: id + '-empty' }, empty)
  const element = h('div', { class: 'table' },
    h('table', { id },
      h('caption', { class: 'hidden' }, caption),
      h('thead', null, h('tr', null, headings.map((heading) => h('th', { scope: 'col' }, heading)))),
      body),
    note)
  return {
    element,
    show(items, keyOf, build) {
      renderList(body, items, keyOf, build)
      note.hidden = items.length > 0
      element.firstElementChild.hidden = items.length === 0
    }
  }
}

/** A row whose cells carry their headings, for narrow screens. */
export function row(headings, cells, data) {
  return h('tr', { data }, cells.map((cell, index) => h('td', { 'data-label': headings[index] }, cell)))
}

export function button(label, action, onclick, options = {}) {
  return h('button', { type: 'button', class: options.class, data: { action }, 'aria-label': options.describe, onclick }, label)
}

export function chip(state) {
  return h('span', { class: 'chip', data: { state } }, state)
}
`
