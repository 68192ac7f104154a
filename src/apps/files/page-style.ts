/** The look of the listing page: system fonts, system colours, nothing to download. */
export const PAGE_STYLE = `
:root { color-scheme: light dark; --ink: #1c2330; --soft: #5b6676; --line: #e2e6ec; --paper: #fff; --wash: #f5f7fa; --accent: #1f5fbf; --on: #fff; --bad: #b3261e; --good: #1b7a43 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #9aa5b4; --line: #2c3440; --paper: #14181e; --wash: #1c222b; --accent: #7fb0ff; --on: #0c1626; --bad: #ff8a80; --good: #74d39a } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 60rem; min-height: 100vh; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper) }
header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: baseline; justify-content: space-between; border-bottom: 1px solid var(--line) }
nav { font-size: 1.25rem; overflow-wrap: anywhere; padding: .5rem 0 }
nav a { color: inherit; text-decoration: none }
nav a:hover { text-decoration: underline }
nav a[aria-current] { font-weight: 600 }
.sep, #state, footer, .hint, .empty, .size, .time, th { color: var(--soft) }
#state { margin: 0; font-size: .9rem }
#state::before { content: "●"; margin-right: .4em; color: var(--good) }
#state.busy::before { color: var(--accent) }
#state.bad { color: var(--bad) }
#state.bad::before { color: var(--bad) }
.actions { display: flex; gap: .5rem; margin: 1rem 0 }
button, .button { font: inherit; font-size: .95rem; color: var(--ink); background: var(--wash); border: 1px solid var(--line); border-radius: .5rem; padding: .4rem .9rem; cursor: pointer; text-decoration: none; display: inline-block }
button:hover, .button:hover { border-color: var(--accent) }
button.primary { color: var(--on); background: var(--accent); border-color: var(--accent) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
table { width: 100%; border-collapse: collapse }
th { font-weight: 500; font-size: .85rem; text-align: left; padding: .4rem .5rem }
td { border-top: 1px solid var(--line); padding: .45rem .5rem; vertical-align: middle }
tbody tr:hover { background: var(--wash) }
.name { overflow-wrap: anywhere; white-space: pre-wrap; width: 100% }
.name a { color: var(--accent); text-decoration: none }
.name a:hover { text-decoration: underline }
.name.folder a { font-weight: 600 }
.name.folder a::after { content: "/" }
.size, .time, .do { white-space: nowrap; font-size: .9rem }
th.size, th.time { font-size: .85rem }
.size { text-align: right; font-variant-numeric: tabular-nums }
.do { text-align: right }
.do button, .do .button { padding: .2rem .6rem; margin-left: .35rem; font-size: .85rem }
.away { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
.empty { padding: 3rem 0; text-align: center }
.hint, footer { font-size: .85rem }
footer a { color: inherit }
footer { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: .75rem }
#transfers { list-style: none; margin: 0; padding: 0 }
#transfers li { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; padding: .35rem 0; overflow-wrap: anywhere }
#transfers progress { grid-column: 1 / -1; width: 100%; accent-color: var(--accent) }
#transfers .bad { color: var(--bad) }
body.over main { outline: 3px dashed var(--accent); outline-offset: .5rem; border-radius: .5rem }
dialog { color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; padding: 1.25rem; width: min(26rem, 90vw) }
dialog::backdrop { background: #0006 }
dialog p { margin: 0 0 1rem; overflow-wrap: anywhere }
dialog input { font: inherit; width: 100%; padding: .45rem .6rem; color: inherit; background: var(--wash); border: 1px solid var(--line); border-radius: .5rem }
dialog .actions { justify-content: flex-end; margin-bottom: 0 }
@media (max-width: 40rem) {
  thead { display: none }
  tr { display: grid; grid-template-columns: 1fr auto; padding: .4rem 0; border-top: 1px solid var(--line) }
  td { border: 0; padding: .1rem .25rem }
  .name { grid-column: 1 / -1 }
  .size { text-align: left; grid-row: 2 }
  .time { display: none }
  .do { grid-row: 2; grid-column: 2 }
  .do button, .do .button { padding: .45rem .8rem }
}
`
