//! The JVM: `-jar`, a main class, a module, a source file.

use super::options::{Options, Stop};
use super::project::is_generic;
use super::{CommandLine, stem};

/// Options whose value is the next argument (java(1)).
const OPTIONS: Options = Options {
    with_value: &[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--upgrade-module-path",
        "--add-modules",
        "--add-exports",
        "--add-opens",
        "--add-reads",
        "--limit-modules",
        "--patch-module",
        "--enable-native-access",
        "--source",
        "-d",
        "--describe-module",
    ],
    letters_with_value: "",
};

/// Classes that start other people's programs and say nothing about those.
const LAUNCHERS: &[(&str, &str)] = &[
    ("org.apache.catalina.startup.Bootstrap", "tomcat"),
    ("org.eclipse.jetty.start.Main", "jetty"),
    ("org.gradle.launcher.daemon.bootstrap.GradleDaemon", "gradle"),
    ("org.codehaus.plexus.classworlds.launcher.Launcher", "maven"),
];

pub(super) fn read(line: &CommandLine<'_>) -> Option<String> {
    // What Spring itself calls the program.
    let spring = ["-Dspring.application.name=", "--spring.application.name="];
    let stated = line.args.iter().find_map(|arg| spring.iter().find_map(|option| arg.strip_prefix(option)));
    if let Some(name) = stated.filter(|name| !name.is_empty()) {
        return Some(name.to_string());
    }
    let files_expanded: Vec<String> = line.args.iter().filter(|arg| !arg.starts_with('@')).cloned().collect();
    match OPTIONS.walk(&files_expanded, &["-jar", "-m", "--module"]) {
        Stop::Option("-jar", jar, _) => Some(archive(jar)),
        Stop::Option(_, module, _) => Some(module.rsplit(['/', '.']).next().unwrap_or(module).to_string()),
        Stop::Positional(class, _) if class.ends_with(".java") => Some(stem(class, &[".java"]).to_string()),
        Stop::Positional(class, _) => Some(main_class(class)),
        Stop::Nothing => None,
    }
}

/// `/opt/shop-1.2.3-SNAPSHOT.jar` is `shop`.
fn archive(path: &str) -> String {
    let name = stem(path, &[".jar", ".war", ".ear"]);
    let is_version = |at: usize| name[at + 1..].trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    match name.match_indices(['-', '_']).find(|(at, _)| *at > 0 && is_version(*at)) {
        Some((at, _)) => name[..at].to_string(),
        None => name.to_string(),
    }
}

fn main_class(class: &str) -> String {
    if let Some((_, name)) = LAUNCHERS.iter().find(|(launcher, _)| *launcher == class) {
        return name.to_string();
    }
    // `com.acme.shop.Main` is the shop's.
    let mut parts = class.rsplit(['.', '/', '$']).filter(|part| !part.is_empty());
    let own = parts.clone().find(|part| !is_generic(part));
    let first = parts.next().unwrap_or(class);
    let in_package = class.contains('.') && is_generic(first);
    own.filter(|_| in_package).unwrap_or(first).to_string()
}
