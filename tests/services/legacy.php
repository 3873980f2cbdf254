<?php
// PHP's built-in server or php-fpm; calls the next service through PHP's own streams.
$downstream = getenv('DOWNSTREAM');
header('Content-Type: text/plain');
if (!$downstream) {
    echo $_SERVER['REQUEST_URI'], "\n";
    return true;
}
[, , $number, $hop] = explode('/', $_SERVER['REQUEST_URI']);
echo file_get_contents("$downstream/hop/$number/" . ($hop + 1));
return true;
