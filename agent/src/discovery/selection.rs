//! Include and exclude rules.
//!
//! Exclude wins over include. With any include rule, only what matches one is traced. Rules about ports are decided per
//! connection, by either of its two ports; all others once per process.

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

/// The rules.
#[derive(Clone, Debug)]
pub struct Selection {
    include: Vec<Rule>,
    exclude: Vec<Rule>,
    own_pid: u32,
}

impl Selection {
    /// The rules of a configuration. `own_pid` is this agent, which is never traced.
    pub fn new(config: &Config, own_pid: u32) -> Self {
        Self { include: config.include.clone(), exclude: config.exclude.clone(), own_pid }
    }

    /// What the rules say of a process.
    pub fn choose(&self, tgid: u32, facts: &Facts) -> Choice {
        let matched = |rules: &[Rule]| rules.iter().any(|rule| matches(rule, tgid, facts));
        if tgid == self.own_pid || matched(&self.exclude) {
            Choice::Nothing
        } else if self.include.is_empty() || matched(&self.include) {
            Choice::All
        } else if self.include.iter().any(Rule::is_port) {
            Choice::ByPort
        } else {
            Choice::Nothing
        }
    }

    /// Whether a connection is traced: by its process, and by rules about its ports.
    pub fn connection_selected(&self, process: &Process, local_port: u16, peer_port: u16) -> bool {
        process.is_traced() && self.connection(process.choice(), local_port, peer_port)
    }

    fn connection(&self, choice: Choice, local_port: u16, peer_port: u16) -> bool {
        let about = |rules: &[Rule]| {
            rules.iter().any(|rule| matches!(rule, Rule::Port(port) if *port == local_port || *port == peer_port))
        };
        match choice {
            Choice::Nothing => false,
            _ if about(&self.exclude) => false,
            Choice::All => true,
            Choice::ByPort => about(&self.include),
        }
    }
}

/// Whether a rule that is not about ports fits a process.
pub(super) fn matches(rule: &Rule, tgid: u32, facts: &Facts) -> bool {
    match rule {
        Rule::Any => true,
        Rule::Exe(glob) => glob.matches_path(&facts.exe),
        Rule::Pid(pid) => *pid == tgid,
        Rule::User(uid) => facts.uid == Some(*uid),
        Rule::Cgroup(glob) => facts.cgroup.paths.iter().any(|path| glob.matches(path)),
        Rule::Container(glob) => {
            let id = facts.cgroup.container_id.as_deref();
            id.is_some_and(|id| glob.matches_beginning(id))
                || facts.container.as_ref().is_some_and(|container| glob.matches(&container.name))
        }
        Rule::Port(_) => false,
    }
}
