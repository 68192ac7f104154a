/** The look of the front door's own pages: that of the console and of the files page, in light and dark. */
export const STYLE = `
:root { color-scheme: light dark; --paper: #f6f7f6; --card: #fff; --ink: #1c2423; --quiet: #5b6867; --line: #dde3e1; --accent: #1f6661; --accent-ink: #fff; --bad: #a3262a; --good: #1d6b3a }
@media (prefers-color-scheme: dark) { :root { --paper: #121716; --card: #1a2120; --ink: #e4eae8; --quiet: #9aa8a6; --line: #2b3533; --accent: #6cc0b8; --accent-ink: #0c1a19; --bad: #f2918c; --good: #7fd09b } }
* { box-sizing: border-box }
body { margin: 0; padding: 8vh 1rem 2rem; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere }
main { max-width: 34rem; margin: 0 auto; padding: 1.75rem; background: var(--card); border: 1px solid var(--line); border-radius: 14px; display: grid; gap: 1rem }
h1, h2, p, ul, dl, dd, form { margin: 0 }
h1 { font-size: 1.5rem; font-weight: 650; letter-spacing: -.01em }
h2 { font-size: 1.05rem; font-weight: 650 }
form, section { display: grid; gap: .6rem }
a { color: var(--accent) }
label { font-weight: 550 }
input { font: inherit; width: 100%; padding: .5rem .7rem; color: inherit; background: var(--paper); border: 1px solid var(--line); border-radius: 8px }
button, .button { font: inherit; font-weight: 550; text-align: center; text-decoration: none; padding: .5rem 1rem; color: var(--ink); background: var(--paper); border: 1px solid var(--line); border-radius: 8px; cursor: pointer; display: block }
button:hover, .button:hover { border-color: var(--accent) }
button.primary, .button.primary { color: var(--accent-ink); background: var(--accent); border-color: var(--accent) }
button.danger { color: var(--bad) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.quiet { color: var(--quiet) }
.small { font-size: .875rem }
.problem { color: var(--bad) }
.good { color: var(--good) }
.row { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; justify-content: space-between }
table { width: 100%; border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 550; color: var(--quiet); font-size: .85rem }
th, td { padding: .4rem .5rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
meter { width: 100% }
hr { width: 100%; margin: 0; border: 0; border-top: 1px solid var(--line) }
`
