<?php
// php-fpm behind nginx, with the curl extension: a process answers one request at a time, and starts each from nothing.
declare(strict_types=1);

/** A handle for `$target`; reading the body to its end is curl's habit. */
function handle(string $target): CurlHandle
{
    $handle = curl_init(getenv('NEXT') . $target);
    curl_setopt_array($handle, [CURLOPT_RETURNTRANSFER => true, CURLOPT_NOPROXY => '*']);
    return $handle;
}

/** Calls, over the connection of the last call of this request, and returns the status. */
function call(string $target): int
{
    static $handle = null;
    $handle ??= handle($target);
    curl_setopt($handle, CURLOPT_URL, getenv('NEXT') . $target);
    if (curl_exec($handle) === false) {
        throw new RuntimeException(curl_error($handle));
    }
    return curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
}

/** Calls all at once. */
function call_all(array $targets): void
{
    $handles = array_map(handle(...), $targets);
    $multi = curl_multi_init();
    foreach ($handles as $handle) {
        curl_multi_add_handle($multi, $handle);
    }
    do {
        $status = curl_multi_exec($multi, $running);
        if ($running) {
            curl_multi_select($multi);
        }
    } while ($running && $status === CURLM_OK);
    while ($done = curl_multi_info_read($multi)) {
        if ($done['result'] !== CURLE_OK) {
            throw new RuntimeException(curl_strerror($done['result']));
        }
    }
}

/** What the request at `$place` does before it is answered; whether there is such a shape. */
function before_answer(string $shape, string $place, int $delay, int $depth): bool
{
    $target = fn (int $n, array $more = []) => "$place.$n?" . http_build_query($more + ['delay' => $delay]);
    switch ($shape) {
        case 'chain':
            call($target(1, $depth >= 1 ? ['shape' => 'chain', 'depth' => $depth - 1] : []));
            return true;
        case 'sequence':
            array_map(call(...), array_map($target, [1, 2, 3]));
            return true;
        case 'parallel':
            call_all(array_map($target, [1, 2, 3]));
            return true;
        case 'retry':
            if (call($target(1, ['fail' => 1])) === 503) {
                call($target(2));
            }
            return true;
        case 'forget':
            register_shutdown_function(function () use ($target, $delay) {
                fastcgi_finish_request();
                usleep($delay * 1000);
                call($target(1));
            });
            return true;
        case 'timer':
            usleep($delay * 1000);
            call($target(1));
            return true;
        default:
            return false;
    }
}

function answer(int $status, string $text): void
{
    http_response_code($status);
    header('Content-Type: text/plain');
    header('Content-Length: ' . strlen($text));
    echo $text;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/ready') {
    answer(200, "ready\n");
} else {
    try {
        $known = before_answer($_GET['shape'] ?? '', $path, (int) ($_GET['delay'] ?? 0), (int) ($_GET['depth'] ?? 0));
        $known ? answer(200, "$path\n") : answer(501, "not in PHP\n");
    } catch (RuntimeException $error) {
        answer(502, $error->getMessage() . "\n");
    }
}
