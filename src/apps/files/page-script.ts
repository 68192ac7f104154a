/**
 * What the listing page does in a browser. Text of users only ever becomes `textContent` or an encoded path. Uploads go
 * one after the other; "All saved" stands there only once the server has acknowledged every one of them.
 */
export const PAGE_SCRIPT = `
'use strict'
const byId = (id) => document.getElementById(id)
const folder = document.body.dataset.folder
const state = byId('state'), list = byId('list'), transfers = byId('transfers'), chooser = byId('chooser')
const waiting = []
let busy = 0, failed = ''

function show() {
  state.className = busy ? 'busy' : failed ? 'bad' : ''
  state.textContent = busy ? 'Saving…' : failed || 'All saved'
}

async function during(work) {
  busy++
  failed = ''
  show()
  try { await work() } catch (error) { failed = error.message } finally { busy--; show() }
}

async function refresh() {
  const answer = await fetch(folder, { headers: { accept: 'text/html' }, cache: 'no-store' })
  if (!answer.ok) return
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  list.replaceChildren(...page.getElementById('list').childNodes)
  byId('served').textContent = page.getElementById('served').textContent
  times()
}

function times() {
  for (const time of list.querySelectorAll('time')) {
    time.textContent = new Date(time.dateTime).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })
  }
}

async function tell(method, href) {
  const answer = await fetch(href, { method })
  if (!answer.ok) throw new Error((await answer.text()).trim() || 'The server said ' + answer.status)
}

function ask(question, yes, value) {
  const dialog = byId('dialog'), field = byId('answer')
  byId('question').textContent = question
  byId('yes').textContent = yes
  field.hidden = value === undefined
  field.value = value || ''
  dialog.returnValue = 'no'
  dialog.showModal()
  if (value === undefined) byId('yes').focus()
  else field.focus()
  return new Promise((resolve) => dialog.addEventListener('close', () => {
    resolve(dialog.returnValue === 'yes' ? (value === undefined ? true : field.value.trim()) : null)
  }, { once: true }))
}

function put(file, replace, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open('PUT', folder + encodeURIComponent(file.name))
    if (!replace) request.setRequestHeader('If-None-Match', '*')
    request.upload.onprogress = (event) => { progress.value = event.total ? event.loaded / event.total : 1 }
    request.upload.onload = () => progress.removeAttribute('value')
    request.onload = () => resolve(request)
    request.onerror = () => reject(new Error('The connection was lost; try again'))
    request.send(file)
  })
}

async function upload(file, row, progress) {
  let answer = await put(file, false, progress)
  if (answer.status === 412) {
    if (!(await ask('Replace “' + file.name + '”?', 'Replace'))) return row.remove()
    answer = await put(file, true, progress)
  }
  if (answer.status >= 300) throw new Error(answer.responseText.trim() || 'The server said ' + answer.status)
  row.remove()
}

function enqueue(files) {
  for (const file of files) {
    const row = document.createElement('li'), name = document.createElement('span'), note = document.createElement('span')
    const progress = document.createElement('progress')
    progress.setAttribute('aria-label', file.name)
    name.textContent = file.name
    row.append(name, note, progress)
    transfers.append(row)
    waiting.push({ file, row, note, progress })
  }
  if (waiting.length && !enqueue.running) run()
}

async function run() {
  enqueue.running = true
  await during(async () => {
    let problem = null
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      try { await upload(next.file, next.row, next.progress) } catch (error) {
        problem = error
        next.progress.remove()
        next.note.className = 'bad'
        next.note.textContent = error.message
      }
    }
    await refresh()
    if (problem) throw problem
  })
  enqueue.running = false
}

byId('no').addEventListener('click', () => byId('dialog').close('no'))
byId('upload').addEventListener('click', () => chooser.click())
chooser.addEventListener('change', () => { enqueue([...chooser.files]); chooser.value = '' })
byId('make').addEventListener('click', async () => {
  const name = await ask('Name of the new folder', 'Create', '')
  if (name) await during(async () => { await tell('MKCOL', folder + encodeURIComponent(name) + '/'); await refresh() })
})
list.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-remove]')
  if (!button) return
  const what = button.dataset.kind === 'folder' ? 'the folder “' + button.dataset.name + '” and all that is in it' : '“' + button.dataset.name + '”'
  if (!(await ask('Delete ' + what + '?', 'Delete'))) return
  await during(async () => { await tell('DELETE', button.dataset.remove); await refresh() })
})
let depth = 0
const carriesFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files')
addEventListener('dragenter', (event) => { if (carriesFiles(event)) { depth++; document.body.classList.add('over') } })
addEventListener('dragleave', (event) => { if (carriesFiles(event) && --depth <= 0) { depth = 0; document.body.classList.remove('over') } })
addEventListener('dragover', (event) => { if (carriesFiles(event)) event.preventDefault() })
addEventListener('drop', (event) => {
  if (!carriesFiles(event)) return
  event.preventDefault()
  depth = 0
  document.body.classList.remove('over')
  const items = [...event.dataTransfer.items].filter((item) => item.kind === 'file' && !(item.webkitGetAsEntry && item.webkitGetAsEntry()?.isDirectory))
  enqueue(items.map((item) => item.getAsFile()).filter(Boolean))
})
addEventListener('beforeunload', (event) => { if (busy) event.preventDefault() })
times()
`
