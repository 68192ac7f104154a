import { sha256 } from '../../core/blocks.ts'
import { sizeText } from '../../core/size-text.ts'
import type { AppRequestContext } from '../app.ts'
import { PAGE_SCRIPT } from './page-script.ts'
import { PAGE_STYLE } from './page-style.ts'
import { type FilePath, hrefOf, nameOf } from './path.ts'
import type { Entry, Listing } from './tree.ts'

const hashOf = (text: string): string => `'sha256-${sha256(Buffer.from(text)).toString('base64')}'`

/** Only this page's own script and style run; it talks to nobody but the server that it came from. */
const PAGE_POLICY = [
  "default-src 'none'",
  `script-src ${hashOf(PAGE_SCRIPT)}`,
  `style-src ${hashOf(PAGE_STYLE)}`,
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'"
].join('; ')

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;'
}
const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? '')

/** A page of the front door, under any address of it. */
const SIGN_IN = '/.well-known/node-daemon/sign-in'

type Place = Pick<AppRequestContext, 'base' | 'served' | 'userLabel'>

export function renderPage(
  place: Place,
  path: FilePath,
  listing: Listing
): { html: string; headers: Record<string, string> } {
  const title = path === '' ? 'Files' : nameOf(path)
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${PAGE_STYLE}</style>
</head>
<body data-folder="${escaped(hrefOf(place.base, path, true))}">
<header>
<nav aria-label="Folders">${breadcrumbs(place.base, path)}</nav>
<p id="state" role="status" aria-live="polite">All saved</p>
</header>
<main>
<div class="actions">
<button type="button" id="upload" class="primary">Upload files</button>
<button type="button" id="make">New folder</button>
<input type="file" id="chooser" multiple hidden>
</div>
<ul id="transfers" aria-label="Uploads"></ul>
<div id="list">${table(place.base, listing)}</div>
<p class="hint">Drop files anywhere on this page to upload them.</p>
<noscript><p class="hint">Uploading needs JavaScript, or any WebDAV program with the address of this page.</p></noscript>
</main>
<footer><a id="user" href="${SIGN_IN}" title="Sign in or out">${escaped(place.userLabel)}</a> · served by <span id="served">${escaped(place.served)}</span></footer>
<dialog id="dialog" aria-labelledby="question"><form method="dialog">
<p id="question"></p>
<input id="answer" type="text" autocomplete="off" aria-label="Name">
<div class="actions"><button type="button" id="no">Cancel</button><button value="yes" id="yes" class="primary">OK</button></div>
</form></dialog>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`
  return {
    html,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': PAGE_POLICY,
      'Cross-Origin-Opener-Policy': 'same-origin'
    }
  }
}

function breadcrumbs(base: string, path: FilePath): string {
  const names = path === '' ? [] : path.split('/')
  const links = names.map((name, index) => {
    const href = escaped(hrefOf(base, names.slice(0, index + 1).join('/'), true))
    const current = index === names.length - 1 ? ' aria-current="page"' : ''
    return ` <span class="sep" aria-hidden="true">/</span> <a href="${href}"${current}>${escaped(name)}</a>`
  })
  const current = names.length === 0 ? ' aria-current="page"' : ''
  return `<a href="${escaped(hrefOf(base, '', true))}"${current}>Files</a>${links.join('')}`
}

function table(base: string, listing: Listing): string {
  if (listing.entries.length === 0) return '<p class="empty">This folder is empty.</p>'
  const folders = listing.entries.filter((entry) => entry.kind === 'folder')
  const others = listing.entries.filter((entry) => entry.kind !== 'folder')
  const rows = [...folders, ...others].map((entry) => row(base, entry)).join('\n')
  const more = listing.truncated
    ? `<p class="hint">Only ${listing.entries.length} entries are shown; there are more.</p>`
    : ''
  return `<table>
<thead><tr><th scope="col">Name</th><th scope="col" class="size">Size</th><th scope="col" class="time">Changed</th>
<th scope="col"><span class="away">Actions</span></th></tr></thead>
<tbody>
${rows}
</tbody>
</table>${more}`
}

function row(base: string, entry: Entry): string {
  const name = nameOf(entry.path)
  const folder = entry.kind === 'folder'
  const href = escaped(hrefOf(base, entry.path, folder))
  const label = escaped(name)
  const readable = folder || entry.kind === 'file'
  const link = readable
    ? `<a href="${href}">${label}</a>`
    : `<span title="not followed">${label} (${entry.kind})</span>`
  const download =
    entry.kind === 'file'
      ? `<a class="button" href="${href}" download="${label}" aria-label="Download ${label}">Download</a>`
      : ''
  const time = new Date(entry.modifiedMs).toISOString()
  return `<tr><td class="name ${entry.kind}">${link}</td>
<td class="size">${entry.kind === 'file' ? sizeText(entry.sizeBytes) : ''}</td>
<td class="time"><time datetime="${time}">${time.slice(0, 16).replace('T', ' ')}</time></td>
<td class="do">${download}<button type="button" data-remove="${href}" data-name="${label}" data-kind="${entry.kind}" aria-label="Delete ${label}">Delete</button></td></tr>`
}
