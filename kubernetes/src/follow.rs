//! How a collection of objects, such as the pods of a node, is followed: listed in pages, then watched from where the list ended, for as long as the server can
//! tell from there; listed anew when it cannot. Pure: what to ask for next, and what an answer says.

use std::marker::PhantomData;
use std::time::Duration;

use rustc_hash::FxHashSet;
use serde::Deserialize;

use crate::objects::{List, ListMeta, MetaObject, Object};

/// Objects of one page of a list.
pub const PAGE: usize = 100;
/// Bytes of one page. Objects are bounded by what etcd takes, 1.5 MiB; a hundred pods usually take one.
pub const MAX_PAGE: usize = 16 << 20;
/// Bytes of one event of a watch.
pub const MAX_EVENT: usize = 4 << 20;
/// Seconds after which the server ends a watch.
const WATCH_SECONDS: u64 = 570;
/// The most objects of a list, and the most pages. A server that has no end has lost its mind.
const MAX_OBJECTS: usize = 65_536;
const MAX_PAGES: usize = 4096;

/// What happened to an object.
#[derive(Debug)]
pub enum Change<T> {
    /// It is like this now.
    Put(T),
    /// It is gone.
    Gone(T),
    /// A list has ended: only what it had is there, by uid.
    Only(FxHashSet<Box<str>>),
}

/// Why nothing more can be learned for now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The server's memory does not reach back so far.
    #[error("the API server has forgotten from where it was watched")]
    Expired,
    /// Not these rights.
    #[error("the API server forbids it: {0}")]
    Forbidden(String),
    /// Not with this token.
    #[error("the API server does not accept the token of the service account")]
    Unauthorized,
    /// Too many ask.
    #[error("the API server has too much to do")]
    Busy(Option<Duration>),
    /// Any other status.
    #[error("the API server answers with status {0}")]
    Status(u16),
    /// It breaks off, or cannot be reached.
    #[error("the API server cannot be reached: {0}")]
    Broken(String),
    /// It makes no sense, or too much of it.
    #[error("the API server's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

impl Trouble {
    /// What a status other than 200 means.
    pub fn of_status(status: u16, retry_after: Option<&str>, explanation: &str) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden(explanation.to_string()),
            410 => Self::Expired,
            429 => Self::Busy(retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs)),
            other => Self::Status(other),
        }
    }
}

/// Where it stands.
#[derive(Debug)]
pub struct Follow<T> {
    path: String,
    selector: String,
    state: State,
    of: PhantomData<fn() -> T>,
    /// What the list has so far, by uid, and on how many pages.
    listed: FxHashSet<Box<str>>,
    pages: usize,
}

#[derive(Debug)]
enum State {
    /// A list, from its beginning or with what its last page said.
    List(String),
    /// A watch, from this version on.
    Watch(String),
}

/// What is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A page, which is read whole.
    Page(String),
    /// A watch, which is read line by line.
    Watch(String),
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Event<T> {
    object: T,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
    message: String,
}

impl<T: Object> Follow<T> {
    /// Nothing was asked for yet. `path` is the collection's, `selector` a query such as `fieldSelector=…`, encoded.
    pub fn new(path: &str, selector: &str) -> Self {
        let (path, selector) = (path.to_string(), selector.to_string());
        Self {
            path,
            selector,
            state: State::List(String::new()),
            of: PhantomData,
            listed: FxHashSet::default(),
            pages: 0,
        }
    }

    /// What to ask for now.
    pub fn ask(&self) -> Ask {
        let and = if self.selector.is_empty() { "" } else { "&" };
        let base = format!("{}?{}{and}", self.path, self.selector);
        match &self.state {
            State::List(next) if next.is_empty() => Ask::Page(format!("{base}limit={PAGE}")),
            State::List(next) => Ask::Page(format!("{base}limit={PAGE}&continue={}", encode(next))),
            State::Watch(version) => Ask::Watch(format!(
                "{base}watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}",
                encode(version)
            )),
        }
    }

    /// Takes in a page.
    ///
    /// # Errors
    /// If it makes no sense; the list begins anew.
    pub fn page(&mut self, body: &[u8]) -> Result<Vec<Change<T>>, Trouble> {
        let Ok(List { metadata: ListMeta { resource_version, next }, items }) = serde_json::from_slice::<List<T>>(body)
        else {
            self.begin();
            return Err(Trouble::Nonsense("it is no list"));
        };
        let items = items.unwrap_or_default();
        self.listed.extend(items.iter().map(|item| item.meta().uid.as_str().into()));
        self.pages += 1;
        if self.listed.len() > MAX_OBJECTS || self.pages > MAX_PAGES {
            self.begin();
            return Err(Trouble::Nonsense("the list has no end"));
        }
        let mut changes: Vec<Change<T>> = items.into_iter().map(Change::Put).collect();
        if next.is_empty() {
            changes.push(Change::Only(std::mem::take(&mut self.listed)));
            self.pages = 0;
            self.state = State::Watch(resource_version);
        } else {
            self.state = State::List(next);
        }
        Ok(changes)
    }

    /// Takes in a line of a watch.
    ///
    /// # Errors
    /// If the watch is over, whatever follows.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Change<T>>, Trouble> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let nonsense = |_| Trouble::Nonsense("an event cannot be read");
        let Kind { kind } = serde_json::from_slice(line).map_err(nonsense)?;
        match kind.as_str() {
            "ADDED" | "MODIFIED" | "DELETED" => {
                let Event { object } = serde_json::from_slice::<Event<T>>(line).map_err(nonsense)?;
                self.reached(&object.meta().resource_version);
                Ok(Some(if kind == "DELETED" { Change::Gone(object) } else { Change::Put(object) }))
            }
            "BOOKMARK" => {
                let Event { object } = serde_json::from_slice::<Event<MetaObject>>(line).map_err(nonsense)?;
                self.reached(&object.metadata.resource_version);
                Ok(None)
            }
            "ERROR" => {
                let Event { object } = serde_json::from_slice::<Event<Status>>(line).map_err(nonsense)?;
                Err(Trouble::of_status(object.code, None, &object.message))
            }
            _ => Err(Trouble::Nonsense("an event is of no known kind")),
        }
    }

    /// Something went wrong. What was being listed is listed anew; what was watched is watched on, unless the server cannot.
    pub fn failed(&mut self, trouble: &Trouble) {
        let watching = matches!(self.state, State::Watch(_));
        if !watching || matches!(trouble, Trouble::Expired | Trouble::Nonsense(_)) {
            self.begin();
        }
    }

    /// Whether everything that there was has been told.
    pub fn is_listed(&self) -> bool {
        matches!(self.state, State::Watch(_))
    }

    fn begin(&mut self) {
        self.state = State::List(String::new());
        self.listed.clear();
        self.pages = 0;
    }

    fn reached(&mut self, version: &str) {
        if let State::Watch(at) = &mut self.state
            && !version.is_empty()
        {
            version.clone_into(at);
        }
    }
}

/// Percent-encodes what is not unreserved (RFC 3986, section 2.3).
pub fn encode(text: &str) -> String {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if unreserved(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Bytes into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
    looked: usize,
}

impl Lines {
    /// Takes in bytes.
    ///
    /// # Errors
    /// If a line would be longer than [`MAX_EVENT`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.rest.extend_from_slice(bytes);
        let unended = self.rest.len() > MAX_EVENT && !self.rest[..MAX_EVENT].contains(&b'\n');
        if unended { Err(Trouble::Nonsense("an event is too large")) } else { Ok(()) }
    }

    /// The next whole line.
    pub fn next_line(&mut self) -> Option<Vec<u8>> {
        let Some(end) = self.rest[self.looked..].iter().position(|b| *b == b'\n') else {
            self.looked = self.rest.len();
            return None;
        };
        let rest = self.rest.split_off(self.looked + end + 1);
        self.looked = 0;
        Some(std::mem::replace(&mut self.rest, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::PodObject;

    fn pod(name: &str, version: u32) -> String {
        format!(r#"{{"metadata":{{"name":"{name}","uid":"{name}","resourceVersion":"{version}"}}}}"#)
    }

    fn pods() -> Follow<PodObject> {
        Follow::new("/api/v1/pods", "fieldSelector=spec.nodeName%3Dnode-1")
    }

    fn told(changes: Vec<Change<PodObject>>) -> Vec<String> {
        let told = |change: Change<PodObject>| match change {
            Change::Put(pod) => format!("+{}", pod.metadata.name),
            Change::Gone(pod) => format!("-{}", pod.metadata.name),
            Change::Only(uids) => format!("={}", uids.len()),
        };
        changes.into_iter().map(told).collect()
    }

    fn listed() -> Follow<PodObject> {
        let mut follow = pods();
        let body = format!(r#"{{"metadata":{{"resourceVersion":"10"}},"items":[{}]}}"#, pod("a", 1));
        assert_eq!(told(follow.page(body.as_bytes()).unwrap()), ["+a", "=1"]);
        follow
    }

    #[test]
    fn a_list_is_asked_for_in_pages_and_then_watched_from_its_end() {
        let mut follow = pods();
        let base = "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-1&";
        assert_eq!(follow.ask(), Ask::Page(format!("{base}limit=100")));
        let body = format!(r#"{{"metadata":{{"resourceVersion":"9","continue":"x=/1"}},"items":[{}]}}"#, pod("a", 1));
        assert_eq!(told(follow.page(body.as_bytes()).unwrap()), ["+a"]);
        assert_eq!(follow.ask(), Ask::Page(format!("{base}limit=100&continue=x%3D%2F1")));
        let body = format!(r#"{{"metadata":{{"resourceVersion":"9"}},"items":[{}]}}"#, pod("b", 1));
        assert_eq!(told(follow.page(body.as_bytes()).unwrap()), ["+b", "=2"]);
        let Ask::Watch(watch) = follow.ask() else { panic!("{:?}", follow.ask()) };
        assert!(watch.ends_with("watch=true&allowWatchBookmarks=true&timeoutSeconds=570&resourceVersion=9"), "{watch}");
    }

    #[test]
    fn a_watch_goes_on_from_what_was_told_last() {
        let mut follow = listed();
        let mut told_of = |kind: &str, object: &str| {
            let line = format!(r#"{{"type":"{kind}","object":{object}}}"#);
            follow.line(line.as_bytes()).unwrap().map(|change| told(vec![change]).remove(0))
        };
        assert_eq!(told_of("ADDED", &pod("b", 11)).as_deref(), Some("+b"));
        assert_eq!(told_of("DELETED", &pod("a", 12)).as_deref(), Some("-a"));
        assert_eq!(told_of("BOOKMARK", &pod("", 20)), None);
        follow.failed(&Trouble::Broken("reset".into()));
        let Ask::Watch(watch) = follow.ask() else { panic!("listed anew") };
        assert!(watch.ends_with("resourceVersion=20"));
    }

    #[test]
    fn what_the_server_has_forgotten_is_listed_anew() {
        let mut follow = listed();
        let line = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"message":"too old"}}"#;
        let trouble = follow.line(line).unwrap_err();
        assert_eq!(trouble, Trouble::Expired);
        follow.failed(&trouble);
        assert!(matches!(follow.ask(), Ask::Page(page) if !page.contains("continue")));
    }

    #[test]
    fn a_server_that_lies_is_caught_out() {
        let mut follow = listed();
        for line in [
            &b"nonsense"[..],
            br#"{"type":"ADDED"}"#,
            br#"{"type":"ADDED","object":7}"#,
            br#"{"type":"X","object":{}}"#,
            b"[1]",
        ] {
            assert!(matches!(follow.line(line), Err(Trouble::Nonsense(_))), "{}", String::from_utf8_lossy(line));
        }
        assert!(follow.line(b" \n").unwrap().is_none());
        let deep = format!(r#"{{"type":"ADDED","object":{}}}"#, "[".repeat(100_000));
        assert!(follow.line(deep.as_bytes()).is_err());
        assert!(matches!(pods().page(b"{\"items\":7}"), Err(Trouble::Nonsense(_))));
    }

    #[test]
    fn a_list_without_end_is_given_up() {
        let mut follow = pods();
        let mut gave_up = false;
        for page in 0..700 {
            let items: Vec<String> = (0..100).map(|n| pod(&format!("p{}", page * 100 + n), 1)).collect();
            let body = format!(r#"{{"metadata":{{"continue":"more"}},"items":[{}]}}"#, items.join(","));
            gave_up |= follow.page(body.as_bytes()).is_err();
        }
        assert!(gave_up);
        // Nor one that says the same, or nothing, again and again.
        for items in [pod("a", 1), String::new()] {
            let mut follow = pods();
            let body = format!(r#"{{"metadata":{{"continue":"more"}},"items":[{items}]}}"#);
            let pages = (0..2 * MAX_PAGES).take_while(|_| follow.page(body.as_bytes()).is_ok()).count();
            assert_eq!(pages, MAX_PAGES);
            assert_eq!(follow.ask(), pods().ask(), "it begins anew");
        }
    }

    #[test]
    fn lines_are_found_wherever_they_are_cut_and_are_bounded() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for byte in b"one\ntwo\n\nthree" {
            lines.push(&[*byte]).unwrap();
            found.extend(std::iter::from_fn(|| lines.next_line()));
        }
        assert_eq!(found, [b"one\n".to_vec(), b"two\n".to_vec(), b"\n".to_vec()]);
        let mut lines = Lines::default();
        let outcome = (0..100).try_for_each(|_| lines.push(&[b'x'; 65536]));
        assert!(outcome.is_err());
    }

    #[test]
    fn statuses_say_what_to_do() {
        assert_eq!(Trouble::of_status(429, Some("7"), ""), Trouble::Busy(Some(Duration::from_secs(7))));
        assert_eq!(Trouble::of_status(429, Some("never"), ""), Trouble::Busy(None));
        assert_eq!(Trouble::of_status(410, None, ""), Trouble::Expired);
        assert_eq!(Trouble::of_status(500, None, ""), Trouble::Status(500));
    }
}
