//! The `wirespan` command: arguments, logger, and what they ask for.

use std::process::ExitCode;

use wirespan_agent::cli::{self, Command};
use wirespan_agent::config::Surroundings;
use wirespan_agent::{client, demo, doctor, run, top};

fn main() -> ExitCode {
    let command = match cli::parse(std::env::args_os(), &Surroundings::real()) {
        Ok(command) => command,
        Err(error) => {
            eprintln!("wirespan: {error}");
            return ExitCode::from(error.exit_status());
        }
    };
    match command {
        Command::Print(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Command::Doctor { config, json } => {
            let report = doctor::examine(&config);
            print(&if json { report.json() } else { report.text() });
            ExitCode::from(u8::from(!report.works()))
        }
        Command::Demo(config, demo) => demo::run(&config, &demo),
        Command::Part(part) => demo::own::run(&part),
        Command::Top(config, endpoint) => top::run(&config, endpoint),
        Command::Ps(endpoint, wanted) => client::ps::run(endpoint, wanted),
        Command::Query(endpoint, query) => client::query::run(endpoint, &query),
        Command::Logs(endpoint, wanted) => client::logs::run(endpoint, &wanted),
        Command::Export(endpoint, wanted) => client::export::run(endpoint, &wanted, wirespan_agent::ingest::traces),
        Command::Run(config) => match run::run(&config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("wirespan: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Writes to standard output; a reader that went away is no error.
fn print(text: &str) {
    use std::io::Write as _;
    let _ = std::io::stdout().write_all(text.as_bytes());
}
