<?php
// `/w/N` fails with an exception that says `n=N`; other paths do not, and log that.
function deep(string $n): void
{
    throw new RuntimeException("n=$n");
}

[, $what, $n] = explode('/', $_SERVER['REQUEST_URI']);
if ($what === 'w') {
    deep($n);
}
file_put_contents('php://stderr', "[2026-11-30 09:12:17] shop.WARNING: fine n=$n password=s3cret\n");
echo "n=$n";
