<?php
// What php-fpm runs: /hop/N/M calls the next service and hands its answer on, /fail fails, /die ends the worker.
[, $what] = explode('/', $_SERVER['REQUEST_URI']);
header('Content-Type: text/plain');
if ($what === 'fail') {
    throw new RuntimeException("no such 'order'");
}
if ($what === 'die') {
    posix_kill(getmypid(), 9);
}
$downstream = getenv('DOWNSTREAM');
if (!$downstream) {
    echo $_SERVER['REQUEST_URI'], "\n";
    return;
}
[, , $number, $hop] = explode('/', $_SERVER['REQUEST_URI']);
echo file_get_contents("$downstream/hop/$number/" . ($hop + 1));
