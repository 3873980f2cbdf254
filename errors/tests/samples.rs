//! What runtimes and loggers print: each is one exception, whole, in whatever pieces it is written; and what is none.

use wirespan_errors::{Exception, Found, Language, Reader};

fn read(pieces: &[&[u8]]) -> Vec<Found<usize>> {
    let mut reader = Reader::default();
    pieces.iter().enumerate().for_each(|(n, piece)| reader.write(piece, true, &n));
    reader.idle();
    assert!(!reader.is_open());
    reader.take()
}

fn exception<T>(found: &Found<T>) -> &Exception {
    found.exception.as_ref().unwrap()
}

fn keep(text: &str) -> String {
    text.to_owned()
}

/// Its only exception, whatever the pieces that it is written in.
fn only(text: &str) -> Exception {
    let whole = read(&[text.as_bytes()]);
    assert_eq!(whole.len(), 1, "{whole:#?}");
    let by_line: Vec<&[u8]> = text.split_inclusive('\n').map(str::as_bytes).collect();
    let by_byte: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    for pieces in [by_line, by_byte] {
        let found = read(&pieces);
        assert_eq!(found.len(), 1, "{found:#?}");
        let (one, other) = (exception(&found[0]), exception(&whole[0]));
        assert_eq!((&one.kind, &one.message), (&other.kind, &other.message));
        assert_eq!(one.frames(), other.frames());
    }
    assert!(whole[0].is_own, "{whole:#?}");
    exception(&whole[0]).clone()
}

fn says(text: &str, language: Language, kind: &str, message: &str, frames: usize) {
    let exception = only(text);
    assert_eq!(
        (exception.language, &*exception.kind, &*exception.message),
        (language, kind, message),
        "{exception:#?}"
    );
    assert_eq!(exception.frames(), frames, "{exception:#?}");
}

const PYTHON: &str = "[2026-11-30 09:12:17,512] ERROR in app: Exception on /w/7 [GET]
Traceback (most recent call last):
  File \"/app/a.py\", line 3, in inner
    return 1 / zero
           ~~^~~~~~
ZeroDivisionError: division by zero

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File \"/app/a.py\", line 9, in outer
    raise ValueError('n=7') from e
ValueError: n=7
";

const GROUP: &str = "  + Exception Group Traceback (most recent call last):
  |   File \"/app/g.py\", line 1, in f
  |     raise ExceptionGroup('two', errors)
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File \"/app/g.py\", line 2, in g
    | ValueError: 1
    +---------------- 2 ----------------
    | TypeError: 2
    +------------------------------------
";

const JVM: &str = "2026-11-30 09:12:17.512 ERROR 12 --- [nio-1] c.e.Shop : Servlet.service() threw an exception

org.acme.OrderException: no order 7
\tat org.acme.Shop.order(Shop.java:12) ~[classes/:na]
\tat java.base/java.lang.Thread.run(Thread.java:840)
\tSuppressed: java.io.IOException: closed
\t\tat org.acme.Shop.close(Shop.java:20)
\t\t... 2 more
Caused by: java.lang.IllegalStateException: empty
\tat org.acme.Stock.take(Stock.java:5)
\t... 40 common frames omitted
";

const NODE: &str = "TypeError [ERR_BAD]: no stock of 7
    at take (/app/shop.js:12:9)
    at async Layer.handle [as handle_request] (/app/node_modules/express/lib/router/layer.js:95:5)
    at new Promise (<anonymous>)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5) {
  code: 'ERR_BAD',
  [cause]: Error: disk
      at read (/app/disk.js:1:1) {
    errno: 5
  }
}
";

const GO: &str = "2026/11/30 09:12:17 http: panic serving 127.0.0.1:40000: boom 7
goroutine 52 [running]:
net/http.(*conn).serve.func1()
\t/usr/lib/go/src/net/http/server.go:1947 +0xb0
panic({0x6a5ba0?, 0xc0000141e0?})
\t/usr/lib/go/src/runtime/panic.go:787 +0x132
main.(*Shop).order(0xc000123450, {0x1, 0x2})
\t/app/main.go:12 +0x45
created by net/http.(*Server).Serve in goroutine 1
\t/usr/lib/go/src/net/http/server.go:3454 +0x485
";

const RUBY: &str = "app.rb:3:in 'Object#take': no stock (RuntimeError)
\tfrom app.rb:7:in 'block in <main>'
\tfrom <internal:kernel>:187:in 'loop'
app.rb:2:in 'Object#read': disk (IOError)
\tfrom app.rb:3:in 'Object#take'
";

const RAILS: &str = "RuntimeError (no stock of 7):

app/controllers/orders_controller.rb:5:in 'OrdersController#show'
app/middleware/shop.rb:9:in 'Shop#call'
";

const PHP: &str = "PHP Fatal error:  Uncaught PDOException: no stock in /app/s.php:3
Stack trace:
#0 /app/s.php(9): Shop->take('secret', 7)
#1 {main}

Next RuntimeException: order failed in /app/s.php:12
Stack trace:
#0 /app/i.php(2): order(Array)
#1 {main}
  thrown in /app/s.php on line 12
";

const DOTNET: &str = "fail: Microsoft.AspNetCore.Server.Kestrel[13]
System.InvalidOperationException: order 7
 ---> System.IO.IOException: disk
   at Shop.Stock.Take(Int32 n) in /src/Stock.cs:line 5
   --- End of inner exception stack trace ---
   at Shop.Orders.Get(Int32 n) in /src/Orders.cs:line 12
   at Microsoft.AspNetCore.Routing.EndpointMiddleware.Invoke(HttpContext context)
";

const RUST: &str = "thread 'tokio-runtime-worker' (77) panicked at src/main.rs:12:9:
no stock of 7
stack backtrace:
   0: std::panicking::begin_panic_handler
             at /rustc/1/library/std/src/panicking.rs:697:5
   1: shop::take
             at ./src/main.rs:12:9
note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
";

#[test]
fn each_language_is_read_whole_in_any_number_of_pieces() {
    says(PYTHON, Language::Python, "ValueError", "n=7", 8);
    says(GROUP, Language::Python, "ExceptionGroup", "two (2 sub-exceptions)", 8);
    says(JVM, Language::Jvm, "org.acme.OrderException", "no order 7", 6);
    says(NODE, Language::Node, "TypeError", "no stock of 7", 5);
    says(GO, Language::Go, "panic", "boom 7", 9);
    says(RUBY, Language::Ruby, "RuntimeError", "no stock", 3);
    says(RAILS, Language::Ruby, "RuntimeError", "no stock of 7", 2);
    says(PHP, Language::Php, "RuntimeException", "order failed", 7);
    says(DOTNET, Language::DotNet, "System.InvalidOperationException", "order 7", 4);
    says(RUST, Language::Rust, "panic", "no stock of 7", 6);
}

#[test]
fn panics_that_end_a_program_are_whole() {
    let text = "panic: runtime error: index out of range [7] with length 3

goroutine 1 [running]:
main.take(...)
\t/app/main.go:5
main.main()
\t/app/main.go:9 +0x1d
exit status 2
";
    says(text, Language::Go, "runtime.Error", "runtime error: index out of range [7] with length 3", 6);
    says(
        "thread 'main' panicked at 'old', src/a.rs:1:2\nnote: run with `RUST_BACKTRACE=1`\n",
        Language::Rust,
        "panic",
        "old",
        1,
    );
}

#[test]
fn a_trace_says_neither_arguments_nor_what_its_redaction_takes_out() {
    let php = only(PHP).trace(|_| "?".to_owned());
    assert!(php.contains("#0 /app/s.php(9): Shop->take(...)\n") && php.contains("Next RuntimeException: ?"), "{php}");
    let go = only(GO).trace(keep);
    assert!(
        go.starts_with("panic: boom 7\n") && go.contains("main.(*Shop).order(...)\n") && go.contains("panic(...)\n"),
        "{go}"
    );
    assert!(go.contains("created by net/http.(*Server).Serve in goroutine 1\n"), "{go}");
    let jvm = only(JVM).trace(|_| "?".to_owned());
    assert!(
        jvm.starts_with("org.acme.OrderException: ?\n")
            && jvm.contains("Caused by: java.lang.IllegalStateException: ?\n"),
        "{jvm}"
    );
    let python = only(PYTHON).trace(|_| "?".to_owned());
    assert!(python.contains("    raise ValueError('n=7') from e\nValueError: ?"), "{python}");
    assert!(only(RUBY).trace(|_| "?".to_owned()).starts_with("app.rb:3:in 'Object#take': RuntimeError: ?\n"));
}

#[test]
fn a_line_of_json_with_a_stack_trace_is_an_exception() {
    for (line, kind) in [
        (serde_json::json!({"level": "error", "message": "x", "exc_info": PYTHON}), "ValueError"),
        (
            serde_json::json!({"@timestamp": "t", "stack_trace": JVM.split_once("\n\n").unwrap().1}),
            "org.acme.OrderException",
        ),
        (serde_json::json!({"level": 50, "err": {"type": "TypeError", "message": "m", "stack": NODE}}), "TypeError"),
        (
            serde_json::json!({"error": {"name": "RangeError", "message": "m", "stack": "    at f (/a.js:1:2)\n    at g (/a.js:2:2)"}}),
            "RangeError",
        ),
    ] {
        let text = format!("{line}\n");
        let found = read(&[text.as_bytes()]);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].is_own && exception(&found[0]).kind == kind, "{found:#?}");
    }
    assert!(read(&[b"{\"stack\": \"nothing\"}\n{\"error\": {\"error\": {\"error\": {}}}}\n{not json}\n"]).is_empty());
}

#[test]
fn a_write_with_several_records_is_no_ones_own() {
    let texts = [
        format!("{PYTHON}{PYTHON}"),
        format!("INFO: one\nINFO: two\n{PYTHON}"),
        format!("one\ntwo\nthree\nfour\n{JVM}"),
        format!("{NODE}GET /w/7 200\n"),
        format!("{GO}2026/11/30 09:12:18 served\n"),
    ];
    for text in texts {
        let found = read(&[text.as_bytes()]);
        assert!(!found.is_empty() && found.iter().all(|found| !found.is_own), "{found:#?}");
    }
    // What comes in writes of their own is.
    let found = read(&[b"INFO: one\n", b"INFO: two\n", PYTHON.as_bytes(), b"INFO: three\n", JVM.as_bytes()]);
    assert_eq!(found.iter().map(|found| (found.is_own, found.began)).collect::<Vec<_>>(), [(true, 2), (true, 4)]);
}

#[test]
fn what_is_missing_of_a_write_makes_it_no_ones_own() {
    let mut reader = Reader::default();
    reader.write(PYTHON.as_bytes(), false, &0);
    assert!(reader.take().iter().all(|found| !found.is_own));
}

#[test]
fn messages_of_several_lines_are_part_of_it() {
    let text = "Traceback (most recent call last):
  File \"a.py\", line 1, in f
sqlalchemy.exc.ProgrammingError: no table
[SQL: select 1]
(Background on this error at: https://sqlalche.me/e/20/f405)
";
    says(text, Language::Python, "sqlalchemy.exc.ProgrammingError", "no table", 2);
    let text = "Exception in thread \"main\" java.lang.IllegalStateException: one\nand two\n\tat a.B.c(B.java:1)\n";
    says(text, Language::Jvm, "java.lang.IllegalStateException", "one", 1);
}

#[test]
fn words_open_nothing() {
    for text in [
        "ERROR: something failed: ValueError: no\n",
        "java.lang.IllegalStateException: empty\n",
        "panic: at the disco\nnothing else\n",
        "TypeError: x is not a function\n",
        "Stack trace:\n#0 {main}\n",
        "goroutine 1 [running]:\n",
        "Traceback (most recent call last):\nnothing else\n",
        "    at the end of the day (see /doc:1:2)\n",
        "from app.rb:7:in 'x'\n",
        "thread 'a' said panicked at lunch:\n",
        "  at A.b(C.java:1)\n",
    ] {
        assert_eq!(read(&[text.as_bytes()]), [], "{text}");
    }
}

/// Numbers that look random and are the same each time.
fn numbers() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    }
}

#[test]
fn hostile_bytes_are_bounded_and_never_panic() {
    let mut next = numbers();
    let all = [PYTHON, GROUP, JVM, NODE, GO, RUBY, RAILS, PHP, DOTNET, RUST];
    let lines: Vec<&str> = all.iter().flat_map(|text| text.lines()).collect();
    for round in 0..4000 {
        let mut text: Vec<u8> = Vec::new();
        for _ in 0..next(40) {
            text.extend(lines[next(lines.len())].as_bytes());
            text.push(b'\n');
        }
        for _ in 0..next(8) {
            if !text.is_empty() {
                let at = next(text.len());
                text[at] = if round % 2 == 0 { b" :.(){}[]\n\t\x1b'#"[next(14)] } else { next(256) as u8 };
            }
        }
        let mut reader = Reader::default();
        for piece in text.chunks(1 + next(200)) {
            reader.write(piece, true, &());
        }
        reader.idle();
        for found in reader.take() {
            assert!(!exception(&found).kind.is_empty());
            exception(&found).trace(keep);
        }
    }
}

#[test]
fn a_trace_of_many_frames_and_a_line_without_end_are_cut() {
    let mut text = String::from("java.lang.StackOverflowError\n");
    (0..100_000).for_each(|_| text.push_str("\tat a.B.c(B.java:1)\n"));
    let found = read(&[text.as_bytes()]);
    assert!(found.len() == 1 && exception(&found[0]).is_cut);
    assert!(exception(&found[0]).trace(keep).len() <= wirespan_errors::MAX_EXCEPTION);
    let mut reader = Reader::default();
    (0..10_000).for_each(|_| reader.write(&[b'x'; 1024], true, &()));
    assert!(reader.weight() < 4 * wirespan_errors::MAX_LINE, "{}", reader.weight());
    reader.write(format!("\n{PYTHON}").as_bytes(), true, &());
    reader.idle();
    assert_eq!(reader.take().len(), 1);
}
