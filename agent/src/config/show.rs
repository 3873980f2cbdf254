//! `wirespan config`: what is in force and whence; and the pages that derive from the registry.

use std::fmt::Write;

use super::option::{Kind, Opt};
use super::options::{CONFIG, OPTIONS};
use super::parse::{show_size, show_time};
use super::source::{Setting, Settings};

/// The settings as an aligned table: option, value, source.
pub fn text(settings: &Settings) -> String {
    let rows: Vec<_> = std::iter::once(&settings.config)
        .chain(&settings.all)
        .map(|setting| (setting.option.name, shown(setting), setting.source.to_string()))
        .collect();
    let names = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let values = rows.iter().map(|row| row.1.chars().count()).max().unwrap_or(0).min(48);
    rows.iter().fold(String::new(), |mut out, (name, value, source)| {
        let _ = writeln!(out, "{name:names$}  {value:values$}  {source}");
        out
    })
}

/// The settings as one JSON object: option → `{"value": …, "source": …}`. Lists are arrays, unset options are null.
pub fn json(settings: &Settings) -> String {
    let mut object = serde_json::Map::new();
    for setting in std::iter::once(&settings.config).chain(&settings.all) {
        let texts: Vec<String> = setting.texts.iter().map(|text| masked(setting.option, text)).collect();
        let value = match (setting.option.kind.is_list(), texts.first()) {
            (true, _) => serde_json::json!(texts),
            (false, Some(text)) => serde_json::json!(text),
            (false, None) => serde_json::Value::Null,
        };
        let entry = serde_json::json!({ "value": value, "source": setting.source.to_string() });
        object.insert(setting.option.name.to_string(), entry);
    }
    format!("{:#}\n", serde_json::Value::Object(object))
}

/// `docs/configuration.md`.
pub fn markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    let mut group = "";
    for option in OPTIONS {
        if option.group != group {
            group = option.group;
            let _ = write!(out, "\n## {group}\n\n| Option | Value | Default | What it does |\n|---|---|---|---|\n");
        }
        let default = option.default.map(|text| format!("`{text}`")).unwrap_or_default();
        let mut help = option.help.replace('|', "\\|");
        if !option.standard.is_empty() {
            let names: Vec<_> = option.standard.iter().map(|name| format!("`{name}`")).collect();
            let _ = write!(help, " Also set by {}.", names.join(", "));
        }
        let _ = writeln!(out, "| `{}` | {} | {default} | {help} |", option.name, values(option.kind));
    }
    out
}

/// `deploy/wirespan.example.yaml`: every option, commented out, with its default or an example.
pub fn yaml() -> String {
    let mut out = String::from(EXAMPLE);
    let mut group = "";
    for option in OPTIONS {
        if option.group != group {
            group = option.group;
            let _ = write!(out, "\n##### {group} #####\n");
        }
        out.push('\n');
        wrap(&mut out, option.help, 100);
        let _ = writeln!(out, "#{}: {}", option.name, option.default.unwrap_or(option.example));
    }
    out
}

/// Writes a text as comment lines of at most `width` characters, unless a single word is longer.
fn wrap(out: &mut String, text: &str, width: usize) {
    let mut column = width;
    for word in text.split(' ') {
        if column + 1 + word.len() > width {
            out.push_str(if column == width && out.ends_with('\n') { "#" } else { "\n#" });
            column = 1;
        }
        let _ = write!(out, " {word}");
        column += 1 + word.len();
    }
    out.push('\n');
}

const EXAMPLE: &str = "\
# Configuration of wirespan. Copy to /etc/wirespan/wirespan.yaml and remove the `#` before an option to set it.
# Written by `wirespan config --output yaml` from agent/src/config/options.rs. docs/configuration.md explains more.
";

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `wirespan config --output markdown` from agent/src/config/options.rs: do not edit. -->

Nothing has to be configured: `sudo wirespan` traces every process that owns a socket and prints each trace.

Every option has one name. `trace-hold` is the flag `--trace-hold 250ms`, the variable `WIRESPAN_TRACE_HOLD=250ms` and the
line `trace-hold: 250ms` of the configuration file, and the value is written alike in all three. A flag wins over the
`WIRESPAN_*` variable, which wins over a standard variable, which wins over the file, which wins over the default. An empty
variable counts as unset. Options that take several values take them separated by commas; flags may also be repeated, and the file may
use a YAML list. The list found first is taken whole.

`OTEL_TRACES_EXPORTER` means what the specification says: `otlp` alone sends to localhost, `console` keeps the console beside
OTLP, `none` sends nothing.

The file is `/etc/wirespan/wirespan.yaml` if it exists, or what `--config` or `WIRESPAN_CONFIG` names. An unknown key is an error.
`wirespan config` prints every value in force and whence it comes, `wirespan config --output json` for programs; secrets are masked.
A wrong value ends the agent with exit status 2 and a sentence that says where it stands and what would be right; an unreadable file with 1.

## Rules

`include`, `exclude`, `service-name` and `tls` choose processes by rules:

| Rule | Matches |
|---|---|
| `exe:GLOB`, or a bare `GLOB` | the executable's path with its links followed, the path that it was started by (of a script, the script's), or what it was told that it is called (`argv[0]`); a pattern without `/` is about the file name alone |
| `pid:N` | one process |
| `port:N` | connections whose local or remote port is N; in `service-name`, the process that serves port N; not in `tls` |
| `user:NAME`, `user:UID` | processes with that effective user |
| `cgroup:GLOB` | the path of the control group |
| `container:GLOB` | the container's name, or a beginning of its id |
| `image:GLOB` | the container's image, with or without its tag |
| `namespace:GLOB`, `workload:GLOB`, `label:KEY=GLOB` | pods of Kubernetes: [kubernetes.md](kubernetes.md#which-pods-are-traced) |

In a glob, `*` stands for any characters, `/` included, and `?` for one. `exclude` wins over `include`. Without `include`, every process that owns a socket is traced;
with it, only what matches one of its rules. The agent never traces itself. A process that exports spans itself is left alone as
soon as that is seen, unless `allow-duplicate-spans` is set.

## How a service gets its name

The first of these that says something:

1. a `service-name` rule;
2. `OTEL_SERVICE_NAME`, then `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, in the environment of the traced process (the other attributes of
   that variable become resource attributes);
3. the pod, by OpenTelemetry's conventions for Kubernetes ([kubernetes.md](kubernetes.md));
4. the systemd service that the process runs in, save services that run other people's programs (sshd, cron, docker, …);
5. the container: docker's compose service or container name, podman's name, the Kubernetes deployment or container name, as far as files on
   this machine tell, or a runtime that may be asked (`container-sockets`). A container of which only the id is known gives `container.id` and no name;
6. the program: `python shop.py` is `shop`, `gunicorn shop.wsgi:application` is `shop`, `java -jar shop-1.2.jar` is `shop`, `node shop.js` is the name in the
   nearest `package.json` or `shop`, an nginx worker is `nginx`; what is called as in every project
   (`app.py`, `server.js`) is called by its project ([naming.md](naming.md));
7. the executable's file name.
";

fn values(kind: Kind) -> String {
    match kind {
        Kind::Switch => "`true`, `false`".to_string(),
        Kind::Count(low, high) => format!("{low} to {high}"),
        Kind::Size(low, high) => format!("size, {} to {}", show_size(low), show_size(high)),
        Kind::Time(low, high) => format!("time, {} to {}", show_time(low), show_time(high)),
        Kind::Choice(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        Kind::Text => "text".to_string(),
        Kind::Rules => "rules".to_string(),
        Kind::Words => "texts".to_string(),
        Kind::Names => "`RULE=NAME`, or `NAME`".to_string(),
        Kind::Block => "YAML".to_string(),
        Kind::Attributes => "`NAME = SOURCE`".to_string(),
    }
}

/// Help of one flag on the command line: what it does, its default and its variables.
pub fn flag_help(option: &Opt) -> String {
    let mut help = option.help.to_string();
    if let Some(default) = option.default.filter(|_| option.kind != Kind::Switch) {
        let _ = write!(help, " [default: {default}]");
    }
    let standard = option.standard.last().map(|name| format!(", {name}")).unwrap_or_default();
    let _ = write!(help, " [env: {}{standard}]", option.variable());
    help
}

/// Help of `--config`.
pub fn config_help() -> String {
    flag_help(&CONFIG)
}

fn shown(setting: &Setting) -> String {
    match setting.texts.as_slice() {
        [] => "-".to_string(),
        texts => texts.iter().map(|text| masked(setting.option, text)).collect::<Vec<_>>().join(", "),
    }
}

/// Hides what is secret: the values of headers, and a password in a URL.
fn masked(option: &Opt, text: &str) -> String {
    if option.secret {
        let names = text.split(',').map(|pair| match pair.split_once('=') {
            Some((name, _)) => format!("{}=****", name.trim()),
            None => "****".to_string(),
        });
        return names.collect::<Vec<_>>().join(",");
    }
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}****{}", &text[..scheme + 3], &text[at..]),
        _ => text.to_string(),
    }
}
