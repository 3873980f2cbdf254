//! System calls that the agent never makes once it traces, and that whoever took it over would want first.
//!
//! A list of what is refused, and not of what is allowed: which calls a C library makes differs by its version and by the
//! machine, and an agent that is killed by its own filter harms more than one that could still open a file. A refused
//! call fails with `EPERM`.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::SandboxError;

/// Refused whatever their arguments are.
const NEVER: &[i64] = &[
    // Start a program, or become another user.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    // Change other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_kcmp,
    // Change what the machine sees.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    // Change the kernel.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Much of the kernel that few use.
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_mknodat,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Families of sockets that are opened later: the view and OTLP, names, and questions to the kernel.
const FAMILIES: [i32; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// New namespaces (include/uapi/linux/sched.h), which `clone` makes, too. What `clone3` makes cannot be looked at: its
/// flags lie in memory.
const NEW_NAMESPACES: u64 = 0x7e02_0080;

/// What is added to the numbers of the x32 interface, under which the same calls could be made where a kernel has it; and
/// the numbers that it has beside them, `execve` among them.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const X32_ALONE: std::ops::RangeInclusive<i64> = 512..=547;

/// Puts the filter on every thread. It cannot be taken off.
pub fn install() -> Result<(), SandboxError> {
    let failed = |error: &dyn std::fmt::Display| SandboxError::Filter(error.to_string());
    let program = program().map_err(|error| failed(&error))?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| failed(&error))
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    #[cfg(target_arch = "x86_64")]
    let architecture = TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    let architecture = TargetArch::aarch64;
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules()?, SeccompAction::Allow, refuse, architecture)?.try_into()
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let is = |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let other_family: Result<Vec<_>, _> =
        FAMILIES.iter().map(|family| is(0, SeccompCmpOp::Ne, *family as u64)).collect();
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|number| (*number, Vec::new())).collect();
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(other_family?)?]);
    // One rule a flag: each alone is refused.
    let flags = (0..32).map(|bit| 1_u64 << bit).filter(|flag| NEW_NAMESPACES & flag != 0);
    let new_namespace = flags.map(|flag| SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(flag), flag)?]));
    rules.insert(libc::SYS_clone, new_namespace.collect::<Result<_, _>>()?);
    // To its own threads it sends signals, when it aborts for one.
    let own = u64::from(std::process::id());
    let another_s = vec![SeccompRule::new(vec![is(0, SeccompCmpOp::Ne, own)?])?];
    rules.insert(libc::SYS_tgkill, another_s.clone());
    rules.insert(libc::SYS_rt_tgsigqueueinfo, another_s);
    #[cfg(target_arch = "x86_64")]
    {
        let twins: Vec<_> = rules.iter().map(|(number, rules)| (number | X32, rules.clone())).collect();
        rules.extend(twins);
        rules.extend(X32_ALONE.map(|number| (number | X32, Vec::new())));
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_is_a_program_that_the_kernel_would_take() {
        // BPF_MAXINSNS of include/uapi/linux/bpf_common.h.
        let length = program().unwrap().len();
        assert!((100..4096).contains(&length), "{length}");
    }
}
