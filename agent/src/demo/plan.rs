//! Which program of this machine plays which part.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What a process of the shop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes orders, and asks the others.
    Shop,
    /// Knows what is there.
    Stock,
    /// Is slow at times.
    Prices,
    /// Fails at times.
    Payments,
    /// Makes the traffic.
    Customer,
}

impl Role {
    /// All, in the order in which they are started.
    pub const ALL: [Self; 5] = [Self::Stock, Self::Prices, Self::Payments, Self::Shop, Self::Customer];

    /// The service's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Stock => "stock",
            Self::Prices => "prices",
            Self::Payments => "payments",
            Self::Customer => "customer",
        }
    }

    /// The role of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A language, and what is written in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// The program that runs it, and the name for people.
    pub program: &'static str,
    /// The file's name.
    pub file: &'static str,
    /// What is in it.
    pub source: &'static str,
}

const PYTHON: Language = Language { program: "python3", file: "part.py", source: include_str!("services/part.py") };
const NODE: Language = Language { program: "node", file: "part.js", source: include_str!("services/part.js") };
const PHP: Language = Language { program: "php", file: "part.php", source: include_str!("services/part.php") };
const PERL: Language = Language { program: "perl", file: "part.pl", source: include_str!("services/part.pl") };
const RUBY: Language = Language { program: "ruby", file: "part.rb", source: include_str!("services/part.rb") };
const SHOP: Language = Language { program: "python3", file: "shop.py", source: include_str!("services/shop.py") };

/// Who may play a part, the first that is there; nobody means this program.
fn candidates(role: Role) -> &'static [Language] {
    match role {
        Role::Shop => &[SHOP],
        Role::Stock => &[NODE, RUBY, PYTHON],
        Role::Prices => &[PHP, RUBY, PERL, PYTHON],
        Role::Payments => &[PERL, PYTHON],
        Role::Customer => &[],
    }
}

/// Who plays a part, given which programs there are: the first that nobody else plays yet, so that many are seen.
pub fn cast(exists: impl Fn(&str) -> bool) -> Vec<(Role, Option<Language>)> {
    let mut taken: Vec<&str> = Vec::new();
    Role::ALL
        .into_iter()
        .map(|role| {
            let there = || candidates(role).iter().filter(|language| exists(language.program));
            let chosen = there().find(|language| !taken.contains(&language.program)).or_else(|| there().next());
            taken.extend(chosen.map(|language| language.program));
            (role, chosen.copied())
        })
        .collect()
}

/// Whether `PATH` has a program.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).any(|file: PathBuf| file.is_file())
}

/// The command line of a part: the program, its arguments, and its own variables.
pub fn command_line(
    role: Role,
    language: Option<Language>,
    script: &Path,
    port: u16,
    others: &[u16],
) -> (OsString, Vec<OsString>) {
    let ports: Vec<OsString> = others.iter().map(|port| port.to_string().into()).collect();
    let Some(language) = language else {
        let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
        let mut arguments: Vec<OsString> =
            vec!["demo".into(), "--part".into(), role.name().into(), "--port".into(), port.to_string().into()];
        ports.into_iter().for_each(|port| arguments.extend(["--other".into(), port]));
        return (own.into(), arguments);
    };
    let mut arguments: Vec<OsString> = match language.program {
        "php" => {
            return (language.program.into(), vec!["-S".into(), format!("127.0.0.1:{port}").into(), script.into()]);
        }
        _ => vec![script.into(), port.to_string().into()],
    };
    match role {
        Role::Shop => arguments.extend(ports),
        _ => arguments.push(role.name().into()),
    }
    (language.program.into(), arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(exists: &[&str]) -> Vec<Option<&'static str>> {
        cast(|program| exists.contains(&program)).into_iter().map(|(_, l)| l.map(|l| l.program)).collect()
    }

    #[test]
    fn every_part_has_a_language_of_its_own_where_there_are_enough() {
        let all = ["python3", "node", "php", "perl", "ruby"];
        assert_eq!(programs(&all), [Some("node"), Some("php"), Some("perl"), Some("python3"), None]);
        let few = ["python3", "perl"];
        assert_eq!(programs(&few), [Some("python3"), Some("perl"), Some("perl"), Some("python3"), None]);
    }

    #[test]
    fn without_any_language_this_program_plays_every_part() {
        assert_eq!(programs(&[]), [None; 5]);
        let (_, arguments) = command_line(Role::Shop, None, Path::new(""), 7, &[1, 2, 3]);
        let line: Vec<_> = arguments.iter().map(|a| a.to_string_lossy()).collect();
        assert_eq!(line.join(" "), "demo --part shop --port 7 --other 1 --other 2 --other 3");
    }
}
