/** The console's one page. Everything in it is filled in by the scripts. */
export const HTML = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>node-daemon</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='5' cy='5' r='3.2' fill='%232a6f6b'/%3E%3Ccircle cx='11.5' cy='6' r='2.2' fill='%235aa9a3'/%3E%3Ccircle cx='7.5' cy='11.5' r='2.6' fill='%238cc6c1'/%3E%3C/svg%3E">
<link rel="stylesheet" href="/console.css">
<script type="module" src="/console/main.js"></script>
</head>
<body>
<noscript><p class="notice">This console needs JavaScript. The same data is at <code>/api/v1</code> and on the command line.</p></noscript>

<main id="sign-in" class="sign-in" hidden>
  <form id="sign-in-form">
    <div class="brand"><span class="mark" aria-hidden="true"></span>node-daemon</div>
    <h1>Sign in</h1>
    <p class="quiet">Paste an admin token, or open the one-use link that the coordinator printed when it started.</p>
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" required maxlength="256" spellcheck="false">
    <button id="sign-in-button" class="primary" type="submit">Sign in</button>
    <p id="sign-in-error" class="problem" role="alert"></p>
    <p class="quiet small">Lost both? On the coordinator's machine: <code>node-daemon admins link</code></p>
  </form>
</main>

<div id="app" hidden>
  <a class="skip" href="#content">Skip to the content</a>
  <header>
    <div class="bar">
      <div class="brand"><span class="mark" aria-hidden="true"></span><span id="federation">node-daemon</span></div>
      <div class="who">
        <span id="live" class="live" role="status" data-state="connecting">connecting</span>
        <span id="who" class="quiet"></span>
        <button id="sign-out" class="plain" type="button">Sign out</button>
      </div>
    </div>
    <nav aria-label="Sections">
      <a href="#/overview" data-page="overview">Overview</a>
      <a href="#/peers" data-page="peers">Peers<span id="pending-badge" class="badge" hidden></span></a>
      <a href="#/workspaces" data-page="workspaces">Workspaces</a>
      <a href="#/people" data-page="people">People</a>
      <a href="#/audit" data-page="audit">Audit</a>
    </nav>
  </header>
  <main id="content" tabindex="-1">
    <p id="trouble" class="notice problem" role="alert" hidden></p>
    <section id="pending" aria-labelledby="pending-title" hidden>
      <h2 id="pending-title">Waiting for you</h2>
      <div id="pending-cards" class="cards"></div>
    </section>
    <div id="page"></div>
  </main>
  <footer class="quiet small" id="footer"></footer>
</div>

<div id="toast" class="toast" role="status" aria-live="polite"></div>
</body>
</html>
`
