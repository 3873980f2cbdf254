//! Follows a collection of objects for as long as the agent runs.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::{sleep, timeout};
use wirespan_kubernetes::follow::{Ask, Change, Follow, Lines, MAX_PAGE, Trouble};
use wirespan_kubernetes::objects::Object;

use super::client::{Client, Part};
use super::door::Door;
use crate::export::otlp::backoff::Backoff;

/// A watch says something at least this often: its server sends a bookmark every minute.
const SILENCE: Duration = Duration::from_secs(200);
/// Rights are not given back in a second.
const FORBIDDEN: Duration = Duration::from_secs(60);
/// A server that has just begun forbids everything until it knows who may what: it is asked again as any other, until pauses are
/// longer than this.
const BEGINNING: Duration = Duration::from_secs(6);
/// The longest that a server is left alone because it says so.
const LONGEST: Duration = Duration::from_secs(120);

/// Who takes in what happens to the objects of a collection.
pub(super) trait Sink<T> {
    /// What is missing as long as it cannot be followed.
    const MISSING: &'static str;
    /// The rights that it needs.
    const RIGHTS: &'static str;

    /// A client is there.
    async fn begin(&mut self, client: &Client);
    /// Something happened.
    async fn take(&mut self, client: &Client, change: Change<T>);
    /// Everything that there is has been told, and from now on every change is.
    fn follows(&mut self);
    /// Nothing is told any more, for now.
    fn lost(&mut self);
    /// What is there now that it can be followed.
    fn told(&self) -> String;
}

/// Follows a collection until the task is dropped.
pub(super) async fn follow<T: Object, S: Sink<T>>(door: Arc<Door>, mut objects: Follow<T>, mut sink: S) {
    let (mut backoff, mut said) = (Backoff::default(), Said::default());
    loop {
        let trouble = match door.client() {
            Ok(client) => {
                let mut follower = Follower { client, door: &door, sink: &mut sink };
                follower.run(&mut objects, &mut backoff, &mut said).await
            }
            Err(trouble) => trouble,
        };
        door.counters().kubernetes_troubles.inc();
        sink.lost();
        if matches!(trouble, Trouble::Broken(_)) {
            door.close();
        }
        objects.failed(&trouble);
        said.trouble::<T, S>(&trouble);
        sleep(pause(&trouble, &mut backoff)).await;
    }
}

/// How long a server is left alone.
pub(super) fn pause(trouble: &Trouble, backoff: &mut Backoff) -> Duration {
    let next = backoff.next(false);
    match trouble {
        Trouble::Forbidden(_) if next >= BEGINNING => FORBIDDEN,
        Trouble::Busy(Some(pause)) => next.max((*pause).min(LONGEST)),
        _ => next,
    }
}

/// What was said in the log, so that nothing is said twice.
#[derive(Default)]
struct Said {
    trouble: Option<std::mem::Discriminant<Trouble>>,
    works: bool,
}

impl Said {
    fn trouble<T, S: Sink<T>>(&mut self, trouble: &Trouble) {
        let kind = std::mem::discriminant(trouble);
        if *trouble == Trouble::Expired || self.trouble.replace(kind) == Some(kind) {
            return;
        }
        self.works = false;
        let remedy = match trouble {
            Trouble::Forbidden(_) => format!("; the service account needs {}, see docs/kubernetes.md", S::RIGHTS),
            _ => String::new(),
        };
        log::warn!("{} are not learned for now, everything else goes on: {trouble}{remedy}", S::MISSING);
    }

    fn works(&mut self, told: impl FnOnce() -> String) {
        self.trouble = None;
        if !std::mem::replace(&mut self.works, true) {
            log::info!("{}", told());
        }
    }
}

/// One connection's worth of following.
struct Follower<'a, S> {
    client: Client,
    door: &'a Door,
    sink: &'a mut S,
}

impl<S> Follower<'_, S> {
    /// Goes on until something is wrong.
    async fn run<T>(&mut self, objects: &mut Follow<T>, backoff: &mut Backoff, said: &mut Said) -> Trouble
    where
        T: Object,
        S: Sink<T>,
    {
        self.sink.begin(&self.client).await;
        loop {
            let outcome = match objects.ask() {
                Ask::Page(path) => self.page(objects, &path).await,
                Ask::Watch(path) => self.watch(objects, &path, backoff, said).await,
            };
            if let Err(trouble) = outcome {
                return trouble;
            }
        }
    }

    async fn page<T>(&mut self, objects: &mut Follow<T>, path: &str) -> Result<(), Trouble>
    where
        T: Object,
        S: Sink<T>,
    {
        let body = self.client.get(path, Part::Whole, MAX_PAGE).await?;
        for change in objects.page(&body)? {
            self.sink.take(&self.client, change).await;
        }
        Ok(())
    }

    /// Reads events until the server ends the watch, as it does every ten minutes.
    async fn watch<T>(
        &mut self,
        objects: &mut Follow<T>,
        path: &str,
        backoff: &mut Backoff,
        said: &mut Said,
    ) -> Result<(), Trouble>
    where
        T: Object,
        S: Sink<T>,
    {
        let mut body = self.client.begin(path, Part::Whole).await?.into_body();
        self.sink.follows();
        said.works(|| self.sink.told());
        let (mut lines, mut events) = (Lines::default(), 0_u64);
        loop {
            let frame = match timeout(SILENCE, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(Trouble::Broken(error.to_string())),
                Err(_) => return Err(Trouble::Broken("the watch has fallen silent".into())),
            };
            let Ok(bytes) = frame.into_data() else { continue };
            lines.push(&bytes)?;
            while let Some(line) = lines.next_line() {
                events += 1;
                backoff.reset();
                if let Some(change) = objects.line(&line)? {
                    self.door.counters().kubernetes_events.inc();
                    self.sink.take(&self.client, change).await;
                }
            }
        }
        // A server that ends every watch at once is not asked again at once.
        if events > 0 { Ok(()) } else { Err(Trouble::Broken("the watch ended before it began".into())) }
    }
}
