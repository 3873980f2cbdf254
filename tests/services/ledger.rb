# WEBrick, or Puma by ledger.ru: a thread a connection or a pool; Ruby's sockets never block, it waits in ppoll.
require 'net/http'

# Calls the next service: /hop/7/1 for /hop/7/0.
def call_next(path)
  at, hop = path.rpartition('/').values_at(0, 2)
  Net::HTTP.start('127.0.0.1', Integer(ENV.fetch('DOWNSTREAM_PORT')), nil, open_timeout: 5, read_timeout: 5) do |http|
    http.get("#{at}/#{Integer(hop) + 1}").body
  end
end

if $PROGRAM_NAME == __FILE__
  require 'webrick'
  server = WEBrick::HTTPServer.new(BindAddress: '127.0.0.1', Port: Integer(ARGV[0]), AccessLog: [],
                                   Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN))
  server.mount_proc('/') { |request, response| response.body = call_next(request.path) }
  trap('TERM') { server.shutdown }
  server.start
end
