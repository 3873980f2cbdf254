# Net::HTTP, a connection kept by each thread; a pool of two; a queue with two workers; and the shapes. See ../README.md.
require 'net/http'

NEXT = URI(ENV.fetch('NEXT'))

module Calls
  module_function

  def connect
    Net::HTTP.start(NEXT.host, NEXT.port, nil, open_timeout: 30, read_timeout: 30)
  end

  # Returns the status.
  def get(target)
    http = Thread.current[:http] ||= connect
    http.get(target).code.to_i
  rescue EOFError, Errno::ECONNRESET, Errno::EPIPE
    Thread.current[:http] = nil
    retry
  end

  POOL = Queue.new.tap { |pool| 2.times { pool << nil } }

  def through_pool(target)
    http = POOL.pop
    (http ||= connect).get(target).code.to_i
  ensure
    POOL << http
  end

  JOBS = Queue.new

  # Leaves the call to a long-lived worker, and waits for its status.
  def queued(target)
    result = Queue.new
    JOBS << [target, result]
    result.pop
  end

end

2.times { Thread.new { loop { Calls::JOBS.pop.then { |target, result| result << Calls.get(target) } } } }

# What hop `name` of a request does before it is answered.
def perform(shape, request, name, delay)
  target = ->(n, more = '') { "/hop/#{request}/#{name}.#{n}?#{more}delay=#{delay}" }
  case shape
  when 'sequence' then 3.times { |n| Calls.get(target[n + 1]) }
  when 'parallel' then Array.new(3) { |n| Thread.new { Calls.connect.then { |http| http.get(target[n + 1]).then { http.finish } } } }.each(&:join)
  when 'retry' then Calls.get(target[1, 'fail=1&']) == 503 && Calls.get(target[2])
  when 'forget' then Thread.new { sleep(delay / 1000.0).then { Calls.get(target[1]) } }
  when 'pool' then Calls.through_pool(target[1])
  when 'queue' then Calls.queued(target[1])
  when 'timer' then sleep(delay / 1000.0).then { Calls.get(target[1]) }
  else raise ArgumentError, shape
  end
end

def answer(path, query)
  _, kind, request, name = path.split('/')
  return [200, 'ready'] unless kind == 'hop'

  query = URI.decode_www_form(query.to_s).to_h
  delay = query.fetch('delay', '0').to_i
  case query['shape']
  when 'chain'
    depth = query.fetch('depth', '0').to_i
    deeper = depth.positive? ? "shape=chain&depth=#{depth - 1}&" : ''
    Calls.get("/hop/#{request}/#{name}.1?#{deeper}delay=#{delay}")
  else perform(query['shape'], request, name, delay)
  end
  [200, "hop #{name}"]
rescue ArgumentError
  [501, 'no such shape']
end
