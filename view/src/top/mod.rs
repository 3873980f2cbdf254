//! `wirespan top`: services and operations in a table that renews itself.
//!
//! | module | what it is |
//! |---|---|
//! | `poll` | asks an agent again and again, on a thread of its own |
//! | `table` | what is in the table: rows, order, filter |
//! | `draw` | the screen, however narrow |
//!
//! It asks a running agent; without one it traces itself, as root.

mod draw;
mod poll;
mod table;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use env_logger::Target;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use crate::client::answer::AgentStatus;
use crate::client::{Client, ClientError, Endpoint, failed};
use poll::{Poll, Update};
use table::Table;

/// How long the screen waits for a key before it looks for news.
const TICK: Duration = Duration::from_millis(50);
/// Seconds that the figures may be about.
const WINDOWS: [u64; 3] = [60, 300, 10];

/// Why there is no table. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
enum TopError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Own(OwnError),
    #[error("the terminal cannot be used: {0}; run `wirespan top` in a terminal, or `wirespan query` in a script")]
    Terminal(#[from] std::io::Error),
}

/// Why an agent for this table alone cannot be, or not any more.
pub type OwnError = Box<dyn std::error::Error + Send + Sync>;

/// An agent inside this process, for this table alone.
pub trait OwnAgent {
    /// Whether it lives.
    ///
    /// # Errors
    /// If it does not, why.
    fn check(&self) -> Result<(), OwnError>;

    /// Ends it.
    fn stop(self: Box<Self>);
}

/// Starts an agent for this table, and says where it answers.
pub type StartOwn<'a> = &'a dyn Fn() -> Result<(Box<dyn OwnAgent>, Endpoint), OwnError>;

/// Shows the table until `q`. If no agent answers at `endpoint` and this process is root's, it starts one of its own. What is
/// logged meanwhile, as `filters` say, is printed afterwards.
pub fn run(filters: &str, endpoint: Endpoint, start: StartOwn<'_>) -> ExitCode {
    let log = Log::start(filters);
    let shown = show(endpoint, start);
    log.print();
    match shown {
        Ok(()) => ExitCode::SUCCESS,
        Err(TopError::Client(error)) => failed(&error),
        Err(error) => {
            eprintln!("wirespan: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(endpoint: Endpoint, start: StartOwn<'_>) -> Result<(), TopError> {
    let client = Client::new(endpoint.clone())?;
    let asked = client.get::<AgentStatus>("/api/v1/status", &[]);
    let root = rustix::process::geteuid().is_root();
    let (own, endpoint) = match asked {
        Ok(_) => (None, endpoint),
        Err(ClientError::NoAgent { .. } | ClientError::Foreign { .. }) if root => {
            let (own, endpoint) = start().map_err(TopError::Own)?;
            (Some(own), endpoint)
        }
        Err(error) => return Err(error.into()),
    };
    // Whoever is told to end still has the terminal to give back.
    let told = Told::listen()?;
    // Restores the terminal whatever happens, a panic included.
    let mut terminal = ratatui::try_init()?;
    let watched = watch(&mut terminal, &endpoint, own.as_deref(), &told);
    // A terminal that is gone cannot be restored, and the agent has to end all the same.
    let restored = ratatui::try_restore();
    if let Some(own) = own {
        own.stop();
    }
    if let Some(signal) = told.signal() {
        // Whoever sent it sees it obeyed.
        signal_hook::low_level::emulate_default_handler(signal)?;
    }
    watched?;
    Ok(restored?)
}

/// Which signal told this program to end, if one did.
struct Told(Arc<AtomicUsize>);

impl Told {
    fn listen() -> std::io::Result<Self> {
        let told = Arc::new(AtomicUsize::new(0));
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] {
            signal_hook::flag::register_usize(signal, Arc::clone(&told), signal as usize)?;
        }
        Ok(Self(told))
    }

    fn signal(&self) -> Option<i32> {
        i32::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|signal| *signal != 0)
    }
}

fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    endpoint: &Endpoint,
    own: Option<&dyn OwnAgent>,
    told: &Told,
) -> Result<(), TopError> {
    let mut poll = Poll::start(endpoint.clone())?;
    let mut screen = Screen { table: Table::default(), window: 0, typing: None, paused: false, problem: None };
    let place = if own.is_some() { "tracing here".to_owned() } else { endpoint.place() };
    while told.signal().is_none() {
        own.map_or(Ok(()), OwnAgent::check).map_err(TopError::Own)?;
        screen.take(&poll.updates);
        terminal.draw(|frame| draw::draw(frame, &mut screen, &place))?;
        if !event::poll(TICK)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release && !screen.key(key, &mut poll) => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// What is on the screen.
struct Screen {
    table: Table,
    /// Index into [`WINDOWS`].
    window: usize,
    /// The filter while it is being typed: what it was before.
    typing: Option<String>,
    paused: bool,
    /// Why there is nothing new.
    problem: Option<String>,
}

impl Screen {
    /// Takes the latest news, unless it is paused.
    fn take(&mut self, updates: &Receiver<Update>) {
        let Some(update) = updates.try_iter().last() else { return };
        match update {
            Ok(_) if self.paused => {}
            Ok(news) => {
                self.problem = None;
                self.table.renew(news);
            }
            Err(error) => self.problem = Some(error.to_string()),
        }
    }

    /// Does what a key asks for; false for the end.
    fn key(&mut self, key: KeyEvent, poll: &mut Poll) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'd')) {
            return false;
        }
        if self.typing.is_some() {
            self.type_filter(key.code);
            return true;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('/') => self.typing = Some(self.table.filter.clone()),
            KeyCode::Char('s') | KeyCode::Right => self.table.sort_by_next(1),
            KeyCode::Left => self.table.sort_by_next(-1),
            KeyCode::Char('r') => self.table.reverse(),
            KeyCode::Tab | KeyCode::Char('v') => self.table.switch(),
            KeyCode::Char('w') => {
                self.window = (self.window + 1) % WINDOWS.len();
                poll.window(WINDOWS[self.window]);
            }
            KeyCode::Down | KeyCode::Char('j') => self.table.scroll(1),
            KeyCode::Up | KeyCode::Char('k') => self.table.scroll(-1),
            KeyCode::PageDown => self.table.scroll(10),
            KeyCode::PageUp => self.table.scroll(-10),
            KeyCode::Home => self.table.scroll(i64::MIN),
            _ => {}
        }
        true
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.typing = None,
            KeyCode::Esc => self.table.set_filter(self.typing.take().unwrap_or_default()),
            KeyCode::Backspace => {
                let mut filter = self.table.filter.clone();
                filter.pop();
                self.table.set_filter(filter);
            }
            KeyCode::Char(c) if self.table.filter.len() < 100 => {
                let filter = format!("{}{c}", self.table.filter);
                self.table.set_filter(filter);
            }
            _ => {}
        }
    }
}

/// What is logged while the table has the terminal: its end is printed afterwards.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

/// The most that is kept.
const MAX_LOG: usize = 16 << 10;

impl Log {
    fn start(filters: &str) -> Self {
        let log = Self::default();
        env_logger::Builder::new()
            .parse_filters(filters)
            .format_timestamp_millis()
            .target(Target::Pipe(Box::new(log.clone())))
            .init();
        log
    }

    fn print(&self) {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = std::io::stderr().write_all(&bytes);
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        let excess = log.len().saturating_sub(MAX_LOG);
        if excess > 0 {
            let line_end = log[excess..].iter().position(|byte| *byte == b'\n').map_or(log.len(), |at| excess + at + 1);
            log.drain(..line_end);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
