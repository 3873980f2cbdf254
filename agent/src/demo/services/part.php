<?php
// A part of the shop of `wirespan demo`, as a router of PHP's own server. ROLE says what it is: prices are slow at times,
// payments fail at times.
$role = getenv('ROLE');
$number = (int) basename(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
if ($role === 'prices' && $number % 5 === 2) {
    usleep(400000);
}
$failed = $role === 'payments' && $number % 7 === 3;
http_response_code($failed ? 500 : 200);
header('Content-Type: application/json');
echo $failed ? "{\"answer\": \"no\"}\n" : "{\"answer\": \"yes\"}\n";
