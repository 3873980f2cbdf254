//! The project that a program is part of: what it is called where its own name says nothing, for `app.py`, `server.js` and
//! `main` are in every project.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use wirespan_inspect::go::Build;
use wirespan_protocols::template::template;

use super::{CommandLine, Language, Source, jar, stem};
use crate::discovery::files;

/// Names that say what a program does in its project, and not which project that is.
const GENERIC: &[&str] = &[
    "__main__",
    "api",
    "app",
    "application",
    "asgi",
    "backend",
    "boot",
    "bootstrap",
    "bundle",
    "cli",
    "cmd",
    "default",
    "entry",
    "entrypoint",
    "exec",
    "frontend",
    "index",
    "init",
    "launch",
    "launcher",
    "local",
    "main",
    "manage",
    "prod",
    "production",
    "prog",
    "program",
    "run",
    "runner",
    "script",
    "serve",
    "server",
    "service",
    "start",
    "startup",
    "test",
    "web",
    "website",
    "worker",
    "wsgi",
    "www",
];

/// Folders that are in every project, or on every machine.
const COMMON_FOLDERS: &[&str] = &[
    "bin",
    "build",
    "classes",
    "code",
    "current",
    "debug",
    "deploy",
    "dist",
    "etc",
    "home",
    "html",
    "htdocs",
    "lib",
    "libexec",
    "libs",
    "mnt",
    "opt",
    "out",
    "packages",
    "project",
    "projects",
    "public",
    "release",
    "releases",
    "repo",
    "root",
    "sbin",
    "scripts",
    "share",
    "source",
    "sources",
    "src",
    "srv",
    "target",
    "tmp",
    "usr",
    "var",
    "workdir",
    "workspace",
];

/// What is installed in these belongs to nobody's project.
const INSTALLED: &[&str] =
    &["node_modules", "site-packages", "dist-packages", "venv", ".venv", "gems", ".cargo", ".local"];

/// Folders above a file in which a project's description is still thought to be the file's own.
const NEAR: usize = 4;
/// The longest name.
const MAX_NAME: usize = 128;

const ENDINGS: &[&str] = &[
    ".py", ".pyc", ".pyz", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".jsx", ".tsx", ".rb", ".php", ".phar", ".pl",
    ".psgi", ".dll", ".jar", ".war", ".java",
];

/// Whether a name is in every project.
pub(super) fn is_generic(name: &str) -> bool {
    name.split('.').all(|part| GENERIC.contains(&part.to_ascii_lowercase().as_str()))
}

fn has_ending(arg: &str) -> bool {
    ENDINGS.iter().any(|ending| arg.ends_with(ending))
}

/// Where the program is that was found in a command line: its file, or where its module would be.
pub(super) fn locate(line: &CommandLine<'_>, name: &str) -> Option<PathBuf> {
    let is_option = |arg: &str| arg.starts_with('-');
    let called = |arg: &str| (has_ending(arg) || arg.contains('/')) && stem(arg, ENDINGS) == name;
    let after_option = |at: usize| at > 0 && is_option(&line.args[at - 1]) && !line.args[at - 1].contains('=');
    let args = || line.args.iter().enumerate().filter(|(_, arg)| !is_option(arg));
    // What is called like it, else the first file that is not an option's value, else the first file.
    let script = args()
        .find(|(_, arg)| called(arg))
        .or_else(|| args().find(|(at, arg)| has_ending(arg) && !after_option(*at)))
        .or_else(|| args().find(|(_, arg)| has_ending(arg)));
    if let Some((_, script)) = script {
        return line.absolute(script);
    }
    // `gunicorn orders.wsgi:app`, `python -m orders`: beside the working directory, if it is there.
    let module = line.args.iter().chain(line.facts.args.first()).find_map(|arg| {
        let target = arg.rsplit(['[', '=']).next().unwrap_or(arg).trim_end_matches(']');
        let module = target.split(':').next().unwrap_or(target);
        let is_own = module.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        is_own.then(|| name.replace('.', "/"))
    })?;
    let folder = super::options::value_of(line.args, &["--chdir", "--app-dir"]);
    let file = line.absolute(&[folder.unwrap_or("."), "/", &module].concat())?;
    let root = line.root()?;
    let candidates = [file.with_extension("py"), file.clone()];
    candidates.into_iter().find(|candidate| files::real(&root, candidate).is_some())
}

/// The name of the project that a file belongs to, and where it was found.
pub(super) fn of(line: &CommandLine<'_>, language: Option<Language>, file: &Path) -> Option<(String, Source)> {
    if file.components().any(|part| INSTALLED.iter().any(|folder| part.as_os_str() == *folder)) {
        return None;
    }
    described(line, language, file).or_else(|| Some((folder(file)?, Source::Folder)))
}

/// Reads the name out of a description.
type Read = fn(&str) -> Option<String>;

/// What a description near a file calls its project.
pub(super) fn described(line: &CommandLine<'_>, language: Option<Language>, file: &Path) -> Option<(String, Source)> {
    if file.extension().is_some_and(|extension| extension == "jar" || extension == "war") {
        let root = line.root()?;
        let path = root.join(file.strip_prefix("/").ok()?);
        return Some((own(files::read(&path, jar::title)?)?, Source::File("MANIFEST.MF")));
    }
    let descriptions: &[(&'static str, Read)] = match language {
        Some(Language::Python) => &[("pyproject.toml", pyproject), ("setup.cfg", setup_cfg)],
        Some(Language::Nodejs) => &[("package.json", json)],
        Some(Language::Php) => &[("composer.json", json)],
        None | Some(Language::Go) => &[("go.mod", go_mod), ("Cargo.toml", cargo)],
        Some(_) => &[],
    };
    file.ancestors().skip(1).take(NEAR).filter(|dir| dir.parent().is_some()).find_map(|dir| {
        descriptions.iter().find_map(|(name, read)| {
            let found = own(read(&line.file(&dir.join(name))?)?)?;
            Some((found, Source::File(name)))
        })
    })
}

/// A project's name, if it is one and says more than the file's.
pub(super) fn own(name: String) -> Option<String> {
    let sound = |c: char| c.is_alphanumeric() || "@/._-+ ".contains(c);
    let name = name.trim();
    let said = !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(sound);
    (said && !is_generic(name)).then(|| name.to_owned())
}

/// The name of a Go program's module, without its version.
pub(super) fn go(build: &Build) -> Option<String> {
    module(build.package.iter().chain(&build.module))
}

/// The last part of these paths that says what it is.
fn module<'a>(paths: impl Iterator<Item = &'a String>) -> Option<String> {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let names = paths.flat_map(|path| path.rsplit('/')).filter(|part| !is_version(part) && *part != "cmd");
    let mut names = names.filter(|part| !part.contains('.') && *part != "command-line-arguments");
    names.find_map(|part| own(part.to_owned()))
}

/// The nearest folder that has a name of its own.
fn folder(file: &Path) -> Option<String> {
    for dir in file.ancestors().skip(1).take(NEAR) {
        let name = dir.file_name()?.to_str()?;
        // A home is called after its owner.
        if dir.parent().is_some_and(|above| above == Path::new("/home")) {
            return None;
        }
        let made_up = name.starts_with('.') || template(&["/", name].concat()).contains('{');
        let common = COMMON_FOLDERS.contains(&name.to_ascii_lowercase().as_str());
        if !made_up
            && !common
            && !is_generic(name)
            && let Some(name) = own(name.to_owned())
        {
            return Some(name);
        }
    }
    None
}

/// `package.json`, `composer.json`: the rest is not kept, however much it is.
pub(super) fn json(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
    }
    serde_json::from_str::<Named>(text).ok()?.name
}

fn pyproject(text: &str) -> Option<String> {
    entry(text, &["[project]", "[tool.poetry]"], "name")
}

fn setup_cfg(text: &str) -> Option<String> {
    entry(text, &["[metadata]"], "name")
}

fn cargo(text: &str) -> Option<String> {
    entry(text, &["[package]"], "name")
}

fn go_mod(text: &str) -> Option<String> {
    let module = text.lines().find_map(|line| line.trim().strip_prefix("module "))?.trim().trim_matches('"').to_owned();
    self::module(std::iter::once(&module))
}

/// The value of `key = value` in one of these sections of TOML or INI: a text on one line.
fn entry(text: &str, sections: &[&str], key: &str) -> Option<String> {
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = sections.contains(&line.split('#').next().unwrap_or(line).trim());
        } else if inside
            && let Some((name, value)) = line.split_once('=')
            && name.trim() == key
        {
            let value = value.split('#').next().unwrap_or(value).trim();
            return Some(value.trim_matches(['"', '\'']).to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_out_of_descriptions() {
        for (read, text, name) in [
            (
                pyproject as fn(&str) -> Option<String>,
                "[build-system]\nname = \"no\"\n[project]\nname = \"orders\" # x\n",
                "orders",
            ),
            (pyproject, "[tool.poetry]\r\nname = 'orders'\r\n", "orders"),
            (setup_cfg, "[metadata]\nname = orders\n", "orders"),
            (cargo, "[package]\nname=\"orders\"\n", "orders"),
            (json, r#"{"version": "1", "name": "@shop/orders", "x": [1, {"name": "no"}]}"#, "@shop/orders"),
            (go_mod, "// x\nmodule example.com/orders/v2\n\ngo 1.24\n", "orders"),
        ] {
            assert_eq!(read(text).as_deref(), Some(name), "{text}");
        }
        for text in ["", "{", "[", "name = x", "[project]\nversion = 1", "{\"name\": 7}", "[project]\nname\n"] {
            assert_eq!((json(text), pyproject(text), go_mod(text)), (None, None, None), "{text}");
        }
        assert!(json(&"[".repeat(100_000)).is_none());
    }

    #[test]
    fn a_name_that_is_none_is_not_believed() {
        for name in ["", " ", "app", "Server", "app.main", "a\nb", "\x1b[2J", &"x".repeat(200), "a{b}"] {
            assert_eq!(own(name.to_owned()), None, "{name}");
        }
    }

    #[test]
    fn the_nearest_folder_with_a_name_of_its_own_is_the_project() {
        for (file, name) in [
            ("/srv/orders/app.py", Some("orders")),
            ("/srv/orders/src/app/main.py", Some("orders")),
            ("/opt/billing/releases/20261129120000/app.py", Some("billing")),
            ("/home/alice/app.py", None),
            ("/home/alice/orders/app.py", Some("orders")),
            ("/tmp/tmpab12cd34/app.py", None),
            ("/app/app.py", None),
            ("/app.py", None),
            ("/usr/bin/server", None),
        ] {
            assert_eq!(folder(Path::new(file)).as_deref(), name, "{file}");
        }
    }

    #[test]
    fn a_go_program_is_called_by_its_package_or_its_module() {
        let named = |package: &str, module: &str| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            go(&Build { version: "1.24".into(), package: text(package), module: text(module) })
        };
        assert_eq!(named("example.com/acme/shop/cmd/orders", "example.com/acme/shop").as_deref(), Some("orders"));
        assert_eq!(named("example.com/acme/shop/cmd/server", "example.com/acme/shop").as_deref(), Some("shop"));
        assert_eq!(named("example.com/acme/shop/v2", "example.com/acme/shop/v2").as_deref(), Some("shop"));
        assert_eq!(named("command-line-arguments", ""), None);
    }
}
