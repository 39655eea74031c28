# SPDX-License-Identifier: MIT
# The virtio console as the only one, with a kernel that has its driver built in: both ways.
. "${RIG:?}/lib.sh"

kernel=cloud-6.12
text=$(dd if=/dev/urandom bs=3k count=1 2>/dev/null | base64 | tr -d '\n')
mkfifo pipe
start hvc0 "console=hvc0 loglevel=7 rig=input bytes=${#text}" --console virtio --trace-boot <>pipe
await said hvc0 "send ${#text} bytes"
printf %s "$text" >pipe
finish
is "$(word hvc0 kernel)" "$(cat "$GUESTS/$kernel/version")" "hvc0 shows init's words"
is "$(word hvc0 input)" "$(printf %s "$text" | sum)" "hvc0: ${#text} bytes by a pipe"
ends hvc0 0
grep -q '  init started$' hvc0.err
ok $? "--trace-boot: the kernel's words on hvc0 say when init started"
done_testing
