//! Batches from the reader to the linker, bounded by their bytes. Never drops: who finds no room waits.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Account;

/// A batch and its bytes, which are taken until it is dropped.
#[derive(Debug)]
pub struct Batch<T> {
    items: Vec<T>,
    bytes: usize,
    account: Account,
}

impl<T> Batch<T> {
    /// What is in it, once.
    pub fn take(&mut self) -> Vec<T> {
        std::mem::take(&mut self.items)
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        self.account.give(self.bytes);
    }
}

#[derive(Debug)]
struct State<T> {
    queue: VecDeque<Batch<T>>,
    sender_gone: bool,
    receiver_gone: bool,
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    came: Condvar,
    left: Condvar,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where batches go in.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    account: Account,
}

/// Where they come out.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

/// What [`Receiver::receive`] may say instead of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Nothing {
    /// None came in time.
    Yet,
    /// None will come any more.
    AnyMore,
}

/// A channel whose batches together, with the one that is being worked on, take no more than `account` allows.
pub fn channel<T>(account: Account) -> (Sender<T>, Receiver<T>) {
    let state = State { queue: VecDeque::new(), sender_gone: false, receiver_gone: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), came: Condvar::new(), left: Condvar::new() });
    (Sender { shared: Arc::clone(&shared), account }, Receiver(shared))
}

/// How often a sender that waits looks for room, should nobody tell it: a batch's bytes are given back after it was taken
/// out, without a word.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

impl<T> Sender<T> {
    /// Puts a batch in, and waits for room before that. Returns whether it had to wait. Without a receiver the batch is
    /// dropped, for there is nobody to tell.
    pub fn send(&self, items: Vec<T>, bytes: usize) -> bool {
        let mut state = self.shared.lock();
        let mut waited = false;
        while !self.account.try_take(bytes) {
            if state.receiver_gone {
                return waited;
            }
            waited = true;
            let woken = self.shared.left.wait_timeout(state, LOOK_AGAIN);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        let batch = Batch { items, bytes, account: self.account.clone() };
        if !state.receiver_gone {
            state.queue.push_back(batch);
            self.shared.came.notify_one();
        }
        waited
    }
}

impl<T> Receiver<T> {
    /// The next batch, which is waited for until `patience` is over.
    ///
    /// # Errors
    /// [`Nothing`].
    pub fn receive(&self, patience: Duration) -> Result<Batch<T>, Nothing> {
        let until = Instant::now() + patience;
        let mut state = self.0.lock();
        loop {
            if let Some(batch) = state.queue.pop_front() {
                self.0.left.notify_one();
                return Ok(batch);
            }
            if state.sender_gone {
                return Err(Nothing::AnyMore);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Nothing::Yet);
            }
            state = self.0.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.lock().sender_gone = true;
        self.shared.came.notify_one();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receiver_gone = true;
        state.queue.clear();
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn batches_come_out_in_order_and_the_end_is_told_after_the_last() {
        let (sender, receiver) = channel(Account::new(100));
        assert!(!sender.send(vec![1, 2], 10) && !sender.send(vec![3], 10));
        drop(sender);
        let taken: Vec<Vec<i32>> =
            std::iter::from_fn(|| receiver.receive(SOON).ok()).map(|mut batch| batch.take()).collect();
        assert_eq!(taken, [vec![1, 2], vec![3]]);
        assert_eq!(receiver.receive(SOON).unwrap_err(), Nothing::AnyMore);
    }

    #[test]
    fn who_finds_no_room_waits_and_the_bytes_never_exceed_the_share() {
        let account = Account::new(100);
        let (sender, receiver) = channel(account.clone());
        let feeder = thread::spawn(move || (0..200).filter(|n| sender.send(vec![*n], 30)).count());
        let mut seen = Vec::new();
        while let Ok(mut batch) = receiver.receive(SOON) {
            assert!(account.held() <= 100, "{}", account.held());
            seen.extend(batch.take());
            thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(seen, (0..200).collect::<Vec<_>>());
        assert!(feeder.join().unwrap() > 0, "it was faster than what came out");
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn a_batch_larger_than_the_share_passes_alone() {
        let (sender, receiver) = channel(Account::new(100));
        sender.send(vec![1], 1000);
        let first = receiver.receive(SOON).unwrap();
        let feeder = thread::spawn(move || sender.send(vec![2], 1000));
        assert_eq!(receiver.receive(Duration::from_millis(30)).unwrap_err(), Nothing::Yet);
        drop(first);
        assert_eq!(receiver.receive(SOON).unwrap().take(), [2]);
        assert!(feeder.join().unwrap());
    }

    #[test]
    fn nobody_waits_for_a_receiver_that_is_gone() {
        let account = Account::new(100);
        let (sender, receiver) = channel(account.clone());
        sender.send(vec![1], 90);
        let feeder = thread::spawn(move || {
            sender.send(vec![2], 90);
        });
        drop(receiver);
        feeder.join().unwrap();
        assert_eq!(account.held(), 0);
    }
}
