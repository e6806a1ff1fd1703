#!/bin/sh
# boot_root.sh DIR: in namespaces of its own (pid, mount, net, ipc, uts), makes
# DIR/root a view of this host that can be written without touching it, and
# starts systemd in it as process 1.
set -e
top=$1
root=$top/root
mount -o bind,ro /proc/sys /proc/sys
mount -t overlay overlay -o "lowerdir=/,upperdir=$top/upper,workdir=$top/work" "$root"
mount -t proc proc "$root/proc"
# sysctl.d must not reach the host
mount -o bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
for dir in run tmp dev sys/fs/cgroup; do
	mount -t tmpfs -o mode=755 tmpfs "$root/$dir"
done
chmod 1777 "$root/tmp"
for node in null zero full random urandom tty; do
	: > "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
	umount "$root/sys/fs/cgroup"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
	mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
	mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi
mkdir "$root/old"
cd "$root"
pivot_root . old
umount -l old
export container=other
exec /lib/systemd/systemd --unit=spamscore-test.target --log-target=null --show-status=no
