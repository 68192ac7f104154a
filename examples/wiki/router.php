<?php
// PHP's own web server asks this for each request: paths come with the prefix of the service.
const ROOT = '/usr/share/dokuwiki';
define('DOKU_CONF', getenv('NODE_DAEMON_DIR') . '/conf/');

$base = getenv('NODE_DAEMON_BASE');
$path = rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/');
if ($path . '/' === $base) {
    header("Location: $base", true, 301);
    return true;
}
$name = str_starts_with($path, $base) ? substr($path, strlen($base)) : '';
$file = realpath(ROOT . '/' . ($name === '' ? 'doku.php' : $name));
// Links lead out of the folder: Debian keeps plugins and templates elsewhere.
$isServed = $file !== false && is_file($file) && preg_match('~^(/usr/share|/var/lib/dokuwiki/lib)/~', $file);
if (!$isServed || preg_match('~/(inc|bin|vendor|\.[^/]*)(/|$)~', '/' . $name)) {
    http_response_code(404);
    echo 'no such page';
    return true;
}
if (str_ends_with($file, '.php')) {
    $_SERVER['SCRIPT_NAME'] = $_SERVER['PHP_SELF'] = $base . ($name === '' ? 'doku.php' : $name);
    $_SERVER['SCRIPT_FILENAME'] = $file;
    chdir(dirname($file));
    require $file;
    return true;
}
$types = ['css' => 'text/css', 'js' => 'text/javascript', 'svg' => 'image/svg+xml', 'png' => 'image/png', 'gif' => 'image/gif', 'ico' => 'image/x-icon', 'jpg' => 'image/jpeg'];
header('Content-Type: ' . ($types[pathinfo($file, PATHINFO_EXTENSION)] ?? 'application/octet-stream'));
readfile($file);
return true;
