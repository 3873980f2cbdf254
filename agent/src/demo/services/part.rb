# A part of the shop of `wirespan demo`. Arguments: port, and what it is: prices are slow at times, payments fail at times.
require 'socket'

port, role = ARGV
server = TCPServer.new('127.0.0.1', Integer(port))
loop do
  Thread.new(server.accept) do |client|
    number = client.gets.to_s[%r{/(\d+) }, 1].to_i
    length = 0
    while (line = client.gets) && line != "\r\n"
      length = line[/\d+/].to_i if line =~ /\Acontent-length:/i
    end
    client.read(length) if length.positive?
    sleep 0.4 if role == 'prices' && number % 5 == 2
    failed = role == 'payments' && number % 7 == 3
    answer = failed ? "{\"answer\": \"no\"}\n" : "{\"answer\": \"yes\"}\n"
    status = failed ? '500 Internal Server Error' : '200 OK'
    client.write("HTTP/1.1 #{status}\r\nContent-Type: application/json\r\nContent-Length: #{answer.bytesize}\r\n" \
                 "Connection: close\r\n\r\n#{answer}")
    client.close
  end
end
