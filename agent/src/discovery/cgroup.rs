//! What a process's control group tells: its systemd unit, its container.

use std::collections::VecDeque;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use wirespan_kubernetes::place::{self, Place, unescape};

/// What `/proc/PID/cgroup` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Path in each hierarchy, without duplicates, the deepest first.
    pub paths: Vec<String>,
    /// The systemd service that gives the process its name, without `.service`.
    pub unit: Option<String>,
    /// Id of the innermost container.
    pub container_id: Option<String>,
    /// What the path calls that container, if it does.
    pub container_name: Option<String>,
    /// Uid of the pod around the container.
    pub pod_uid: Option<String>,
}

impl Cgroup {
    /// The user whose session it is in: a container there may be that user's own.
    pub fn user(&self) -> Option<u32> {
        let slice = |part: &str| part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok();
        self.paths.iter().find_map(|path| path.split('/').find_map(slice))
    }

    /// Reads the text of `/proc/PID/cgroup`, version 1, 2 or both.
    pub fn parse(text: &str) -> Self {
        // Lines are `hierarchy:controllers:path` (cgroups(7)).
        let mut paths: Vec<String> = Vec::new();
        for path in text.lines().filter_map(|line| line.splitn(3, ':').nth(2)) {
            if !path.is_empty() && !paths.iter().any(|known| known == path) {
                paths.push(path.to_string());
            }
        }
        paths.sort_by_key(|path| std::cmp::Reverse(path.matches('/').count()));
        // (Hierarchies of version 1 may be arranged differently; one that shows the pod says most.)
        let places: Vec<Place> = paths.iter().map(|path| Place::of(path)).filter(Place::is_container).collect();
        let place = places.iter().find(|place| place.pod_uid.is_some()).or(places.first()).cloned().unwrap_or_default();
        // A unit around a container is the container's runtime, a unit inside one is the container's own.
        let unit = paths.iter().find_map(|path| unit(path));
        let Place { container_id, container_name, pod_uid } = place;
        Self { paths, unit, container_id, container_name, pod_uid }
    }
}

/// The most directories that [`find`] looks at.
const MAX_GROUPS: usize = 16_384;

/// Where the kernel shows version 2, alone or beside version 1.
const MOUNTS: [&str; 2] = ["sys/fs/cgroup/unified", "sys/fs/cgroup"];

/// The control group with this id (the inode of its version 2 directory), below a file system's root.
///
/// The root group is not an answer: where version 1 is in use as well, everything is in it.
pub fn find(root: &Path, id: u64) -> Option<Cgroup> {
    let mount = MOUNTS.iter().map(|mount| root.join(mount)).find(|mount| mount.is_dir())?;
    let mut waiting = VecDeque::from([mount.clone()]);
    let mut looked = 0;
    while let Some(group) = waiting.pop_front() {
        for entry in std::fs::read_dir(group).ok().into_iter().flatten().filter_map(Result::ok) {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let path = entry.path();
            if entry.ino() == id {
                return Some(Cgroup::parse(&format!("0::/{}", path.strip_prefix(&mount).ok()?.display())));
            }
            looked += 1;
            if looked > MAX_GROUPS {
                return None;
            }
            waiting.push_back(path);
        }
    }
    None
}

/// Services that run other people's programs: their name says nothing about those.
const SUPERVISORS: &[&str] = &[
    "actions-runner",
    "anacron",
    "atd",
    "buildkit",
    "cloud-final",
    "cloud-init",
    "code-server",
    "containerd",
    "cri-docker",
    "cri-o",
    "crio",
    "cron",
    "crond",
    "cronie",
    "dbus",
    "docker",
    "emergency",
    "getty",
    "gitlab-runner",
    "init",
    "inetd",
    "jenkins",
    "k3s",
    "k3s-agent",
    "kubelet",
    "lxc",
    "lxd",
    "nomad",
    "pm2",
    "podman",
    "rc-local",
    "rescue",
    "runit",
    "s6",
    "screen",
    "serial-getty",
    "snapd",
    "ssh",
    "sshd",
    "supervisor",
    "supervisord",
    "tmux",
    "user",
    "waagent",
    "xinetd",
];

/// The innermost service of a path that names what runs in it.
fn unit(path: &str) -> Option<String> {
    let inner = path.rsplit('/').find(|part| part.ends_with(".service") && !part.starts_with("user@"))?;
    // Below a container's or session's scope a service of the outer system is no name for the process.
    let after = path.rsplit(inner).next().unwrap_or_default();
    if after.split('/').any(place::is_container) {
        return None;
    }
    let name = unescape(inner.strip_suffix(".service")?);
    let (template, instance) = name.split_once('@').unwrap_or((&name, ""));
    if SUPERVISORS.contains(&template) || template.starts_with("systemd-") || template.starts_with("pm2-") {
        return None;
    }
    // `postgresql@15-main` is postgresql and `worker@3` is worker, but `gunicorn@shop` is not `gunicorn@cart`.
    let numbered = instance.is_empty() || instance.starts_with(|c: char| c.is_ascii_digit());
    Some(if numbered { template.to_string() } else { name.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f1c0e8a9b7d6c5e4f3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e";

    fn of(path: &str) -> (Option<String>, Option<String>) {
        let cgroup = Cgroup::parse(&format!("0::{path}\n"));
        (cgroup.unit, cgroup.container_id)
    }

    #[test]
    fn a_container_is_no_unit_of_its_machine() {
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:{ID}"),
            format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"),
            format!("/system.slice/web.service/libpod-payload-{ID}"),
        ] {
            assert_eq!(of(&path), (None, Some(ID.to_string())), "{path}");
        }
    }

    #[test]
    fn a_machine_gives_its_name_and_a_unit_inside_it_its_own() {
        let cgroup = Cgroup::parse("0::/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service\n");
        assert_eq!((cgroup.container_name.as_deref(), cgroup.unit.as_deref()), (Some("web"), Some("nginx")));
        let cgroup = Cgroup::parse("0::/machine.slice/systemd-nspawn@web.service/payload\n");
        assert_eq!((cgroup.container_name.as_deref(), cgroup.unit), (Some("web"), None));
    }

    #[test]
    fn a_service_gives_its_name() {
        for (path, name) in [
            ("/system.slice/nginx.service", "nginx"),
            ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql"),
            ("/system.slice/system-gunicorn.slice/gunicorn@shop.service", "gunicorn@shop"),
            ("/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service", "shop"),
            ("/system.slice/my\\x2dshop.service/sub", "my-shop"),
        ] {
            assert_eq!(of(path).0.as_deref(), Some(name), "{path}");
        }
    }

    #[test]
    fn sessions_supervisors_and_the_root_give_none() {
        for path in [
            "/",
            "/user.slice/user-0.slice/session-3.scope",
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            "/system.slice/ssh.service",
            "/system.slice/cron.service",
            "/system.slice/docker.service",
            "/system.slice/system-getty.slice/getty@tty1.service",
            "/system.slice/pm2-root.service",
        ] {
            assert_eq!(of(path), (None, None), "{path}");
        }
    }

    #[test]
    fn version_one_and_both_versions_are_read_alike() {
        let text = format!("12:pids:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service\n");
        assert_eq!(Cgroup::parse(&text).container_id.as_deref(), Some(ID));
        let uid = "6f0e2c1a-7b3d-4e5f-8a9b-0c1d2e3f4a5b";
        let text = format!("4:memory:/kubepods/pod{uid}/{ID}\n2:cpu:/a/b/c/d/{ID}\n0::/\n");
        assert_eq!(Cgroup::parse(&text).pod_uid.as_deref(), Some(uid));
        let text = "5:memory:/system.slice/shop.service\n1:name=systemd:/system.slice/shop.service\n0::/\n";
        assert_eq!(Cgroup::parse(text).unit.as_deref(), Some("shop"));
        assert_eq!(Cgroup::parse("").paths, Vec::<String>::new());
    }
}
