require_relative 'hops'

run lambda { |env|
  status, text = answer(env['PATH_INFO'], env['QUERY_STRING'])
  [status, { 'Content-Type' => 'text/plain', 'Content-Length' => (text.bytesize + 1).to_s }, ["#{text}\n"]]
}
