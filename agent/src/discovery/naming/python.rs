//! CPython and PyPy: scripts, modules, and the servers that run a module.

use super::options::{Options, Stop, value_of};
use super::{CommandLine, directory, stem};

/// The interpreter's own options (python(1)).
const OPTIONS: Options = Options { with_value: &["--check-hash-based-pycs"], letters_with_value: "WXQ" };

const ENDINGS: &[&str] = &[".py", ".pyc", ".pyz", ".pyw"];

pub(super) fn read(line: &CommandLine<'_>) -> Option<String> {
    if let Some(title) = line.title() {
        return from_title(title);
    }
    if line.facts.exe_name().starts_with("uwsgi") {
        return application(line, "uwsgi", line.args);
    }
    match OPTIONS.walk(line.args, &["-m", "-c"]) {
        Stop::Option("-m", module, rest) => {
            let module = module.trim_end_matches(".__main__");
            application(line, module, rest).or_else(|| Some(module.to_string()))
        }
        Stop::Option(..) | Stop::Nothing | Stop::Positional("-", _) => None,
        Stop::Positional(script, rest) => {
            let tool = stem(script, ENDINGS);
            application(line, tool, rest).or_else(|| match tool {
                "__main__" => directory(line, script),
                tool => Some(tool.to_string()),
            })
        }
    }
}

/// What a tool runs, if it is one that runs other people's programs.
fn application(line: &CommandLine<'_>, tool: &str, rest: &[String]) -> Option<String> {
    match tool {
        "gunicorn" | "uvicorn" | "hypercorn" | "daphne" | "waitress-serve" | "waitress" | "granian" => served(rest),
        "celery" => value_of(rest, &["-A", "--app"]).map(module),
        "flask" => flask(line, rest),
        "manage" => django(line, line.args),
        "django" | "django-admin" => django(line, rest),
        "uwsgi" => value_of(rest, &["-w", "--module", "--wsgi", "--wsgi-file", "--mount"]).map(module),
        "fastapi" => rest.iter().find(|arg| arg.ends_with(".py")).map(|file| stem(file, ENDINGS).to_string()),
        // Launchers: the program is the rest of the line.
        "coverage" | "debugpy" | "opentelemetry-instrument" | "ddtrace-run" | "newrelic-admin" => launched(line, rest),
        _ => None,
    }
}

/// `coverage run app.py`, `debugpy --listen 5678 -m flask run`.
fn launched(line: &CommandLine<'_>, rest: &[String]) -> Option<String> {
    if let Some(at) = rest.iter().position(|arg| arg == "-m") {
        let (name, rest) = rest.get(at + 1..)?.split_first()?;
        return application(line, name, rest).or_else(|| Some(name.clone()));
    }
    let script = rest.iter().find(|arg| arg.ends_with(".py"))?;
    Some(stem(script, ENDINGS).to_string())
}

/// The module that a server serves: the argument that looks like `module:app`, or else the one that looks like a module.
fn served(args: &[String]) -> Option<String> {
    let is_target = |arg: &&String| arg.split_once(':').is_some_and(|(m, app)| is_module(m) && is_name(app));
    if let Some(target) = args.iter().find(is_target) {
        return Some(module(target));
    }
    // `gunicorn -w 4 shop.wsgi`: not an option, nor the value of the option before it unless nothing else is left.
    let positional = |at: usize| at == 0 || !args[at - 1].starts_with('-') || args[at - 1].contains('=');
    let candidates: Vec<usize> = (0..args.len()).filter(|at| is_module(&args[*at])).collect();
    let at = candidates
        .iter()
        .find(|at| positional(**at))
        .or(candidates.last().filter(|at| !args[**at].ends_with(".py")))?;
    Some(module(&args[*at]))
}

/// `flask --app x run`, `FLASK_APP=x flask run`, `flask run` beside an `app.py` or a `wsgi.py`.
fn flask(line: &CommandLine<'_>, args: &[String]) -> Option<String> {
    let stated = value_of(args, &["--app", "-A"]).or_else(|| line.facts.env.get("FLASK_APP"));
    if let Some(app) = stated {
        return Some(module(app));
    }
    // The files that flask itself looks for, in its order.
    let found = ["wsgi.py", "app.py"]
        .into_iter()
        .find(|file| line.absolute(file).and_then(|path| line.file(&path)).is_some())?;
    Some(stem(found, ENDINGS).to_string())
}

/// Django's project: the package of the settings, or the directory of `manage.py`.
fn django(line: &CommandLine<'_>, args: &[String]) -> Option<String> {
    let settings = value_of(args, &["--settings"]).or_else(|| line.facts.env.get("DJANGO_SETTINGS_MODULE"));
    if let Some(package) = settings.and_then(|settings| settings.split('.').next()) {
        return Some(package.to_string());
    }
    directory(line, args.iter().find(|arg| arg.ends_with("manage.py"))?)
}

/// `shop.wsgi:application` is `shop`, `src/shop.py:create_app()` is `shop`, `app:app` is `app`.
fn module(target: &str) -> String {
    let target = target.rsplit('=').next().unwrap_or(target);
    let path = target.split(':').next().unwrap_or(target);
    let module = if path.contains('/') || path.ends_with(".py") { stem(path, ENDINGS) } else { path };
    // The module is named after its role, the package after the program.
    ["wsgi", "asgi", "celery"]
        .iter()
        .find_map(|role| module.strip_suffix(role)?.strip_suffix('.'))
        .unwrap_or(module)
        .to_string()
}

fn is_module(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(is_name)
}

fn is_name(text: &str) -> bool {
    let text = text.trim_end_matches("()");
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.')
}

/// `gunicorn: worker [shop.wsgi:application]`.
fn from_title(title: &str) -> Option<String> {
    let (tool, rest) = title.split_once([':', ' '])?;
    match (rest.split_once('['), rest.rsplit_once(']')) {
        (Some((_, inside)), Some(_)) if tool == "gunicorn" => Some(module(inside.split(']').next()?)),
        _ => Some(stem(tool, ENDINGS).to_string()),
    }
}
