//! Command lines as users type them.

use super::*;
use crate::config::Output;

fn surroundings(environment: &[(&str, &str)]) -> Surroundings<'static> {
    Surroundings {
        environment: environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect(),
        read: &|_| Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn asked(line: &str) -> Result<Command, String> {
    let args = std::iter::once("wirespan").chain(line.split_whitespace()).map(OsString::from);
    parse(args, &surroundings(&[])).map_err(|error| error.to_string())
}

fn traced(line: &str) -> Config {
    match asked(line) {
        Ok(Command::Run(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn printed(line: &str) -> String {
    match asked(line) {
        Ok(Command::Print(text)) => text,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn clap_agrees_with_the_definition() {
    definition().debug_assert();
}

#[test]
fn no_command_traces() {
    assert!(matches!(asked(""), Ok(Command::Run(_))));
    assert!(matches!(asked("run"), Ok(Command::Run(_))));
}

#[test]
fn switches_may_stand_alone_or_have_a_value() {
    assert!(traced("--stats").stats);
    assert!(!traced("--stats=false").stats);
    assert!(!traced("").stats);
    assert!(!traced("--stats --stats=false").stats);
}

#[test]
fn lists_are_repeated_or_separated_by_commas() {
    assert_eq!(traced("--include nginx --include port:80,pid:7").include.len(), 3);
}

#[test]
fn output_is_the_console_without_a_command_and_the_format_after_one() {
    assert_eq!(traced("--output json").output, Output::Json);
    assert!(matches!(asked("doctor --output json"), Ok(Command::Doctor { json: true, .. })));
    assert!(matches!(asked("doctor"), Ok(Command::Doctor { json: false, .. })));
    let shown: serde_json::Value = serde_json::from_str(&printed("--output none config --output json")).unwrap();
    assert_eq!(shown["output"]["value"], "none");
    assert_eq!(shown["output"]["source"], "--output");
}

#[test]
fn flags_may_follow_the_command() {
    let shown = printed("config --trace-hold 1s");
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["trace-hold", "1s", "--trace-hold"])), "{shown}");
}

#[test]
fn help_and_version_are_texts_not_errors() {
    let help = printed("--help");
    for option in OPTIONS {
        assert!(help.contains(&format!("--{}", option.name)), "{} is missing", option.name);
    }
    assert!(printed("--version").contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_gets_one_sentence_with_a_remedy() {
    for (line, expected) in [
        ("--trace-hodl 1s", "unknown flag --trace-hodl; did you mean --trace-hold?"),
        ("--frobnication 1", "unknown flag --frobnication; `wirespan --help` lists all flags"),
        ("doktor", "unknown command \"doktor\"; did you mean doctor?"),
        (
            "frobnicate",
            "unknown command \"frobnicate\"; commands are config, demo, doctor, export, logs, ps, query, run and top",
        ),
        ("config --output xml", "--output: \"xml\" is not one of text, json, yaml, markdown"),
        ("--trace-hold", "--trace-hold needs a value; `wirespan --help` says which"),
        (
            "--trace-hold soon",
            "--trace-hold: \"soon\" is not a time; write a number with ms, s, m or h, such as 250ms or 10s",
        ),
        ("--output yaml", "--output: \"yaml\" is not one of auto, text, json, none"),
        ("--include prot:80", "--include: \"prot:80\" begins with no known rule; did you mean `port:`?"),
    ] {
        assert_eq!(asked(line).unwrap_err(), expected, "{line}");
    }
}

/// A file that `config --output FORMAT` writes; `UPDATE_DOCS=1` writes it anew.
fn is_up_to_date(path: &str, format: &str) {
    let path = format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"));
    let derived = printed(&format!("config --output {format}"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &derived).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == derived, "{path} is out of date; run: UPDATE_DOCS=1 cargo test -p wirespan documentation");
}

#[test]
fn the_documentation_says_what_the_registry_says() {
    is_up_to_date("docs/configuration.md", "markdown");
    is_up_to_date("deploy/wirespan.example.yaml", "yaml");
}

#[test]
fn the_example_file_is_valid_as_it_is_and_with_every_option_set() {
    let example = printed("config --output yaml");
    let set: String = example
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|l| !l.starts_with([' ', '#']))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(set.lines().count(), OPTIONS.len());
    for text in [example, set] {
        let read = |path: &std::path::Path| match path.to_str() {
            Some("/etc/passwd") => Ok("root:x:0:0::/:/bin/sh".to_string()),
            Some("/etc/wirespan/token") => Ok("0123456789abcdef".to_string()),
            _ => Ok(text.clone()),
        };
        let surroundings = Surroundings { environment: Default::default(), read: &read };
        let parsed = parse([OsString::from("wirespan")], &surroundings);
        assert!(matches!(parsed, Ok(Command::Run(_))), "{parsed:?}");
    }
}

#[test]
fn the_file_for_kubernetes_configures_the_agent_and_its_chart_knows_the_same_words() {
    let deploy = |name: &str| {
        let path = format!("{}/../deploy/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let file = deploy("kubernetes/wirespan.yaml");
    let inside = file.lines().skip_while(|line| *line != "  wirespan.yaml: |").skip(1);
    let inside =
        inside.map_while(|line| line.strip_prefix("    ")).fold(String::new(), |text, line| text + line + "\n");
    let read = |path: &std::path::Path| match path.to_str() {
        Some("/etc/passwd") => Ok("root:x:0:0::/:/bin/sh".to_string()),
        Some("/etc/wirespan-token/token") => Ok("0123456789abcdef".to_string()),
        _ => Ok(inside.clone()),
    };
    let parsed = parse([OsString::from("wirespan")], &Surroundings { environment: Default::default(), read: &read });
    let Ok(Command::Run(config)) = parsed else { panic!("{parsed:?}") };
    assert_eq!(config.output, Output::None, "the file is not read: {inside}");
    assert!(inside.contains("logs: auto\n"), "{inside}");
    let schema: serde_json::Value = serde_json::from_str(&deploy("helm/wirespan/values.schema.json")).unwrap();
    let Kind::Choice(words) = OPTIONS.iter().find(|option| option.name == "logs").unwrap().kind else { panic!() };
    assert_eq!(schema["properties"]["logs"]["enum"], serde_json::json!(words));
}
