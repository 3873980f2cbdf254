//! What a program is called, from its command line: `python app.py` is `app`, `java -jar shop.jar` is `shop`.
//!
//! One file per runtime; `RUNTIMES` says which file reads which executable. What no runtime claims is called as its
//! executable. A runtime whose command line shows no program (`python -c …`, an interactive shell) gives its own name.
//! A name that is in every project gives way to the project's (`project.rs`); programs that are called alike are told
//! apart (`namesakes.rs`), also by whose file system they are in (`elsewhere.rs`).

mod elsewhere;
mod jar;
mod java;
pub mod namesakes;
mod node;
mod options;
mod others;
mod php;
mod project;
mod python;
mod ruby;
mod shell;

use std::path::{Component, Path, PathBuf};

use super::facts::Facts;
use super::files;
use elsewhere::Elsewhere;
use namesakes::Home;
use wirespan_inspect::runtime::Kind;

/// A language as `telemetry.sdk.language` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// .NET.
    Dotnet,
    /// Erlang, Elixir.
    Erlang,
    /// Go.
    Go,
    /// JVM languages.
    Java,
    /// JavaScript on Node, Deno and Bun.
    Nodejs,
    /// PHP.
    Php,
    /// Python.
    Python,
    /// Ruby.
    Ruby,
    /// Rust.
    Rust,
}

impl Language {
    /// Value of `telemetry.sdk.language`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dotnet => "dotnet",
            Self::Erlang => "erlang",
            Self::Go => "go",
            Self::Java => "java",
            Self::Nodejs => "nodejs",
            Self::Php => "php",
            Self::Python => "python",
            Self::Ruby => "ruby",
            Self::Rust => "rust",
        }
    }

    /// What programs of a runtime are written in, if that is what it is for.
    pub fn of(runtime: Kind) -> Option<Self> {
        Some(match runtime {
            Kind::Go => Self::Go,
            Kind::Rust => Self::Rust,
            Kind::CPython => Self::Python,
            Kind::Ruby => Self::Ruby,
            Kind::Node => Self::Nodejs,
            Kind::Nginx => return None,
        })
    }
}

/// Whence a name comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// A `service-name` rule.
    Rule,
    /// A variable of its environment.
    Variable(&'static str),
    /// Its pod.
    Pod,
    /// Its systemd unit.
    Unit,
    /// Its container's name, or what an orchestrator calls it.
    Container,
    /// A file of its project.
    File(&'static str),
    /// What Go's linker wrote into it.
    GoModule,
    /// Its project's folder.
    Folder,
    /// Its command line.
    CommandLine,
    /// Its executable's name.
    #[default]
    Executable,
}

impl Source {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Variable(name) | Self::File(name) => name,
            Self::Pod => "pod",
            Self::Unit => "unit",
            Self::Container => "container",
            Self::GoModule => "go module",
            Self::Folder => "folder",
            Self::CommandLine => "command line",
            Self::Executable => "executable",
        }
    }
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// What it is called; empty when nothing is known.
    pub name: String,
    /// Whence that comes.
    pub source: Source,
    /// What it is written in, where the runtime shows it.
    pub language: Option<Language>,
    /// The language's version, where it is known without asking.
    pub version: Option<String>,
    /// Where it is, if it is somebody's own.
    pub home: Option<Home>,
}

/// How one runtime's command lines are read.
struct Runtime {
    /// Name of the executable without its version, and the service's name when the command line shows no program.
    names: &'static [&'static str],
    language: Option<Language>,
    /// Finds the program in the command line.
    read: fn(&CommandLine<'_>) -> Option<String>,
}

const fn runtime(
    names: &'static [&'static str],
    language: Option<Language>,
    read: fn(&CommandLine<'_>) -> Option<String>,
) -> Runtime {
    Runtime { names, language, read }
}

static RUNTIMES: &[Runtime] = &[
    runtime(&["python", "pypy", "uwsgi"], Some(Language::Python), python::read),
    runtime(&["java"], Some(Language::Java), java::read),
    runtime(&["node", "nodejs"], Some(Language::Nodejs), node::read),
    runtime(&["deno", "bun", "tsx"], Some(Language::Nodejs), node::read_with_command),
    runtime(&["php-fpm", "php-cgi"], Some(Language::Php), |_| None),
    runtime(&["php"], Some(Language::Php), php::read),
    runtime(&["ruby", "jruby", "puma", "unicorn", "sidekiq"], Some(Language::Ruby), ruby::read),
    runtime(&["dotnet", "mono"], Some(Language::Dotnet), others::dotnet),
    runtime(&["beam.smp", "beam"], Some(Language::Erlang), others::erlang),
    runtime(&["perl"], None, others::perl),
    runtime(&["bash", "sh", "dash", "zsh", "ash", "ksh", "fish"], None, shell::read),
];

/// Names a program.
pub fn program(facts: &Facts) -> Program {
    let applet;
    let facts = match applet_of(facts) {
        Some(found) => {
            applet = found;
            &applet
        }
        None => facts,
    };
    let line = CommandLine { facts, args: facts.args.get(1..).unwrap_or_default() };
    let plain = without_version(facts.exe_name());
    let Some(runtime) = RUNTIMES.iter().find(|runtime| runtime.names.contains(&plain)) else { return native(&line) };
    let version = version(facts, plain);
    let Some(name) = (runtime.read)(&line).filter(|name| !name.is_empty()) else {
        return Program { name: plain.to_string(), language: runtime.language, version, ..Program::default() };
    };
    let file = project::locate(&line, &name);
    let found = file
        .as_deref()
        .filter(|_| project::is_generic(&name))
        .and_then(|file| project::of(&line, runtime.language, file));
    let home = file.as_deref().map(|file| {
        let stem = file.file_stem().map_or_else(|| name.clone(), |stem| stem.to_string_lossy().into_owned());
        Home::new(file, if project::is_generic(&name) { &name } else { &stem })
    });
    let described = || match runtime.language {
        Some(Language::Nodejs) if file.as_deref().is_some_and(|file| !file.ends_with(&name)) => {
            project::described(&line, runtime.language, file.as_deref()?).filter(|(known, _)| *known == name)
        }
        _ => None,
    };
    let (name, source) = found.or_else(described).unwrap_or((name, Source::CommandLine));
    let home = home.map(|home| at_home(&line, home, file.as_deref(), source));
    Program { name, source, language: runtime.language, version, home }
}

/// The home of a program, with the file system that it is in. A project that says what it is called is the same one wherever it is.
fn at_home(line: &CommandLine<'_>, home: Home, file: Option<&Path>, named: Source) -> Home {
    match file {
        Some(file) if !matches!(named, Source::File(_) | Source::GoModule) => home.within(Elsewhere::of(line, file)),
        _ => home,
    }
}

/// A program that no runtime runs. Of Go's it is known which they are.
fn native(line: &CommandLine<'_>) -> Program {
    let name = others::native(line.facts);
    let runtime = line.facts.runtime.as_deref();
    let build = runtime.and_then(|runtime| runtime.build.as_ref());
    let language = runtime.and_then(|runtime| Language::of(runtime.kind));
    let version = build.map(|build| &build.version).or(runtime.and_then(|runtime| runtime.version.as_ref())).cloned();
    let file = PathBuf::from(&line.facts.exe);
    if !project::is_generic(&name) || !file.is_absolute() {
        return Program { name, language, version, ..Program::default() };
    }
    let module = build.and_then(project::go).map(|name| (name, Source::GoModule));
    let found = module.or_else(|| project::of(line, language, &file));
    let home = Home::new(&file, &name);
    let (name, source) = found.unwrap_or((name, Source::Executable));
    let home = Some(at_home(line, home, Some(&file), source));
    Program { name, source, language, version, home }
}

/// The version in the executable's name, or of a JVM in its folder's: `python3.11`, `/usr/lib/jvm/java-17-openjdk-amd64`.
fn version(facts: &Facts, plain: &str) -> Option<String> {
    let number = |text: &str| {
        let text = text.trim_start_matches('-');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        Some(text[..end].trim_matches('.')).filter(|number| !number.is_empty()).map(str::to_owned)
    };
    if plain != "java" {
        return number(facts.exe_name().strip_prefix(plain)?);
    }
    let folders = facts.exe.split('/').filter_map(|folder| {
        ["java", "jdk", "jre", "temurin", "zulu"].iter().find_map(|vendor| folder.strip_prefix(vendor))
    });
    folders.filter_map(number).next()
}

/// Executables that are many programs and go by their first argument.
const MULTI_CALL: &[&str] = &["busybox", "toybox", "coreutils", DEBIAN_REDIS];

/// Debian's redis-server is a link to this, and writes a title over its arguments.
const DEBIAN_REDIS: &str = "redis-check-rdb";

/// What a multi-call executable is this time: `wget` of busybox, `sh` of `busybox sh run.sh`. The same goes for a program
/// that was executed from memory, whose path is a random name.
fn applet_of(facts: &Facts) -> Option<Facts> {
    let base = |arg: &String| stem(arg.trim_start_matches('-'), &[]).to_string();
    let exe = facts.exe_name();
    let first = facts.args.first().map(|arg| match arg.split_once(' ') {
        Some((name, _)) if exe == DEBIAN_REDIS => name.to_string(),
        _ => arg.clone(),
    });
    let called = first.as_ref().map(base).filter(|name| !name.is_empty())?;
    let named = |exe: String, args: &[String]| Facts { exe, args: args.to_vec(), ..facts.clone() };
    if MULTI_CALL.contains(&called.as_str()) && called != DEBIAN_REDIS {
        return Some(named(base(facts.args.get(1)?), &facts.args[1..]));
    }
    (MULTI_CALL.contains(&exe) || facts.exe.starts_with("/memfd:")).then(|| named(called, &facts.args))
}

/// An executable's name without the version at its end: `python3.11` is `python`, `php-fpm8.2` is `php-fpm`. A lone digit
/// stays, save behind a runtime's name: `h2` is not `h`.
fn without_version(name: &str) -> &str {
    let trimmed = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
    let version = &name[trimmed.len()..];
    let runtime = RUNTIMES.iter().any(|runtime| runtime.names.contains(&trimmed));
    if trimmed.is_empty() || !(runtime || version.contains('.')) { name } else { trimmed }
}

/// A command line, with what is needed to look behind it.
struct CommandLine<'a> {
    facts: &'a Facts,
    /// Without the program's own name.
    args: &'a [String],
}

impl CommandLine<'_> {
    /// The title that a program wrote over its command line, if this is one: `gunicorn: worker [shop]`.
    ///
    /// A title is one text with spaces where the arguments were.
    fn title(&self) -> Option<&str> {
        let first = self.facts.args.first()?;
        (self.args.iter().all(String::is_empty) && first.contains(' ')).then_some(first.as_str())
    }

    /// The working directory as the process sees it, while it lives.
    fn cwd(&self) -> Option<PathBuf> {
        std::fs::read_link(self.facts.dir.as_ref()?.join("cwd")).ok().filter(|cwd| cwd.is_absolute())
    }

    /// Name of the working directory.
    fn cwd_name(&self) -> Option<String> {
        self.cwd()?.file_name().map(|name| name.to_string_lossy().into_owned())
    }

    /// A path of the command line as an absolute one of the process's own file system.
    fn absolute(&self, path: &str) -> Option<PathBuf> {
        let joined = if path.starts_with('/') { PathBuf::from(path) } else { self.cwd()?.join(path) };
        let mut clean = PathBuf::from("/");
        for component in joined.components() {
            match component {
                Component::Normal(part) => clean.push(part),
                Component::ParentDir => drop(clean.pop()),
                _ => {}
            }
        }
        Some(clean)
    }

    /// The root of the process's own file system, while it lives.
    fn root(&self) -> Option<PathBuf> {
        Some(self.facts.dir.as_ref()?.join("root"))
    }

    /// A small file of the process's own file system, by absolute path.
    fn file(&self, path: &Path) -> Option<String> {
        files::text(&self.root()?, path, 256 << 10)
    }
}

/// The file's name without directory and without these endings.
fn stem<'a>(path: &'a str, endings: &[&str]) -> &'a str {
    let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    endings.iter().find_map(|ending| base.strip_suffix(ending)).filter(|stem| !stem.is_empty()).unwrap_or(base)
}

/// Name of the directory that a file is in, if the path or the working directory tells.
fn directory(line: &CommandLine<'_>, path: &str) -> Option<String> {
    let parent = line.absolute(path).or_else(|| Some(PathBuf::from(path)))?.parent()?.to_path_buf();
    parent.file_name().map(|name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests;
