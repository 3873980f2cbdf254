//! The client, a second one that never has more than two connections, and a queue with two workers.

use std::sync::Arc;

use anyhow::Context;
use reqwest::{Client, StatusCode};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

type Answer = anyhow::Result<StatusCode>;

struct Job {
    target: String,
    answer: oneshot::Sender<Answer>,
}

pub struct Calls {
    next: String,
    client: Client,
    narrow: Client,
    /// reqwest cannot bound its connections: as many permits do.
    connections: Semaphore,
    jobs: mpsc::UnboundedSender<Job>,
}

impl Calls {
    /// Starts the workers as well.
    pub fn new(next: String) -> anyhow::Result<Arc<Self>> {
        let (jobs, queue) = mpsc::unbounded_channel();
        let calls = Arc::new(Self {
            next,
            client: Client::builder().no_proxy().build()?,
            narrow: Client::builder().no_proxy().pool_max_idle_per_host(2).build()?,
            connections: Semaphore::new(2),
            jobs,
        });
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..2 {
            tokio::spawn(work(calls.clone(), queue.clone()));
        }
        Ok(calls)
    }

    /// Asks for a path and reads the body to its end.
    pub async fn get(&self, target: &str) -> Answer {
        self.get_with(&self.client, target).await
    }

    /// As [`Calls::get`], after waiting for one of two connections.
    pub async fn get_through_pool(&self, target: &str) -> Answer {
        let _connection = self.connections.acquire().await?;
        self.get_with(&self.narrow, target).await
    }

    /// Leaves the call to a worker, and waits for what comes of it.
    pub async fn get_through_queue(&self, target: String) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job { target, answer }).ok().context("the workers are gone")?;
        answered.await?
    }

    async fn get_with(&self, client: &Client, target: &str) -> Answer {
        let response = client.get(format!("{}{target}", self.next)).send().await?;
        let status = response.status();
        response.bytes().await?;
        Ok(status)
    }
}

async fn work(calls: Arc<Calls>, queue: Arc<Mutex<mpsc::UnboundedReceiver<Job>>>) {
    loop {
        let job = queue.lock().await.recv().await;
        let Some(Job { target, answer }) = job else { return };
        // Whoever asked may have gone; nobody misses the result then.
        let _ = answer.send(calls.get(&target).await);
    }
}
