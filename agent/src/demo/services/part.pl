# A part of the shop of `wirespan demo`. Arguments: port, and what it is: prices are slow at times, payments fail at times.
use strict;
use warnings;
use IO::Socket::INET;

my ($port, $role) = @ARGV;
$SIG{PIPE} = 'IGNORE';
my $server = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 64, ReuseAddr => 1)
    or die "port $port: $!\n";
while (my $client = $server->accept) {
    my ($number, $length) = (0, 0);
    while (defined(my $line = <$client>)) {
        $number = $1 if $line =~ m{^\w+ \S*/(\d+) };
        $length = $1 if $line =~ /^content-length:\s*(\d+)/i;
        last if $line =~ /^\r?\n$/;
    }
    read($client, my $body, $length) if $length;
    select(undef, undef, undef, 0.4) if $role eq 'prices' && $number % 5 == 2;
    my $failed = $role eq 'payments' && $number % 7 == 3;
    my $answer = $failed ? qq({"answer": "no"}\n) : qq({"answer": "yes"}\n);
    my $status = $failed ? '500 Internal Server Error' : '200 OK';
    syswrite $client, "HTTP/1.1 $status\r\nContent-Type: application/json\r\nContent-Length: " . length($answer)
        . "\r\nConnection: close\r\n\r\n$answer";
    close $client;
}
