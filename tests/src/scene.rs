//! One test: a receiver, an agent, a directory, and the knowledge of which spans are this test's own.
//!
//! The agent sees the whole machine, so only one scene exists at a time (a lock file keeps other test processes out),
//! and what unrelated programs do at the same moment is left out by port and by text: a whole trace belongs to the test
//! as soon as one of its spans does, so that requests merged by mistake are still seen.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::agent::{self, Agent};
use crate::expect::Expected;
use crate::receiver::{Protocol, Receiver};
use crate::span::Span;
use crate::{program, trace, wait};

/// How long spans may take until they have arrived: the hold, a batch, and a busy machine.
pub const ARRIVAL: Duration = Duration::from_secs(30);

/// What directories of tests are called.
const PREFIX: &str = "wirespan-e2e-";

/// One test's world.
pub struct Scene {
    /// Where the agent exports to.
    pub receiver: Receiver,
    agent: Option<Agent>,
    ports: RefCell<Vec<u16>>,
    texts: RefCell<Vec<String>>,
    dir: TempDir,
    /// Held until the scene ends.
    _lock: File,
}

impl Scene {
    /// A scene whose agent exports over gRPC.
    pub fn new() -> Self {
        Self::receiving(Receiver::start(Protocol::Grpc))
    }

    /// A scene with a receiver of its own.
    pub fn receiving(receiver: Receiver) -> Self {
        let lock = File::create(std::env::temp_dir().join("wirespan-e2e.lock")).expect("the lock file");
        lock.lock().expect("waiting for other end-to-end tests");
        // (Namesakes of what this test starts would be told apart from it.)
        program::end_leftovers(&std::env::temp_dir(), PREFIX);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir().expect("a temporary directory");
        let readable = Permissions::from_mode(0o777);
        std::fs::set_permissions(dir.path(), readable).expect("workers of other users use the directory");
        let ports = RefCell::new(vec![receiver.port()]);
        Self { receiver, agent: None, ports, texts: RefCell::default(), dir, _lock: lock }
    }

    /// The test's directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A free port; spans that concern it are this test's.
    pub fn port(&self) -> u16 {
        let port = wait::free_port();
        self.ports.borrow_mut().push(port);
        port
    }

    /// Spans with an attribute that contains `text` are this test's.
    pub fn owns_text(&self, text: &str) {
        self.texts.borrow_mut().push(text.to_owned());
    }

    /// Starts the agent and waits until it traces.
    pub fn trace(&mut self) {
        self.trace_with(&[]);
    }

    /// Starts the agent with further arguments.
    pub fn trace_with(&mut self, arguments: &[&str]) {
        let mut command = agent::exporting_to(&self.receiver);
        command.args(arguments);
        self.trace_by(&mut command);
    }

    /// Starts the agent by a command that the test made.
    pub fn trace_by(&mut self, command: &mut Command) {
        self.agent = Some(Agent::start(self.dir.path(), command));
    }

    /// The agent.
    pub fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().expect("the test started the agent")
    }

    /// Those of all spans that arrived that are this test's.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.receiver.spans();
        let traces: HashSet<String> = spans.iter().filter(|s| self.is_ours(s)).map(|s| s.trace_id.clone()).collect();
        spans.into_iter().filter(|s| traces.contains(&s.trace_id)).collect()
    }

    /// Waits until this test's spans satisfy `enough`, and returns them whether they did in time or not.
    pub fn wait_for(&self, enough: impl Fn(&[Span]) -> bool) -> Vec<Span> {
        wait::until_true(ARRIVAL, || enough(&self.spans()));
        self.spans()
    }

    /// Waits until at least `count` of this test's spans have arrived, or the deadline passes.
    pub fn wait_for_count(&self, count: usize) {
        wait::until_true(ARRIVAL, || self.count() >= count);
    }

    /// Waits until none of this test's spans has arrived for `quiet`; false when they keep coming.
    pub fn settles(&self, quiet: Duration) -> bool {
        self.settles_unless(quiet, || false)
    }

    /// The same, but for no longer than until `count` of this test's spans have arrived: nothing that it waits for comes later.
    pub fn settles_with(&self, count: usize, quiet: Duration) -> bool {
        self.settles_unless(quiet, || self.count() >= count)
    }

    /// Waits until `enough`, or until none of this test's spans has arrived for `quiet`; false when they keep coming.
    pub fn settles_unless(&self, quiet: Duration, enough: impl Fn() -> bool) -> bool {
        wait::until_true(2 * ARRIVAL, || {
            let (mut requests, before) = (self.receiver.requests(), self.count());
            let is_enough = Cell::new(enough());
            let goes_on = wait::until_true(quiet, || {
                let news = self.receiver.requests() != requests;
                requests = self.receiver.requests();
                is_enough.set(is_enough.get() || enough());
                is_enough.get() || news && self.count() != before
            });
            is_enough.get() || !goes_on
        })
    }

    /// How many of this test's spans have arrived.
    pub fn count(&self) -> usize {
        let ports = self.ports.borrow();
        self.receiver.count(|span| span.concerns_port(&ports))
    }

    /// Waits for `count` spans, stops the agent, which flushes all that it holds, and returns every span.
    pub fn finish(&mut self, count: usize) -> Vec<Span> {
        self.wait_for(|spans| spans.len() >= count);
        self.agent().stop();
        self.spans()
    }

    /// Checks that exactly these traces arrive, and that no other is left when the agent has ended.
    pub fn expect(&mut self, traces: &[Expected]) {
        let spans = self.finish(traces.iter().map(Expected::size).sum());
        trace::assert_traces(traces, &spans);
    }

    fn is_ours(&self, span: &Span) -> bool {
        let texts = self.texts.borrow();
        let speaks = |text: &String| texts.iter().any(|wanted| text.contains(wanted.as_str()));
        span.concerns_port(&self.ports.borrow())
            || span.attributes.values().any(|value| matches!(value, crate::span::Value::Str(text) if speaks(text)))
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}

/// What the test process itself is called when it makes or answers requests.
pub fn test_process() -> String {
    let exe = std::env::current_exe().expect("the test binary's path");
    exe.file_name().expect("a file name").to_string_lossy().into_owned()
}
