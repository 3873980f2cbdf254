//! Asks an agent again and again, on a thread of its own: an answer that takes long must not hold keys up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::Builder;
use std::time::Duration;

use super::WINDOWS;
use crate::client::answer::{AgentStatus, Operations, Services};
use crate::client::{Client, ClientError, Endpoint};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);

/// What an agent says at one moment.
pub(super) struct News {
    pub(super) status: AgentStatus,
    pub(super) operations: Operations,
    pub(super) services: Services,
    /// Seconds that the figures are about.
    pub(super) window: u64,
}

/// News, or why there is none.
pub(super) type Update = Result<News, ClientError>;

/// The thread. It ends soon after this is dropped.
pub(super) struct Poll {
    pub(super) updates: Receiver<Update>,
    window: Arc<AtomicU64>,
    hurry: Sender<()>,
}

impl Poll {
    pub(super) fn start(endpoint: Endpoint) -> Result<Self, ClientError> {
        let client = Client::new(endpoint)?;
        // Nobody reads while the table is not drawn: what is not read is not piled up.
        let (out, updates) = sync_channel(1);
        let (hurry, hurried) = channel();
        let window = Arc::new(AtomicU64::new(WINDOWS[0]));
        let asked = Arc::clone(&window);
        Builder::new().name("top-poll".to_owned()).spawn(move || poll(&client, &asked, &hurried, &out))?;
        Ok(Self { updates, window, hurry })
    }

    /// From now on asks for figures of so many seconds.
    pub(super) fn window(&mut self, seconds: u64) {
        self.window.store(seconds, Ordering::Relaxed);
        // Fails only when the thread is gone, which its channel says.
        let _ = self.hurry.send(());
    }
}

fn poll(client: &Client, window: &AtomicU64, hurried: &Receiver<()>, out: &SyncSender<Update>) {
    loop {
        if out.send(ask(client, window.load(Ordering::Relaxed))).is_err() {
            return;
        }
        match hurried.recv_timeout(EVERY) {
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn ask(client: &Client, window: u64) -> Update {
    let query = [("window_s", window.to_string())];
    Ok(News {
        status: client.get("/api/v1/status", &[])?,
        operations: client.get("/api/v1/operations", &query)?,
        services: client.get("/api/v1/services", &query)?,
        window,
    })
}
