//! Facts into an OpenTelemetry resource, and the order in which a service's name is looked for.
//!
//! The name is, in this order: what a `service-name` rule says; `OTEL_SERVICE_NAME`, then `service.name` of
//! `OTEL_RESOURCE_ATTRIBUTES`, of the process's own environment; its pod, by the conventions for Kubernetes; the systemd unit; the
//! container, if its name (not only its id) is known; what the command line says the program is; the executable's name.
//!
//! `process.command_args` is not among the attributes: command lines hold passwords.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use wirespan_kubernetes::names::Service;

use super::facts::{Facts, read_small};
use super::host::HostInfo;
use super::naming::{Language, Program, Source};
use super::selection;
use crate::config::{Config, Rule};
use crate::kubernetes::Cluster;
use crate::span::{KeyValue, Resource, Value, instance_id};

/// The most attributes taken from one `OTEL_RESOURCE_ATTRIBUTES`.
const MAX_ATTRIBUTES: usize = 64;

/// Builds resources.
#[derive(Debug)]
pub struct Resources {
    names: Vec<(Rule, String)>,
    host: HostInfo,
    users: HashMap<u32, String>,
    /// Where pods are known.
    pub(super) cluster: Option<Arc<Cluster>>,
}

impl Resources {
    /// `roots` are where `/etc/passwd` may be, the first one wins.
    pub fn new(config: &Config, host: HostInfo, roots: &[PathBuf]) -> Self {
        let passwd = roots.iter().find_map(|root| read_small(&root.join("etc/passwd"), 4 << 20)).unwrap_or_default();
        let user = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_string();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        let users = passwd.lines().rev().filter_map(user).collect();
        Self { names: config.service_names.clone(), host, users, cluster: None }
    }

    /// Whether some `service-name` rule is about ports.
    pub fn names_ports(&self) -> bool {
        self.names.iter().any(|(rule, _)| rule.is_port())
    }

    /// Whether some `service-name` rule is about this port.
    pub fn names_port(&self, port: u16) -> bool {
        self.names.iter().any(|(rule, _)| *rule == Rule::Port(port))
    }

    /// What a process's service is called, and whence that comes. The program's own name is the last resort.
    pub fn name(&self, tgid: u32, facts: &Facts, program: &Program) -> (String, Source) {
        let stated = || facts.env.get("OTEL_RESOURCE_ATTRIBUTES").map(parse_attributes).unwrap_or_default();
        let by_rule = self.names.iter().find(|(rule, _)| match rule {
            Rule::Port(port) => facts.ports.contains(port),
            rule => selection::matches(rule, tgid, facts),
        });
        let of = |name: &str, source| Some((name.to_string(), source));
        by_rule
            .and_then(|(_, name)| of(name, Source::Rule))
            .or_else(|| of(facts.env.get("OTEL_SERVICE_NAME")?, Source::Variable("OTEL_SERVICE_NAME")))
            .or_else(|| {
                let (_, name) = stated().into_iter().find(|(key, value)| key == "service.name" && !value.is_empty())?;
                Some((name, Source::Variable("OTEL_RESOURCE_ATTRIBUTES")))
            })
            .or_else(|| of(&self.service(facts)?.name, Source::Pod))
            .or_else(|| of(facts.cgroup.unit.as_deref()?, Source::Unit))
            .or_else(|| of(&facts.container.as_ref()?.service, Source::Container))
            .filter(|(name, _)| !name.is_empty())
            .unwrap_or_else(|| (program.name.clone(), program.source))
    }

    /// The resource of a process whose service is called `name`.
    pub fn build(&self, tgid: u32, facts: &Facts, program: &Program, name: &str) -> Resource {
        let stated = facts.env.get("OTEL_RESOURCE_ATTRIBUTES").map(parse_attributes).unwrap_or_default();
        let name = if name.is_empty() { "unknown_service" } else { name };
        let mut set = Attributes::default();
        set.text("service.name", name.to_string());
        let service = self.service(facts);
        let instance = service.as_ref().and_then(|service| service.instance.clone());
        set.text("service.instance.id", instance.unwrap_or_else(|| self.instance_id(tgid, facts)));
        if let Some(service) = &service {
            set.some("service.namespace", &service.namespace);
            set.some("service.version", service.version.as_deref().unwrap_or_default());
        }
        set.0.push(KeyValue::int("process.pid", tgid.into()));
        if facts.parent != 0 {
            set.0.push(KeyValue::int("process.parent_pid", facts.parent.into()));
        }
        set.some("process.executable.name", facts.exe_name());
        if facts.exe.starts_with('/') {
            set.some("process.executable.path", &facts.exe);
        }
        // A container has users of its own, whose names are not ours to know.
        if facts.cgroup.container_id.is_none() {
            let owner = facts.uid.and_then(|uid| self.users.get(&uid));
            set.some("process.owner", owner.map_or("", String::as_str));
        }
        set.some("host.name", &self.host.name);
        set.some("host.id", &self.host.id);
        set.some("host.arch", &self.host.arch);
        set.text("os.type", "linux");
        set.some("container.id", facts.cgroup.container_id.as_deref().unwrap_or_default());
        if let (Some(cluster), Some(found)) = (&self.cluster, &facts.pod) {
            set.0.extend(cluster.attributes(found));
        } else if let Some(container) = &facts.container {
            set.some("container.name", &container.name);
            container.attributes.iter().for_each(|(key, value)| set.some(key, value));
        }
        for (key, value) in stated.into_iter().filter(|(key, _)| key != "service.name") {
            set.replace(key, value);
        }
        // A program that its command line shows to be another runtime's may have been made with this one.
        let runtime = facts.runtime.as_deref();
        if let Some(runtime) =
            runtime.filter(|r| program.language.is_some() && program.language == Language::of(r.kind))
        {
            set.some("process.runtime.name", runtime.kind.name());
            set.some("process.runtime.version", runtime.version.as_deref().unwrap_or_default());
        }
        set.telemetry(program.language);
        Resource { attributes: set.0 }
    }

    /// What the service is called by the pod.
    fn service(&self, facts: &Facts) -> Option<Service> {
        Some(self.cluster.as_ref()?.wanted().service(facts.pod.as_ref()?))
    }

    /// The same for the same life of a process, whoever asks and however often.
    fn instance_id(&self, tgid: u32, facts: &Facts) -> String {
        let start = facts.start.or(facts.exec_time).unwrap_or(0);
        instance_id(&format!("{}/{}/{tgid}/{start}", self.host.id, self.host.name))
    }
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn text(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.0.push(KeyValue::str(key, value));
    }

    /// Adds what is not empty.
    fn some(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.text(key, value.to_string());
        }
    }

    /// What a process states of itself wins over what was found out about it.
    fn replace(&mut self, key: String, value: String) {
        self.0.retain(|attribute| attribute.key != key);
        self.0.push(KeyValue { key: key.into(), value: Value::Str(value.into()) });
    }

    /// Who made the telemetry. `opentelemetry` is reserved for the official SDKs, so the name is ours; the language is
    /// the traced program's, as backends show it beside the service.
    fn telemetry(&mut self, language: Option<Language>) {
        let ours = ["telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"];
        self.0.retain(|attribute| !ours.contains(&attribute.key.as_ref()));
        self.text("telemetry.sdk.name", "wirespan");
        self.text("telemetry.sdk.language", language.map_or("other", Language::name));
        self.text("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
        self.text("telemetry.distro.name", "wirespan");
        self.text("telemetry.distro.version", env!("CARGO_PKG_VERSION"));
    }
}

/// The agent's own resource, `stated` being its own `OTEL_RESOURCE_ATTRIBUTES`.
pub fn of_agent(host: &HostInfo, stated: Option<&str>) -> Resource {
    let mut set = Attributes::default();
    set.text("service.name", "wirespan");
    set.text("service.version", env!("CARGO_PKG_VERSION"));
    let instance = format!("{}/{}/wirespan/{}", host.id, host.name, std::process::id());
    set.text("service.instance.id", instance_id(&instance));
    set.some("host.name", &host.name);
    set.some("host.id", &host.id);
    set.some("host.arch", &host.arch);
    set.text("os.type", "linux");
    for (key, value) in stated.map(parse_attributes).unwrap_or_default() {
        set.replace(key, value);
    }
    Resource { attributes: set.0 }
}

/// Reads `key=value,key=value` with percent-encoded values. One that is malformed voids all of them
/// (specification, resource/sdk.md, "Specifying resource information via an environment variable").
fn parse_attributes(text: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (percent_decode(key.trim())?, percent_decode(value.trim())?);
        (!key.is_empty()).then_some((key, value))
    };
    let pairs = text.split(',').filter(|pair| !pair.trim().is_empty()).take(MAX_ATTRIBUTES);
    pairs.map(pair).collect::<Option<Vec<_>>>().unwrap_or_default()
}

/// Undoes percent-encoding; `None` if what comes out is not UTF-8 or a percent sign stands alone.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = tail.get(2..)?;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_attributes_are_percent_decoded_and_all_void_when_one_is_malformed() {
        let parse = |text| parse_attributes(text).into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        assert_eq!(parse("service.version=1.2, team=a%20b%2Cc,"), ["service.version=1.2", "team=a b,c"]);
        for malformed in ["a=b,c", "a=%", "a=%zz", "=b", "a=%ff"] {
            assert!(parse(malformed).is_empty(), "{malformed}");
        }
    }
}
