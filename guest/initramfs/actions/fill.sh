# SPDX-License-Identifier: MIT
# Fills $fill MiB of memory at once and reads them again.
mount -t tmpfs -o size=100% tmpfs /tmp
yes "a line of memory" | head -c 1048576 >/block
for _ in $(seq "${fill:?}"); do cat /block; done >/tmp/file
say "filled $(stat -c %s /tmp/file) $(md5sum </tmp/file | cut -d ' ' -f 1)"
