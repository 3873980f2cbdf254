//! Include and exclude rules.
//!
//! Exclude wins over include. With any include rule, only what matches one is traced. Rules about ports are decided per
//! connection, by either of its two ports; all others once per process.

use std::sync::atomic::{AtomicBool, Ordering};

use wirespan_kubernetes::pods::Found;

use super::Process;
use super::facts::Facts;
use crate::config::{Config, Rule};

/// What the rules say of a process before its connections are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Every connection, save excluded ports.
    All,
    /// Connections of included ports, save excluded ones.
    ByPort,
    /// Nothing.
    Nothing,
}

/// Why a process is traced or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is this agent.
    Own,
    /// An exclude rule, by its place.
    Excluded(usize),
    /// An include rule, by its place.
    Included(usize),
    /// There are include rules about ports, and none about it.
    Ports,
    /// There are no include rules.
    Default,
    /// There are, and none is about it.
    NotIncluded,
    /// It exports its own telemetry.
    Exports,
    /// It is in a pod of which nothing is known yet, and there are exclude rules about pods.
    PodUnknown,
}

/// The rules.
#[derive(Debug)]
pub struct Selection {
    include: Vec<Counted>,
    exclude: Vec<Counted>,
    own_pid: u32,
}

/// A rule, and whether anything was ever what it is about.
#[derive(Debug)]
struct Counted {
    rule: Rule,
    matched: AtomicBool,
}

impl Counted {
    fn all(rules: &[Rule]) -> Vec<Self> {
        rules.iter().map(|rule| Self { rule: rule.clone(), matched: AtomicBool::new(false) }).collect()
    }

    fn fits(&self, fits: bool) -> bool {
        if fits {
            self.matched.store(true, Ordering::Relaxed);
        }
        fits
    }
}

impl Selection {
    /// The rules of a configuration. `own_pid` is this agent, which is never traced.
    pub fn new(config: &Config, own_pid: u32) -> Self {
        Self { include: Counted::all(&config.include), exclude: Counted::all(&config.exclude), own_pid }
    }

    /// What the rules say of a process, and why.
    pub fn choose(&self, tgid: u32, facts: &Facts) -> (Choice, Reason) {
        // Every rule is asked, since each has to know whether it is about anything.
        let first = |rules: &[Counted]| {
            let fits: Vec<bool> = rules.iter().map(|rule| rule.fits(matches(&rule.rule, tgid, facts))).collect();
            fits.iter().position(|fits| *fits)
        };
        let (excluded, included) = (first(&self.exclude), first(&self.include));
        match (excluded, included) {
            _ if tgid == self.own_pid => (Choice::Nothing, Reason::Own),
            (Some(rule), _) => (Choice::Nothing, Reason::Excluded(rule)),
            // Nobody knows yet whether it is meant.
            (None, _) if self.exclude.iter().any(|rule| rule.rule.is_about_pods()) && pod_is_unknown(facts) => {
                (Choice::Nothing, Reason::PodUnknown)
            }
            (None, Some(rule)) => (Choice::All, Reason::Included(rule)),
            (None, None) if self.include.is_empty() => (Choice::All, Reason::Default),
            (None, None) if self.include.iter().any(|rule| rule.rule.is_port()) => (Choice::ByPort, Reason::Ports),
            (None, None) => (Choice::Nothing, Reason::NotIncluded),
        }
    }

    /// Whether a connection is traced: by its process, and by rules about its ports.
    pub fn connection_selected(&self, process: &Process, local_port: u16, peer_port: u16) -> bool {
        process.is_traced() && self.connection(process.choice(), local_port, peer_port)
    }

    /// Whether a connection that is not traced may still say that its process exports telemetry: the process is traced where
    /// ports say so, and this connection is of another.
    pub fn connection_watched(&self, process: &Process) -> bool {
        process.is_traced() && process.choice() == Choice::ByPort
    }

    fn connection(&self, choice: Choice, local_port: u16, peer_port: u16) -> bool {
        let about = |rules: &[Counted]| {
            let is = |port| port == local_port || port == peer_port;
            rules.iter().filter(|rule| rule.fits(matches!(rule.rule, Rule::Port(port) if is(port)))).count() > 0
        };
        match choice {
            Choice::Nothing => false,
            _ if about(&self.exclude) => false,
            Choice::All => true,
            Choice::ByPort => about(&self.include),
        }
    }

    /// The rules of which nothing was seen that they are about, as the user would write them.
    pub fn idle_rules(&self) -> Vec<(String, Rule)> {
        let idle = |option: &str, rules: &[Counted]| {
            let never = rules.iter().filter(|rule| !rule.matched.load(Ordering::Relaxed));
            never.map(|rule| (format!("--{option} {}", rule.rule), rule.rule.clone())).collect::<Vec<_>>()
        };
        [idle("include", &self.include), idle("exclude", &self.exclude)].concat()
    }

    /// A reason, for people.
    pub fn explain(&self, reason: Reason) -> String {
        let rule = |rules: &[Counted], at: usize| rules.get(at).map(|rule| rule.rule.to_string()).unwrap_or_default();
        match reason {
            Reason::Own => "this agent".into(),
            Reason::Excluded(at) => format!("--exclude {}", rule(&self.exclude, at)),
            Reason::Included(at) => format!("--include {}", rule(&self.include, at)),
            Reason::Ports => {
                let ports = self.include.iter().filter(|rule| rule.rule.is_port()).map(|rule| rule.rule.to_string());
                format!("--include {}", ports.collect::<Vec<_>>().join(" "))
            }
            Reason::Default => "default".into(),
            Reason::NotIncluded => "no --include rule".into(),
            Reason::Exports => "exports its own telemetry".into(),
            Reason::PodUnknown => "its pod is not known yet, and --exclude is about pods".into(),
        }
    }
}

/// Whether a rule that is not about ports fits a process.
pub(super) fn matches(rule: &Rule, tgid: u32, facts: &Facts) -> bool {
    match rule {
        Rule::Any => true,
        Rule::Exe(glob) => glob.matches_one_of(facts.calls()),
        Rule::Pid(pid) => *pid == tgid,
        Rule::User(uid) => facts.uid == Some(*uid),
        Rule::Cgroup(glob) => facts.cgroup.paths.iter().any(|path| glob.matches(path)),
        Rule::Container(glob) => {
            let id = facts.cgroup.container_id.as_deref();
            id.is_some_and(|id| glob.matches_beginning(id))
                || facts.container.as_ref().is_some_and(|container| glob.matches(&container.name))
                || facts.pod.as_ref().and_then(Found::container).is_some_and(|container| glob.matches(&container.name))
        }
        Rule::Image(glob) => match facts.pod.as_ref().and_then(Found::container) {
            Some(container) => {
                glob.matches(&container.image) || glob.matches(&format!("{}:{}", container.image, container.tag))
            }
            None => of_files(facts, "container.image.name").is_some_and(|image| glob.matches(image)),
        },
        Rule::Namespace(glob) => match &facts.pod {
            Some(found) => glob.matches(&found.pod.namespace),
            None => of_files(facts, "k8s.namespace.name").is_some_and(|namespace| glob.matches(namespace)),
        },
        Rule::Workload(glob) => match &facts.pod {
            Some(found) => found.pod.owners.iter().any(|owner| {
                glob.matches(&owner.name) || glob.matches(&format!("{}/{}", owner.kind.word(), owner.name))
            }),
            None => of_files(facts, "k8s.deployment.name").is_some_and(|name| glob.matches(name)),
        },
        Rule::Label(key, value) => {
            let label = facts.pod.as_ref().and_then(|found| found.pod.label(key));
            label.is_some_and(|label| value.as_ref().is_none_or(|value| value.matches(label)))
        }
        Rule::Port(_) => false,
    }
}

/// What the files of a container's runtime say of it.
fn of_files<'a>(facts: &'a Facts, key: &str) -> Option<&'a str> {
    let attributes = &facts.container.as_ref()?.attributes;
    attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
}

/// Whether it is in a pod that nobody has told of.
fn pod_is_unknown(facts: &Facts) -> bool {
    facts.cgroup.pod_uid.is_some() && facts.pod.is_none() && of_files(facts, "k8s.namespace.name").is_none()
}
