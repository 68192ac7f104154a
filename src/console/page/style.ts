/** Calm, in light and dark, from 380 px upwards. No colour carries a meaning that a word does not carry too. */
export const STYLE = `
:root {
  --paper: #f6f7f6; --card: #ffffff; --ink: #1c2423; --quiet: #5b6867; --line: #dde3e1; --accent: #1f6661; --accent-ink: #ffffff;
  --accent-soft: #e3f0ee; --warn: #8a5300; --warn-soft: #fdf1dc; --bad: #a3262a; --bad-soft: #fbe7e6; --good: #1d6b3a; --good-soft: #e2f3e7;
  --shadow: 0 1px 2px rgb(20 40 38 / 6%), 0 4px 16px rgb(20 40 38 / 5%);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #121716; --card: #1a2120; --ink: #e4eae8; --quiet: #9aa8a6; --line: #2b3533; --accent: #6cc0b8; --accent-ink: #0c1a19;
    --accent-soft: #1d3431; --warn: #f0b869; --warn-soft: #35290f; --bad: #f2918c; --bad-soft: #3b1d1d; --good: #7fd09b; --good-soft: #17321f;
    --shadow: 0 1px 2px rgb(0 0 0 / 40%);
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: break-word; }
dd, h2, h3, blockquote, td, li, .mono, .notice { overflow-wrap: anywhere; }
h1, h2, h3, p, dl, dd, ul, blockquote { margin: 0; padding: 0; }
h1 { font-size: 1.5rem; font-weight: 650; letter-spacing: -0.01em; }
h2 { font-size: 1.15rem; font-weight: 650; }
h3 { font-size: 1rem; font-weight: 650; }
code, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.9em; }
a { color: var(--accent); }
.quiet { color: var(--quiet); }
.small { font-size: 0.85rem; }
.block { display: block; }
.problem { color: var(--bad); }
.problem:empty { display: none; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: 0.5rem; background: var(--card); padding: 0.5rem 1rem; z-index: 2; border-radius: 8px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 6px; }
#content:focus { outline: none; }

header { background: var(--card); border-bottom: 1px solid var(--line); position: sticky; top: 0; z-index: 1; }
.bar, nav, #content, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
.bar { display: flex; justify-content: space-between; align-items: center; gap: 1rem; padding-top: 0.75rem; }
.brand { display: flex; align-items: center; gap: 0.6rem; font-weight: 650; font-size: 1.05rem; }
.mark { width: 1.3rem; height: 1.3rem; flex: none; background:
  radial-gradient(circle at 30% 30%, #2a6f6b 0 29%, transparent 31%),
  radial-gradient(circle at 74% 38%, #5aa9a3 0 20%, transparent 22%),
  radial-gradient(circle at 48% 76%, #8cc6c1 0 23%, transparent 25%); }
.who { display: flex; align-items: center; gap: 0.9rem; font-size: 0.9rem; }
.live { display: inline-flex; align-items: center; gap: 0.4rem; color: var(--quiet); }
.live::before { content: ""; width: 0.55rem; height: 0.55rem; border-radius: 50%; background: var(--quiet); }
.live[data-state="live"]::before { background: var(--good); }
.live[data-state="polling"]::before { background: var(--warn); }
nav { display: flex; gap: 0.25rem; overflow-x: auto; margin-top: 0.35rem; }
nav a { color: var(--quiet); text-decoration: none; padding: 0.55rem 0.75rem; border-bottom: 2px solid transparent; white-space: nowrap; }
nav a:hover { color: var(--ink); }
nav a[aria-current] { color: var(--ink); border-bottom-color: var(--accent); font-weight: 600; }
nav a:focus-visible { outline-offset: -3px; }
.badge { background: var(--warn); color: var(--card); border-radius: 999px; font-size: 0.75rem; font-weight: 650; padding: 0.05rem 0.45rem; margin-left: 0.4rem; }
#content { padding-top: 1.5rem; padding-bottom: 2rem; min-height: 70vh; }
#page { display: grid; gap: 1.25rem; min-width: 0; }
#page > *, section { min-width: 0; }
section { display: grid; gap: 0.75rem; }
#pending { margin-bottom: 1.75rem; }
footer { padding-bottom: 1.5rem; }
.notice { background: var(--bad-soft); border-radius: 10px; padding: 0.7rem 1rem; margin-bottom: 1rem; }
.section-head { display: flex; justify-content: space-between; align-items: end; gap: 1rem; flex-wrap: wrap; }

button { font: inherit; font-size: 0.92rem; font-weight: 550; padding: 0.4rem 0.85rem; min-height: 2.25rem; border-radius: 8px; border: 1px solid var(--line); background: var(--card); color: var(--ink); cursor: pointer; white-space: nowrap; }
button:hover:not(:disabled) { border-color: var(--quiet); }
button:disabled { opacity: 0.5; cursor: default; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--accent-ink); }
button.danger { background: var(--bad); border-color: var(--bad); color: var(--card); }
button.plain, button.quiet-danger { background: transparent; border-color: transparent; color: var(--quiet); }
button.quiet-danger:hover { color: var(--bad); }
button.name { background: none; border: none; padding: 0; min-height: 0; color: var(--accent); font-size: 1rem; text-align: left; white-space: normal; }
button.name:hover { text-decoration: underline; }
button.name.mono { font-size: 0.9rem; }
.buttons { display: flex; gap: 0.5rem; flex-wrap: wrap; }
.buttons.tight { justify-content: flex-end; gap: 0.25rem; flex-wrap: nowrap; }
input, select { font: inherit; width: 100%; padding: 0.5rem 0.7rem; min-height: 2.5rem; border: 1px solid var(--line); border-radius: 8px; background: var(--paper); color: var(--ink); }
input[type="checkbox"] { width: 1.1rem; height: 1.1rem; min-height: 0; flex: none; accent-color: var(--accent); margin-top: 0.2rem; }
label { font-size: 0.9rem; font-weight: 550; }
.field { display: grid; gap: 0.25rem; }
.check { display: flex; gap: 0.6rem; font-weight: 400; }
.search { display: grid; gap: 0.25rem; max-width: 26rem; }
.search input { background: var(--card); }

.sign-in { min-height: 100vh; display: grid; place-items: center; padding: 1.25rem; }
.sign-in form { display: grid; gap: 0.9rem; background: var(--card); border: 1px solid var(--line); border-radius: 16px; padding: 2rem; width: 100%; max-width: 26rem; box-shadow: var(--shadow); }
.sign-in label { margin-bottom: -0.6rem; }

.safety { border-radius: 10px; padding: 0.7rem 1rem; background: var(--good-soft); color: var(--good); font-weight: 550; }
.safety[data-safe="false"] { background: var(--warn-soft); color: var(--warn); }
.safety[data-safe="damaged"] { background: var(--bad-soft); color: var(--bad); }
.safety:empty { display: none; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: 0.9rem; }
.figure, .card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1rem 1.15rem; box-shadow: var(--shadow); }
.figure-title { color: var(--quiet); font-size: 0.9rem; }
.figure-value { font-size: 2.1rem; font-weight: 650; line-height: 1.25; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figure-note { color: var(--quiet); font-size: 0.85rem; }
.figure[data-warn="true"] .figure-value, .figure[data-warn="true"] .figure-note { color: var(--warn); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 0.9rem; }
.card { display: grid; gap: 0.7rem; align-content: start; border-left: 4px solid var(--warn); }
.card .buttons { margin-top: 0.25rem; }
.code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 1.3rem; font-weight: 650; letter-spacing: -0.01em; color: var(--accent); }
.code.big { font-size: 1.6rem; text-align: center; background: var(--accent-soft); border-radius: 10px; padding: 0.9rem; user-select: all; }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: 0.15rem 0.9rem; font-size: 0.9rem; }
dt { color: var(--quiet); }
blockquote { border-left: 3px solid var(--line); padding-left: 0.8rem; color: var(--quiet); font-style: italic; }
.label { display: inline-block; background: var(--accent-soft); color: var(--accent); border-radius: 6px; padding: 0 0.4rem; font-size: 0.78rem; margin: 0.1rem 0.3rem 0.1rem 0; }
.about { display: grid; gap: 0.5rem; font-size: 0.92rem; }
.about > div { display: grid; grid-template-columns: 8.5rem 1fr; gap: 0.75rem; }
.about dd { white-space: pre-line; }

.chip { display: inline-block; font-size: 0.8rem; font-weight: 600; padding: 0.1rem 0.6rem; border-radius: 999px; background: var(--line); color: var(--ink); }
.chip[data-state="serving"] { background: var(--good-soft); color: var(--good); }
.chip[data-state="approved"], .chip[data-state="moving"], .chip[data-state="restoring"], .chip[data-state="draining"], .chip[data-state="drained"] { background: var(--accent-soft); color: var(--accent); }
.chip[data-state="pending"], .chip[data-state="stalled"], .chip[data-state="frozen"] { background: var(--warn-soft); color: var(--warn); }
.chip[data-state="dead"], .chip[data-state="denied"], .chip[data-state="revoked"], .chip[data-state="orphaned"], .chip[data-state="blocked"] { background: var(--bad-soft); color: var(--bad); }
td .chip + * { margin-top: 0.3rem; }
td:first-child .chip { margin-left: 0.5rem; }
td:first-child { min-width: 11rem; }
td[data-label="No."] { min-width: 0; }
.plain-list { list-style: none; display: grid; gap: 0.3rem; }

.table { background: var(--card); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: 0.8rem; font-weight: 550; color: var(--quiet); padding: 0.7rem 0.9rem; white-space: nowrap; }
td { padding: 0.7rem 0.9rem; border-top: 1px solid var(--line); vertical-align: top; }
td:last-child { text-align: right; }
td[data-label="Details"] { text-align: left; }
td[data-label="Disk"] { min-width: 8rem; }
td[data-label="Last seen"], td[data-label="When"], td[data-label="Unsynced"] { white-space: nowrap; }
.empty { padding: 1.5rem; color: var(--quiet); text-align: center; }
meter, progress { width: 100%; height: 0.6rem; display: block; }
meter { margin-top: 0.4rem; }
progress { appearance: none; border: none; border-radius: 999px; overflow: hidden; background: var(--line); height: 0.45rem; margin-bottom: 0.25rem; }
progress::-webkit-progress-bar { background: var(--line); }
progress::-webkit-progress-value { background: var(--accent); transition: width 0.4s; }
progress::-moz-progress-bar { background: var(--accent); }
[data-drain="stalled"] progress::-webkit-progress-value { background: var(--warn); }
[data-drain="stalled"] progress::-moz-progress-bar { background: var(--warn); }
.drain { min-width: 11rem; }

dialog { border: 1px solid var(--line); border-radius: 16px; background: var(--card); color: var(--ink); padding: 0; width: min(34rem, calc(100vw - 1.5rem)); max-height: calc(100dvh - 1.5rem); box-shadow: 0 10px 50px rgb(0 0 0 / 30%); }
dialog::backdrop { background: rgb(10 20 20 / 45%); }
dialog form { display: grid; gap: 1rem; padding: 1.5rem; }
.dialog-body { display: grid; gap: 0.9rem; }
.dialog-buttons { display: flex; justify-content: flex-end; gap: 0.5rem; flex-wrap: wrap; }
.plan { background: var(--paper); border-radius: 10px; padding: 0.8rem 1rem; max-height: 14rem; overflow-y: auto; font-size: 0.92rem; }
.secret { display: flex; gap: 0.5rem; }
.secret input { font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.secret button { flex: none; }
#audit-check[data-ok="true"] { color: var(--good); }
#audit-check[data-ok="false"] { color: var(--bad); }
#audit-check:empty { display: none; }
.toast { position: fixed; left: 50%; bottom: 1.5rem; transform: translate(-50%, 1rem); max-width: calc(100vw - 2rem); background: var(--ink); color: var(--paper); padding: 0.6rem 1.1rem; border-radius: 10px; opacity: 0; pointer-events: none; transition: opacity 0.2s, transform 0.2s; }
.toast.shown { opacity: 1; transform: translate(-50%, 0); }

@media (max-width: 48rem) {
  header { position: static; }
  .bar, nav, #content, footer { padding-left: 0.9rem; padding-right: 0.9rem; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.6rem; }
  .figure { padding: 0.8rem 0.9rem; }
  .figure-value { font-size: 1.6rem; }
  #who { display: none; }
  nav { gap: 0; justify-content: space-between; padding-left: 0.5rem; padding-right: 0.5rem; }
  nav a { padding: 0.55rem 0.4rem; font-size: 0.88rem; }
  .badge { margin-left: 0.25rem; padding: 0 0.35rem; }
  .code { font-size: 1.1rem; }
  .code.big { font-size: 1.2rem; }
  .about > div { grid-template-columns: 1fr; gap: 0; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody { display: block; }
  tr { display: block; padding: 0.8rem 0.9rem; }
  tr + tr { border-top: 1px solid var(--line); }
  td, td:last-child { display: grid; grid-template-columns: 6.2rem minmax(0, 1fr); column-gap: 0.75rem; border: none; padding: 0.2rem 0; text-align: left; white-space: normal; }
  td::before { content: attr(data-label); color: var(--quiet); font-size: 0.85rem; grid-row: 1 / span 6; }
  td > * { grid-column: 2; justify-self: start; }
  td > meter, td > .drain { justify-self: stretch; }
  td:first-child { display: block; padding-bottom: 0.4rem; font-size: 1.02rem; }
  td:first-child::before, td[data-label=""]::before { content: none; }
  td[data-label=""] { display: block; padding-top: 0.5rem; }
  td[data-label=""]:empty { display: none; }
  .buttons.tight { justify-content: flex-start; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
`
