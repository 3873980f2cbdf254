require_relative 'ledger'

run lambda { |env|
  body = call_next(env['PATH_INFO'])
  [200, { 'Content-Length' => body.bytesize.to_s }, [body]]
}
