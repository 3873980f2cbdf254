//! Which container, and which pod, a control group's path shows.
//!
//! Every runtime writes a container's id into the path, each in its own way, and with systemd's scopes otherwise than with plain
//! directories. What is read is what the runtimes' and the kubelet's own rules say; a directory that somebody merely called like
//! a container is taken for none.

/// What a path shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The innermost container's id; of LXC and systemd-nspawn, which give none, its name on this machine.
    pub container_id: Option<String>,
    /// What the container is called, where the path says that.
    pub container_name: Option<String>,
    /// `metadata.uid` of the pod around the container, of a static pod the hash of its description.
    pub pod_uid: Option<String>,
}

impl Place {
    /// Reads a path of `/proc/PID/cgroup`, of version 1 or 2, relative to whatever namespace of control groups.
    pub fn of(path: &str) -> Self {
        let mut place = Self::default();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some(at) = parts.iter().rposition(|part| id_in(part).is_some()) else {
            if let Some(name) = named(&parts) {
                place.container_id = Some(name.clone());
                place.container_name = Some(name);
            }
            return place;
        };
        // A machine inside a container, or a container inside a machine: the inner one is meant.
        if let Some(name) = named(&parts[at + 1..]) {
            place.container_id = Some(name.clone());
            place.container_name = Some(name);
            return place;
        }
        place.container_id = id_in(parts[at]).map(str::to_string);
        // The pod is the directory right above, or in the same name. Further up may be another machine's.
        place.pod_uid = pod_in(parts[at]).or_else(|| pod_in(parts[..at].last()?));
        place
    }

    /// Whether it shows a container.
    pub fn is_container(&self) -> bool {
        self.container_id.is_some()
    }
}

/// Whether one component of a path is a container's.
pub fn is_container(part: &str) -> bool {
    id_in(part).is_some() || named(&[part]).is_some()
}

/// A container's id in one component: docker, containerd, CRI-O, Podman and nerdctl, each with systemd's scopes or with plain
/// directories, below Kubernetes' pods or not.
fn id_in(part: &str) -> Option<&str> {
    let plain = part.strip_suffix(".scope").unwrap_or(part);
    // `crio-conmon-…` and `libpod-conmon-…` hold the monitor, not the container.
    if plain.contains("conmon") {
        return None;
    }
    // containerd without systemd writes `kubepods-…:cri-containerd:ID`.
    let plain = plain.rsplit(':').next().unwrap_or(plain);
    let id = plain.rsplit('-').next().unwrap_or(plain);
    if id.len() == 64 && is_hex(id) {
        return Some(id);
    }
    // Amazon ECS: 32 hexadecimal digits, a dash, a number.
    let (task, number) = plain.rsplit_once('-')?;
    let ecs = task.len() == 32 && is_hex(task) && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    ecs.then_some(plain)
}

/// The uid of a pod in one component: `pod6f0e…`, `kubepods-besteffort-pod6f0e_….slice`, and what containerd writes in one name
/// with the container. Behind `pod` is the uid alone, with systemd's underscores for its dashes.
fn pod_in(part: &str) -> Option<String> {
    let slice = part.split(':').next().unwrap_or(part);
    let slice = slice.strip_suffix(".slice").unwrap_or(slice);
    let uid = match slice.rsplit_once("-pod") {
        Some((above, uid)) if above.contains("kubepods") => uid,
        _ => slice.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    (is_uuid(&uid) || (uid.len() == 32 && is_hex(&uid))).then_some(uid)
}

/// The name of the innermost container of LXC or systemd-nspawn.
fn named(parts: &[&str]) -> Option<String> {
    let name = parts.iter().enumerate().rev().find_map(|(at, part)| {
        let below = parts.get(at + 1).copied();
        lxc(part, at.checked_sub(1).map(|above| parts[above])).or_else(|| nspawn(part, below))
    })?;
    (!name.is_empty() && name.len() <= 255 && !name.contains(char::is_control)).then_some(name)
}

/// `lxc.payload.NAME`, and below `lxc` or `lxc.payload` the name alone. (`lxc.monitor.NAME` holds the monitor.)
fn lxc(part: &str, above: Option<&str>) -> Option<String> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(name.to_string());
    }
    let inside = matches!(above, Some("lxc" | "lxc.payload"));
    (inside && !part.starts_with("lxc.")).then(|| part.to_string())
}

/// `systemd-nspawn@NAME.service`, and `machine-NAME.scope`, which virtual machines have, too.
fn nspawn(part: &str, below: Option<&str>) -> Option<String> {
    if let Some(name) = part.strip_prefix("systemd-nspawn@").and_then(|rest| rest.strip_suffix(".service")) {
        return (below != Some("supervisor")).then(|| unescape(name));
    }
    let name = unescape(part.strip_prefix("machine-")?.strip_suffix(".scope")?);
    let virtual_machine = ["qemu-", "xen-", "ch-"].iter().any(|kind| name.starts_with(kind));
    (!virtual_machine && below != Some("supervisor")).then_some(name)
}

/// Undoes systemd's `\x2d` (systemd.unit(5), "string escaping").
pub fn unescape(name: &str) -> String {
    let mut out = String::new();
    let mut rest = name;
    while let Some(at) = rest.find("\\x") {
        let code = rest.get(at + 2..at + 4).and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(u8::is_ascii);
        out.push_str(&rest[..at]);
        match code {
            Some(code) => out.push(char::from(code)),
            None => out.push_str("\\x"),
        }
        rest = &rest[at + if code.is_some() { 4 } else { 2 }..];
    }
    out + rest
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 5 && parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| part.len() == length && is_hex(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1c0e8a9b7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e";
    const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000001";
    const UID: &str = "6f0e2c1a-7b3d-4e5f-8a9b-0c1d2e3f4a5b";
    const SLICED: &str = "6f0e2c1a_7b3d_4e5f_8a9b_0c1d2e3f4a5b";

    fn of(path: &str) -> (Option<String>, Option<String>) {
        let place = Place::of(path);
        (place.container_id, place.pod_uid)
    }

    #[test]
    fn every_runtime_under_either_driver_shows_its_container() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
            format!("/system.slice/nerdctl-{ID}.scope"),
            format!("/default/{ID}"),
            format!("/machine.slice/libpod-{ID}.scope"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope/container"),
            format!("/libpod_parent/libpod-{ID}"),
            format!("/system.slice/web.service/libpod-payload-{ID}"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"),
            format!("/../../docker/{ID}"),
        ] {
            assert_eq!(of(&path), (Some(ID.to_string()), None), "{path}");
        }
        let task = "0123456789abcdef0123456789abcdef-1234567890";
        assert_eq!(of(&format!("/ecs/0123456789abcdef0123456789abcdef/{task}")).0.as_deref(), Some(task));
    }

    #[test]
    fn a_pods_uid_is_beside_its_container_under_every_runtime_driver_and_version() {
        for path in [
            format!("/kubepods/besteffort/pod{UID}/{ID}"),
            format!("/kubepods/pod{UID}/{ID}/init.scope"),
            format!("/kubepods.slice/kubepods-pod{SLICED}.slice/cri-containerd-{ID}.scope"),
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICED}.slice/crio-{ID}.scope"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICED}.slice/crio-{ID}.scope/container"
            ),
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICED}.slice/docker-{ID}.scope"),
            format!("/kubepods/burstable/pod{UID}/crio-{ID}"),
            format!("/system.slice/containerd.service/kubepods-burstable-pod{SLICED}.slice:cri-containerd:{ID}"),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{SLICED}.slice/cri-containerd-{ID}.scope"
            ),
            format!("/docker/{OTHER}/kubelet/kubepods/besteffort/pod{UID}/{ID}"),
            // Seen from within another pod's namespace of control groups.
            format!("/../../kubepods-besteffort-pod{SLICED}.slice/cri-containerd-{ID}.scope"),
            format!("/../../pod{UID}/{ID}"),
        ] {
            assert_eq!(of(&path), (Some(ID.to_string()), Some(UID.to_string())), "{path}");
        }
    }

    /// Paths that machines had: who says so, the path, the container's id or machine's name, the pod's uid.
    const SEEN: [(&str, &str, &str, &str); 17] = [
        (
            "Debian's podman 4.3.1 with runc 1.1.5, cgroupfs, versions 1 and 2",
            "/libpod_parent/libpod-cdd5c9a6e4d0fdadf2e2942f43d5ed0ed83d57ed9aa2c5b114af4305ba8471b6",
            "cdd5c9a6e4d0fdadf2e2942f43d5ed0ed83d57ed9aa2c5b114af4305ba8471b6",
            "",
        ),
        ("the same, what watches over the container", "/", "", ""),
        (
            "a comment of runc's, rootless Podman, systemd, version 2",
            "/user.slice/user-1001.slice/user@1001.service/user.slice/libpod-132ff0d72245e6f13a3bbc6cdc5376886897b60ac59eaa8dea1df7ab959cbf1c.scope",
            "132ff0d72245e6f13a3bbc6cdc5376886897b60ac59eaa8dea1df7ab959cbf1c",
            "",
        ),
        (
            "a desktop, rootless Podman below app.slice",
            "/user.slice/user-1000.slice/user@1000.service/app.slice/libpod-0df316a1a9428ad8252642b52f80d12cfffd4995bf4ecdcf17daf8e2f740532f.scope/container",
            "0df316a1a9428ad8252642b52f80d12cfffd4995bf4ecdcf17daf8e2f740532f",
            "",
        ),
        (
            "tests of amicontained, Docker, cgroupfs, version 1",
            "/docker/68fad1f9e0985989408aff30e7b83e7dada1d235ff46a22c5465ca193ddf0fac",
            "68fad1f9e0985989408aff30e7b83e7dada1d235ff46a22c5465ca193ddf0fac",
            "",
        ),
        (
            "the same, Kubernetes with Docker, cgroupfs, version 1",
            "/kubepods/burstable/pod98051bd2-a5fa-11e8-9bb9-0a58ac1f31f2/74998d19bd3c7423744214c344c6e814d19b7908a92f165f9d58243073a27a47",
            "74998d19bd3c7423744214c344c6e814d19b7908a92f165f9d58243073a27a47",
            "98051bd2-a5fa-11e8-9bb9-0a58ac1f31f2",
        ),
        ("the same, LXC, version 1", "/lxc/debian2", "debian2", ""),
        ("the same, systemd-nspawn, version 1", "/machine.slice/machine-nspawntest.scope", "nspawntest", ""),
        (
            "the same, rkt, version 1",
            "/machine.slice/machine-rkt\\x2dbfb7d57e\\x2d80ff\\x2d4ef8\\x2db602\\x2d9b907b3f3a38.scope/system.slice/debian.service",
            "rkt-bfb7d57e-80ff-4ef8-b602-9b907b3f3a38",
            "",
        ),
        (
            "tests of Tetragon, Kubernetes with Docker, systemd, version 2",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podeb653d22_2525_47ca_9fc4_3762497ae1d2.slice/docker-84e9ffffe97fea4c5a0f01d401611cbafbf7e559fc6190ed74abfc2b25e889d4.scope",
            "84e9ffffe97fea4c5a0f01d401611cbafbf7e559fc6190ed74abfc2b25e889d4",
            "eb653d22-2525-47ca-9fc4-3762497ae1d2",
        ),
        (
            "a node of Google's, containerd, systemd, version 2",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod3adc37e4_63c0_42af_82b9_69f90208510a.slice/cri-containerd-c43cce061e18f92cc145f6e5f63de001ffec4060283c17e44f62e42e7629b1bd.scope",
            "c43cce061e18f92cc145f6e5f63de001ffec4060283c17e44f62e42e7629b1bd",
            "3adc37e4-63c0-42af-82b9-69f90208510a",
        ),
        (
            "tests of OpenTelemetry's Java agent, containerd whose driver is not the kubelet's",
            "/system.slice/containerd.service/kubepods-pod87a18a64_b74a_454a_b10b_a4a36059d0a3.slice:cri-containerd:05c48c82caff3be3d7f1e896981dd410e81487538936914f32b624d168de9db0",
            "05c48c82caff3be3d7f1e896981dd410e81487538936914f32b624d168de9db0",
            "87a18a64-b74a-454a-b10b-a4a36059d0a3",
        ),
        (
            "tests of SPIRE, the same at the root",
            "/kubepods-besteffort-pod72f7f152_440c_66ac_9084_e0fc1d8a910c.slice:cri-containerd:b2a102854b4969b2ce98dc329c86b4fb2b06e4ad2cc8da9d8a7578c9cd2004a2",
            "b2a102854b4969b2ce98dc329c86b4fb2b06e4ad2cc8da9d8a7578c9cd2004a2",
            "72f7f152-440c-66ac-9084-e0fc1d8a910c",
        ),
        (
            "a log of minikube's, a static pod of a node that is a container of GitHub's",
            "/actions_job/e62ef4349cc5a70f4b49f8a150ace391da6ad6df27073c83ecc03dbf81fde1ce/kubepods/burstable/poda1de58db0ce81d19df7999f6808def1b/5df53230fe3483fd65f341923f18a477fda92ae9cd71061168130ef164fe479c",
            "5df53230fe3483fd65f341923f18a477fda92ae9cd71061168130ef164fe479c",
            "a1de58db0ce81d19df7999f6808def1b",
        ),
        (
            "a listing of an OpenShift node's, CRI-O's monitor",
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0185634f_eef8_427e_a2c5_884d45bc5503.slice/crio-conmon-78283d52a8505805e4138f05dcecc6e90fd1c3f6fbc0261b4654f3d763c5ed97.scope",
            "",
            "",
        ),
        (
            "Kata's description of CRI-O, its monitor, cgroupfs",
            "/kubepods/pod1cc61d33-5ca1-11e9-90bc-525400cfa589/crio-conmon-1b05886a39901ef3a7555796d38dcfaafd8fda929aef223ea576324a4949f9ef",
            "",
            "",
        ),
        (
            "a runner of jobs in Incus, which has its projects in names",
            "/lxc.payload.gha-fleet_worker/system.slice/actions.runner.one-job.service",
            "gha-fleet_worker",
            "",
        ),
    ];

    #[test]
    fn paths_that_machines_had_show_what_ran_there() {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_string());
        for (who, path, id, uid) in SEEN {
            assert_eq!(of(path), (some(id), some(uid)), "{who}: {path}");
        }
    }

    #[test]
    fn a_static_pods_hash_is_its_uid() {
        let hash = "0123456789abcdef0123456789abcdef";
        let path =
            format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{hash}.slice/crio-{ID}.scope");
        assert_eq!(of(&path), (Some(ID.into()), Some(hash.into())));
    }

    #[test]
    fn a_container_beside_ones_own_shows_no_pod() {
        assert_eq!(of(&format!("/../cri-containerd-{ID}.scope")), (Some(ID.into()), None));
        assert_eq!(of("/"), (None, None));
    }

    #[test]
    fn a_container_inside_a_pods_container_is_none_of_the_pods() {
        let path = format!("/kubepods/pod{UID}/{OTHER}/docker/{ID}");
        assert_eq!(of(&path), (Some(ID.into()), None));
    }

    #[test]
    fn a_machines_name_stands_for_its_id() {
        for (path, name) in [
            ("/lxc.payload.web/system.slice/nginx.service", "web"),
            ("/lxc/web", "web"),
            ("/lxc.payload/web/init.scope", "web"),
            ("/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service", "web"),
            ("/machine.slice/systemd-nspawn@my\\x2dweb.service", "my-web"),
            ("/machine.slice/machine-web.scope/payload", "web"),
            ("/machine.slice/machine-my\\x2dweb.scope", "my-web"),
        ] {
            let place = Place::of(path);
            assert_eq!(place.container_id.as_deref(), Some(name), "{path}");
            assert_eq!(place.container_name.as_deref(), Some(name), "{path}");
        }
        let inside = Place::of(&format!("/lxc.payload.web/docker/{ID}"));
        assert_eq!((inside.container_id.as_deref(), inside.container_name), (Some(ID), None));
    }

    #[test]
    fn monitors_virtual_machines_and_namesakes_are_no_containers() {
        for path in [
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-conmon-{ID}.scope"),
            format!("/kubepods/pod{UID}/crio-conmon-{ID}"),
            "/lxc.monitor.web".to_string(),
            "/machine.slice/systemd-nspawn@web.service/supervisor".to_string(),
            "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope".to_string(),
            format!("/system.slice/pod{UID}.service"),
            "/system.slice/podman.service".to_string(),
            "/user.slice/user-0.slice/session-3.scope".to_string(),
        ] {
            assert_eq!(Place::of(&path), Place::default(), "{path}");
        }
    }

    #[test]
    fn any_text_is_read_without_panic() {
        for path in [
            "",
            "////",
            "/lxc/",
            "/lxc.payload.",
            "/machine-.scope",
            "/systemd-nspawn@.service",
            "/pod",
            "/-pod",
            "\\x",
            "\\xé",
        ] {
            assert!(!Place::of(path).is_container(), "{path}");
        }
    }
}
