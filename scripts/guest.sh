#!/usr/bin/env bash
# Makes a small Linux guest for QEMU of Debian's packages, installing none of them: FOLDER/vmlinuz and FOLDER/initramfs.
# FOLDER is target/guest unless it is given. Made once; several callers at once are fine.
#
# The guest's console is the first serial port, and the second takes commands: a line in, what the command writes out,
# then a line "\x01STATUS". The line "\x01up" says that it has booted. Words of the kernel's command line are its settings:
# address=192.168.7.10/24 gateway=192.168.7.1 mtu=9000, all for eth0.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${1:-${CARGO_TARGET_DIR:-target}/guest}
mkdir -p "$folder"
folder=$(realpath "$folder")
exec 9>"$folder/lock"
flock 9
made_by=$(sha256sum <"scripts/guest.sh")
[ "$(cat "$folder/made-by" 2>/dev/null || true)" != "$made_by" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# The downloads are for root's own eyes, which apt remarks on.
download() { apt-get download -qq -o APT::Sandbox::User=root "$@" 2>apt-errors; }
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)

# The meta package names the current kernel. Lists may be missing or tell of a package that was replaced since.
kernel_package() { apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p'; }
kernel=$(kernel_package)
if [ -z "$kernel" ] || ! download "$kernel" busybox-static; then
    "${sudo[@]}" apt-get update -qq
    kernel=$(kernel_package)
    download "$kernel" busybox-static || { cat apt-errors >&2; exit 1; }
fi
for package in *.deb; do
    dpkg -x "$package" packages
done

# The kernel's version is the package's name. Its modules are loaded in this order.
version=${kernel#linux-image-}
mkdir -p root/{bin,dev,proc,sys,tmp,modules}
depmod -b packages "$version"
number=10
for module in virtio_pci virtio_net; do
    while read -r _ file _; do
        name=$(basename "$file")
        [ -z "$(find root/modules -name "*-$name")" ] || continue
        cp "$file" "root/modules/$number-$name"
        number=$((number + 1))
    done < <(modprobe -d packages -S "$version" --show-depends "$module" | grep ^insmod)
done
find root/modules -name '*.xz' -exec unxz {} +

cp packages/bin/busybox root/bin/
ln -s busybox root/bin/sh
cat >root/init <<'INIT'
#!/bin/sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*; do insmod "$module"; done

ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
    [ -z "$mtu" ] || ip link set eth0 mtu "$mtu"
    ip link set eth0 up
    [ -z "$address" ] || ip addr add "$address" dev eth0
    [ -z "$gateway" ] || ip route add default via "$gateway"
fi

exec <>/dev/ttyS1 1>&0 2>&0
stty raw -echo
printf '\001up\n'
while read -r line; do
    (eval "$line") </dev/null
    printf '\001%s\n' $?
done
INIT
chmod +x root/init
(cd root && find . | cpio --quiet -o -H newc) | gzip -1 >initramfs

cp "packages/boot/vmlinuz-$version" initramfs "$folder/"
mv "$folder/vmlinuz-$version" "$folder/vmlinuz"
echo "$made_by" >"$folder/made-by"
