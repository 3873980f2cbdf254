#!/bin/busybox sh
# Process 1 of the guest (xtask/src/vm): mounts the host's files under an overlay, runs one command, and stops.
b=/bin/busybox

stop() {
    $b sync
    # Stops the machine even where ACPI cannot: QEMU runs with -no-reboot.
    $b poweroff -f || $b reboot -f
}

fail() {
    echo "xtask vm: $1" >/dev/console
    stop
}

$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do
    $b insmod "/modules/$module" || fail "module $module does not load"
done </modules/order

share="trans=virtio,version=9p2000.L,msize=512000"
$b mount -t 9p -o "ro,cache=loose,$share" host /lower || fail "the host's files cannot be mounted"
$b mount -t tmpfs -o size=75% upper /upper || fail "no memory file system"
$b mkdir /upper/files /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root ||
    fail "the overlay cannot be mounted"

r=/root
$b mkdir -p $r/proc $r/sys $r/dev $r/run $r/tmp
$b mount -t proc proc $r/proc
$b mount -t sysfs sys $r/sys
$b mount -t devtmpfs dev $r/dev
$b mkdir -p $r/dev/pts $r/dev/shm
$b mount -t devpts devpts $r/dev/pts
$b mount -t tmpfs -o mode=1777 shm $r/dev/shm
$b mount -t tmpfs run $r/run
$b ln -sf /proc/self/fd $r/dev/fd
$b ln -sf /proc/self/fd/0 $r/dev/stdin
$b ln -sf /proc/self/fd/1 $r/dev/stdout
$b ln -sf /proc/self/fd/2 $r/dev/stderr
$b mount -t cgroup2 cgroup $r/sys/fs/cgroup
$b mount -t bpf bpf $r/sys/fs/bpf
$b mount -t tracefs tracefs $r/sys/kernel/tracing
$b mount -t debugfs debugfs $r/sys/kernel/debug
$b mount -t securityfs securityfs $r/sys/kernel/security
$b ip link set lo up
$b hostname guest

# What to run, and where its exit status goes, is in a folder shared with the host.
$b mkdir -p $r/run/xtask
$b mount -t 9p -o "cache=none,$share" job $r/run/xtask || fail "the job cannot be mounted"
out=/dev/console
for port in /sys/class/virtio-ports/*; do
    [ "$($b cat "$port/name" 2>/dev/null)" = output ] && out=/dev/${port##*/}
done
$b chroot $r /bin/sh /run/xtask/start >"$out" 2>&1 </dev/null
echo $? >$r/run/xtask/status
stop
