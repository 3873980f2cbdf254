// Which frames of a stack trace are the program's own.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { frames, ownFrames } from '../../../view/web/js/stack.js';
import { failure } from '../../../view/web/js/tree.js';

const STACKS = [
  ['Python', 'Traceback (most recent call last):\n  File "/srv/v/lib/python3.13/site-packages/flask/app.py", line 1, in wsgi_app\n    response = f()\n  File "/app/shop.py", line 9, in outer\n    inner()\n  File "/app/shop.py", line 3, in inner\n    raise ValueError\nValueError: ?',
    ['  File "/app/shop.py", line 3, in inner\n    raise ValueError', '  File "/app/shop.py", line 9, in outer\n    inner()'], 3],
  ['JVM', 'org.acme.E: ?\n\tat org.acme.Shop.order(Shop.java:12)\n\tat java.base/java.lang.Thread.run(Thread.java:840)\n\tat org.springframework.web.A.b(A.java:1)\nCaused by: java.io.IOException: ?\n\tat org.acme.Disk.read(Disk.java:1)\n\t... 2 more',
    ['\tat org.acme.Shop.order(Shop.java:12)', '\tat org.acme.Disk.read(Disk.java:1)'], 4],
  ['Node', 'TypeError: ?\n    at take (/app/shop.js:12:9)\n    at Layer.handle (/app/node_modules/express/layer.js:95:5)\n    at node:internal/process/task_queues:95:5', ['    at take (/app/shop.js:12:9)'], 3],
  ['Go', 'panic: ?\ngoroutine 5 [running]:\npanic(...)\n\t/usr/lib/go/src/runtime/panic.go:787 +0x132\nmain.deep(...)\n\t/app/main.go:12 +0x45\nnet/http.HandlerFunc.ServeHTTP(...)\n\t/usr/lib/go/src/net/http/server.go:1 +0x1', ['main.deep(...)\n\t/app/main.go:12 +0x45'], 3],
  ['PHP', 'RuntimeException: ?\nStack trace:\n#0 /app/vendor/x/a.php(9): f(...)\n#1 /app/i.php(2): order(...)\n#2 {main}', ['#1 /app/i.php(2): order(...)'], 3],
  ['Ruby', "app.rb:3:in 'take': RuntimeError: ?\n\tfrom app.rb:7:in 'block'\n\tfrom /usr/lib/ruby/gems/3.3.0/gems/puma/a.rb:1:in 'x'", ["app.rb:3:in 'take': RuntimeError: ?", "\tfrom app.rb:7:in 'block'"], 3],
  ['nothing', 'no frames at all', [], 0],
];

test('own frames stand first, libraries do not', () => {
  for (const [language, stack, own, all] of STACKS) {
    assert.deepEqual(ownFrames(stack), own, language);
    assert.equal(frames(stack).length, all, language);
  }
});

test('a hundred thousand frames are looked at once', () => {
  const stack = `E: ?\n${'    at f (/app/a.js:1:1)\n'.repeat(100_000)}`;
  assert.equal(ownFrames(stack).length, 12);
});

test('an exception that did not make its span fail is told all the same', () => {
  const span = { status: 'unset', events: [{ name: 'exception', attributes: { 'exception.type': 'E', 'exception.message': 'm' } }] };
  assert.deepEqual(failure(span), { type: 'E', message: 'm', stack: '', escaped: false });
});
