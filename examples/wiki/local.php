<?php
// Settings of this wiki. It lies with the pages, in the workspace, and is yours to change.
$conf['title'] = 'Wiki';
$conf['useacl'] = 0;
$conf['userewrite'] = 0;
$conf['dontlog'] = 'error,debug,deprecated';

// Where the wiki is, on the disk and for its readers.
$conf['savedir'] = getenv('NODE_DAEMON_DIR') . '/data';
$conf['basedir'] = getenv('NODE_DAEMON_BASE');

// What can be made anew is not kept.
$conf['cachedir'] = '/tmp/cache';
$conf['lockdir'] = '/tmp/locks';
$conf['tmpdir'] = '/tmp/tmp';
$conf['logdir'] = '/tmp/log';
