//! What a pod lacks, with the line of YAML that gives it.

use std::sync::Arc;

use wirespan_kubernetes::follow::{Trouble, encode};

use super::{Check, State, check};
use crate::config::{Config, KubernetesConfig};
use crate::kubernetes::client::{Client, Part};
use crate::metrics::Counters;

/// What a short question to the API may answer, bytes.
const MAX_ANSWER: usize = 4 << 20;
const NODE_NAME: &str = "env: [{name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]";
const TOKEN: &str = "automountServiceAccountToken: true";
const APPARMOR: &str = "securityContext: {appArmorProfile: {type: Unconfined}}";

const PEERS: &str = "names of peers";

/// What is asked of the API, what for, and the rule of a ClusterRole that allows it. (There is no object of such a name.)
const RIGHTS: [(&str, &str, &str); 5] = [
    (
        "/apis/discovery.k8s.io/v1/endpointslices?limit=1",
        PEERS,
        "rules: [{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}]",
    ),
    ("/api/v1/services?limit=1", PEERS, "rules: [{apiGroups: [\"\"], resources: [services], verbs: [list, watch]}]"),
    (
        "/apis/apps/v1/namespaces/default/replicasets/wirespan.doctor",
        "which Deployment a pod is part of",
        "rules: [{apiGroups: [apps], resources: [replicasets], verbs: [get]}]",
    ),
    (
        "/apis/batch/v1/namespaces/default/jobs/wirespan.doctor",
        "which CronJob a pod is part of",
        "rules: [{apiGroups: [batch], resources: [jobs], verbs: [get]}]",
    ),
    (
        "/api/v1/namespaces/kube-system",
        "k8s.cluster.uid",
        "rules: [{apiGroups: [\"\"], resources: [namespaces], resourceNames: [kube-system], verbs: [get]}]",
    ),
];

/// Whether this process is in a pod.
pub(super) fn is_one() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// How a capability is given that is missing: `pod` tells whether in a pod, `user` as whom.
pub(super) fn grant(capability: &str, pod: bool, user: u32) -> String {
    let short = capability.trim_start_matches("CAP_");
    match (pod, user) {
        (false, _) => format!("run as root, or grant {capability}"),
        (true, 0) => format!("securityContext: {{capabilities: {{add: [{short}]}}}}"),
        // Kubernetes makes added capabilities effective for user 0 alone.
        (true, _) => format!("securityContext: {{runAsUser: 0, capabilities: {{add: [{short}]}}}}"),
    }
}

/// What concerns pods alone.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    confinement().into_iter().chain(names(config)).collect()
}

/// What AppArmor forbids. (The files say the profile, and behind it in brackets whether it is enforced.)
fn confinement() -> Option<Check> {
    let files = ["/proc/self/attr/apparmor/current", "/proc/self/attr/current"];
    let profile = files.iter().find_map(|file| std::fs::read_to_string(file).ok())?;
    let profile = profile.trim_matches(['\0', '\n', ' ']).strip_suffix("(enforce)")?.trim().to_string();
    let detail =
        format!("profile {profile} forbids other processes' /proc: services are called by their command lines");
    is_one().then(|| check("AppArmor", State::Partial, detail, APPARMOR))
}

/// Whether pods get their names.
fn names(config: &Config) -> Vec<Check> {
    const NAME: &str = "names of pods";
    let Some(kubernetes) = &config.kubernetes else {
        let off = || check(NAME, State::Unavailable, "this pod has no token of a service account", TOKEN);
        return is_one().then(off).into_iter().collect();
    };
    if kubernetes.node.is_empty() {
        return vec![check(NAME, State::Unavailable, "the name of this node is not known", NODE_NAME)];
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![check(NAME, State::Unavailable, error.to_string(), "")],
    };
    let (pods, rights) = runtime.block_on(ask(kubernetes));
    let first = match pods {
        Ok(()) => check(NAME, State::Available, format!("of node {}, from {}", kubernetes.node, kubernetes.server), ""),
        Err(trouble) => check(NAME, State::Unavailable, trouble.to_string(), remedy(&trouble)),
    };
    let forbidden = rights.into_iter().map(|(what, rule)| check(NAME, State::Partial, format!("without {what}"), rule));
    std::iter::once(first).chain(forbidden).collect()
}

/// What gives it back.
fn remedy(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Forbidden(_) => "rules: [{apiGroups: [\"\"], resources: [pods], verbs: [get, list, watch]}]".into(),
        Trouble::Unauthorized => TOKEN.into(),
        _ => "everything else works without; `--kubernetes-api off` leaves it alone".into(),
    }
}

/// Whether pods may be listed, and what of the rest is forbidden.
async fn ask(config: &KubernetesConfig) -> (Result<(), Trouble>, Vec<(&'static str, &'static str)>) {
    let client = match Client::new(config, Arc::new(Counters::default())) {
        Ok(client) => client,
        Err(error) => return (Err(Trouble::Broken(error.to_string())), Vec::new()),
    };
    let path = format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{}&limit=1", encode(&config.node));
    if let Err(trouble) = client.get(&path, Part::Metadata, MAX_ANSWER).await {
        return (Err(trouble), Vec::new());
    }
    let mut forbidden = Vec::new();
    let wanted = |(path, what, rule)| (config.peers || what != PEERS).then_some((path, what, rule));
    for (path, what, rule) in RIGHTS.into_iter().filter_map(wanted) {
        if let Err(Trouble::Forbidden(_)) = client.get(path, Part::Metadata, MAX_ANSWER).await {
            forbidden.push((what, rule));
        }
    }
    (Ok(()), forbidden)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use wirespan_kubernetes::names::Wanted;

    use super::*;

    /// An API that answers each path with the status that `answer` gives, once for each connection.
    fn api(answer: fn(&str) -> u16) -> KubernetesConfig {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().and_then(|line| line.split(' ').nth(1).map(str::to_string)).unwrap_or_default();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                let body = r#"{"message":"because"}"#;
                let head =
                    format!("HTTP/1.1 {} x\r\nConnection: close\r\nContent-Length: {}", answer(&path), body.len());
                let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
            }
        });
        let node = "node-1".to_string();
        KubernetesConfig { server, credentials: "/nonexistent".into(), node, wanted: Wanted::default(), peers: true }
    }

    fn asked(answer: fn(&str) -> u16) -> (Result<(), Trouble>, Vec<&'static str>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (pods, rights) = runtime.block_on(ask(&api(answer)));
        (pods, rights.into_iter().map(|(_, rule)| rule).collect())
    }

    #[test]
    fn what_the_api_forbids_is_said_with_the_rule_that_allows_it() {
        assert_eq!(asked(|_| 403), (Err(Trouble::Forbidden("because".into())), Vec::new()));
        assert_eq!(asked(|path| if path.contains("doctor") { 404 } else { 200 }), (Ok(()), Vec::new()));
        let (pods, rules) = asked(|path| if path.contains("jobs") { 403 } else { 200 });
        assert_eq!(pods, Ok(()));
        assert_eq!(rules, ["rules: [{apiGroups: [batch], resources: [jobs], verbs: [get]}]"]);
        let (_, rules) = asked(|path| if path.contains("slices") { 403 } else { 200 });
        assert_eq!(
            rules,
            ["rules: [{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}]"]
        );
    }

    #[test]
    fn what_is_missing_is_given_by_a_line_of_yaml() {
        assert_eq!(grant("CAP_BPF", false, 1000), "run as root, or grant CAP_BPF");
        assert_eq!(grant("CAP_BPF", true, 0), "securityContext: {capabilities: {add: [BPF]}}");
        assert_eq!(
            grant("CAP_SYS_PTRACE", true, 7),
            "securityContext: {runAsUser: 0, capabilities: {add: [SYS_PTRACE]}}"
        );
        assert!(remedy(&Trouble::Forbidden(String::new())).contains("[get, list, watch]"));
        assert_eq!(remedy(&Trouble::Unauthorized), TOKEN);
    }
}
