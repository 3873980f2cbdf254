//! Rules that choose processes and connections: `exe:GLOB`, `pid:N`, `port:N`, `user:NAME|UID`, `cgroup:GLOB`,
//! `container:GLOB`, `image:GLOB`, and in Kubernetes `namespace:GLOB`, `workload:GLOB`, `label:KEY=GLOB`; a bare value is an
//! executable glob.

use std::fmt;
use std::path::Path;

use super::error::nearest;

/// A pattern with `*` (any characters, `/` included) and `?` (one character).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// A pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self(pattern.into())
    }

    /// Whether the whole of `text` fits. Linear in both lengths for usual patterns, and never worse than their product.
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.0.as_bytes(), text.as_bytes());
        let (mut p, mut t) = (0, 0);
        // Where to resume when what follows the last `*` does not fit: that star, and the text that it does not yet cover.
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(&c) if c == b'?' || c == text[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((at, covered)) = star else { return false };
                    star = Some((at, covered + 1));
                    p = at + 1;
                    t = covered + 1;
                }
            }
        }
        pattern[p..].iter().all(|c| *c == b'*')
    }

    /// Whether some beginning of `text` fits.
    pub fn matches_beginning(&self, text: &str) -> bool {
        Self(format!("{}*", self.0)).matches(text)
    }

    /// Whether one of the paths fits that a program goes by. A name without `/` says nothing of a pattern with one, unless it is
    /// all that is known.
    pub fn matches_one_of<'a>(&self, paths: impl Iterator<Item = &'a str> + Clone) -> bool {
        let whole = |path: &&str| path.contains('/');
        let names_count = !self.0.contains('/') || !paths.clone().any(|path| whole(&path));
        paths.filter(|path| names_count || whole(path)).any(|path| self.matches_path(path))
    }

    /// Whether a path fits: a pattern without `/` is about the file name alone, and a path without `/` (a process that was
    /// gone before its path could be read) is compared with the pattern's file name.
    pub fn matches_path(&self, path: &str) -> bool {
        if !path.contains('/') {
            return Self::new(self.0.rsplit('/').next().unwrap_or_default()).matches(path);
        }
        if self.0.contains('/') { self.matches(path) } else { self.matches(path.rsplit('/').next().unwrap_or(path)) }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everything; only in `service-name`, where it is a name without a rule.
    Any,
    /// Path of the executable, or its file name if the pattern has no `/`.
    Exe(Glob),
    /// Process id in the initial pid namespace.
    Pid(u32),
    /// Port of a connection, local or remote.
    Port(u16),
    /// Effective user, by its id.
    User(u32),
    /// Path of the control group, from the root of its hierarchy.
    Cgroup(Glob),
    /// Container: its name, or a beginning of its id.
    Container(Glob),
    /// Image of the container, with or without its tag.
    Image(Glob),
    /// Namespace of the pod.
    Namespace(Glob),
    /// What the pod is part of: its name, or `deployment/NAME`.
    Workload(Glob),
    /// A label of the pod, with this value, or with any.
    Label(String, Option<Glob>),
}

const WORDS: [&str; 10] =
    ["exe", "pid", "port", "user", "cgroup", "container", "image", "namespace", "workload", "label"];

impl Rule {
    /// Reads a rule. `users` looks up a user's id by name.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the value.
    pub fn parse(text: &str, users: &dyn Fn(&str) -> Option<u32>) -> Result<Self, String> {
        let (word, rest) = match text.split_once(':') {
            Some((word, rest)) => (word, rest.trim()),
            None => ("exe", text.trim()),
        };
        if rest.is_empty() {
            return Err("is an empty rule; write for instance exe:*/nginx or port:8080".to_string());
        }
        match word.trim() {
            "exe" => Ok(Self::Exe(Glob::new(rest))),
            "cgroup" => Ok(Self::Cgroup(Glob::new(rest))),
            "container" => Ok(Self::Container(Glob::new(rest))),
            "image" => Ok(Self::Image(Glob::new(rest))),
            "namespace" => Ok(Self::Namespace(Glob::new(rest))),
            "workload" => Ok(Self::Workload(Glob::new(rest))),
            "label" => match rest.split_once('=') {
                Some(("", _)) => Err("has no key; write for instance label:team=shop".to_string()),
                Some((key, value)) => Ok(Self::Label(key.trim().to_string(), Some(Glob::new(value.trim())))),
                None => Ok(Self::Label(rest.to_string(), None)),
            },
            "pid" => match rest.parse() {
                Ok(pid) if pid > 0 => Ok(Self::Pid(pid)),
                _ => Err("does not name a process; write its id, such as pid:4711".to_string()),
            },
            "port" => match rest.parse() {
                Ok(port) if port > 0 => Ok(Self::Port(port)),
                _ => Err("does not name a port; write a number from 1 to 65535, such as port:8080".to_string()),
            },
            "user" => rest.parse().ok().or_else(|| users(rest)).map(Self::User).ok_or_else(|| {
                "names a user that /etc/passwd does not know; write the number that `id -u` prints".to_string()
            }),
            other => Err(unknown_word(other)),
        }
    }

    /// Reads `RULE=NAME`, or a bare `NAME` for everything.
    ///
    /// # Errors
    /// The rest of a sentence that begins with the value.
    pub fn parse_named(text: &str, users: &dyn Fn(&str) -> Option<u32>) -> Result<(Self, String), String> {
        let (rule, name) = match text.rsplit_once('=') {
            Some((rule, name)) => (Self::parse(rule.trim(), users)?, name.trim()),
            None => (Self::Any, text.trim()),
        };
        if name.is_empty() {
            return Err("gives no name; write for instance port:8080=shop".to_string());
        }
        if rule == Self::Any && WORDS.iter().any(|word| name.starts_with(&format!("{word}:"))) {
            return Err(format!("has a rule but no name; write {name}=NAME"));
        }
        Ok((rule, name.to_string()))
    }

    /// Whether this rule is about pods, of which is not known at once which a process is in.
    pub fn is_about_pods(&self) -> bool {
        matches!(self, Self::Namespace(_) | Self::Workload(_) | Self::Label(..))
    }

    /// Whether this rule is about single connections instead of a whole process.
    pub fn is_port(&self) -> bool {
        matches!(self, Self::Port(_))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exe(glob) => write!(f, "exe:{}", glob.0),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Port(port) => write!(f, "port:{port}"),
            Self::User(uid) => write!(f, "user:{uid}"),
            Self::Cgroup(glob) => write!(f, "cgroup:{}", glob.0),
            Self::Container(glob) => write!(f, "container:{}", glob.0),
            Self::Image(glob) => write!(f, "image:{}", glob.0),
            Self::Namespace(glob) => write!(f, "namespace:{}", glob.0),
            Self::Workload(glob) => write!(f, "workload:{}", glob.0),
            Self::Label(key, None) => write!(f, "label:{key}"),
            Self::Label(key, Some(glob)) => write!(f, "label:{key}={}", glob.0),
        }
    }
}

fn unknown_word(word: &str) -> String {
    match nearest(word, WORDS) {
        Some(near) => format!("begins with no known rule; did you mean `{near}:`?"),
        None => {
            format!(
                "begins with no known rule; rules are {}: and a path that contains `:` needs exe:",
                WORDS.join(":, ")
            )
        }
    }
}

/// Finds a user's id in the text of a passwd file.
pub fn user_in(passwd: &str, name: &str) -> Option<u32> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// The file that [`user_in`] is meant for.
pub fn passwd_path() -> &'static Path {
    Path::new("/etc/passwd")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(name: &str) -> Option<u32> {
        user_in("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n", name)
    }

    #[test]
    fn globs_match_whole_texts_and_stars_cross_slashes() {
        for (pattern, text, fits) in [
            ("*/nginx", "/usr/sbin/nginx", true),
            ("*/nginx", "/usr/sbin/nginx2", false),
            ("/opt/*/bin/*", "/opt/a/b/bin/c", true),
            ("python3.?", "python3.11", false),
            ("python3.??", "python3.11", true),
            ("a*b*c", "aXbXbXc", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("a*", "b", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(text), fits, "{pattern} on {text}");
        }
    }

    #[test]
    fn a_path_pattern_without_slash_is_about_the_file_name() {
        assert!(Glob::new("ngin*").matches_path("/usr/sbin/nginx"));
        assert!(!Glob::new("usr*").matches_path("/usr/sbin/nginx"));
        assert!(Glob::new("/usr/*/nginx").matches_path("nginx") && !Glob::new("/usr/*/nginx").matches_path("curl"));
    }

    #[test]
    fn a_name_alone_counts_for_a_path_pattern_only_where_no_path_is_known() {
        let fits = |pattern: &str, paths: &[&str]| Glob::new(pattern).matches_one_of(paths.iter().copied());
        assert!(fits("*/python3.11", &["/usr/bin/python3.11", "/usr/bin/python3", "python3"]));
        assert!(fits("*/python3", &["/usr/bin/python3.11", "/usr/bin/python3", "python3"]));
        assert!(fits("shop-worker", &["/usr/bin/python3.11", "/usr/bin/python3", "shop-worker"]));
        assert!(!fits("/opt/venv/bin/python3", &["/usr/bin/python3.11", "/usr/bin/python3", "python3"]));
        assert!(fits("/opt/venv/bin/python3", &["python3"]));
    }

    #[test]
    fn a_long_star_pattern_does_not_explode() {
        let glob = Glob::new("*a".repeat(50) + "b");
        assert!(!glob.matches(&"a".repeat(2000)));
    }

    #[test]
    fn every_rule_reads_back_as_written() {
        for text in [
            "exe:*/nginx",
            "pid:4711",
            "port:8080",
            "user:33",
            "cgroup:/system.slice/*",
            "container:shop*",
            "image:*/shop:1.*",
            "namespace:prod-*",
            "workload:deployment/shop",
            "label:team=a*",
            "label:app.kubernetes.io/name",
        ] {
            assert_eq!(Rule::parse(text, &users).unwrap().to_string(), text);
        }
        assert_eq!(Rule::parse("nginx", &users), Ok(Rule::Exe(Glob::new("nginx"))));
        assert_eq!(Rule::parse("user:www-data", &users), Ok(Rule::User(33)));
    }

    #[test]
    fn a_wrong_rule_is_told_what_would_be_right() {
        for (text, part) in [
            ("prot:80", "did you mean `port:`?"),
            ("port:99999", "from 1 to 65535"),
            ("pid:nginx", "pid:4711"),
            ("user:nobody-here", "id -u"),
            ("label:=x", "no key"),
            ("exe:", "empty rule"),
            ("", "empty rule"),
            ("http://x", "rules are exe:"),
        ] {
            let problem = Rule::parse(text, &users).unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
        }
    }

    #[test]
    fn names_come_with_or_without_a_rule() {
        assert_eq!(Rule::parse_named("port:8080=shop", &users), Ok((Rule::Port(8080), "shop".into())));
        assert_eq!(Rule::parse_named("exe:*/nginx=edge", &users), Ok((Rule::Exe(Glob::new("*/nginx")), "edge".into())));
        assert_eq!(Rule::parse_named("shop", &users), Ok((Rule::Any, "shop".into())));
        assert!(Rule::parse_named("port:8080", &users).unwrap_err().contains("port:8080=NAME"));
        assert!(Rule::parse_named("port:8080=", &users).unwrap_err().contains("no name"));
    }
}
