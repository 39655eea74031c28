# SPDX-License-Identifier: MIT
# Bytes put into the console arrive: by a pipe, many at once, and through a pty.
. "${RIG:?}/lib.sh"

bytes=131072
[ "$RIG_KIND" != nested ] || bytes=$emulated_paste_bytes
dd if=/dev/urandom bs=1k count=$((bytes / 1024)) 2>/dev/null | base64 | tr -d '\n' | head -c "$bytes" >text
sum=$(sum <text)

# The text waits in the pipe for the guest to read.
mkfifo pipe
start pipe "rig=input bytes=$bytes" <>pipe
await said pipe "send $bytes bytes"
cat text >pipe
finish
ends pipe 0
is "$(word pipe input)" "$sum" "serial: $bytes bytes by a pipe"

# run_in_pty NAME WORDS: a guest on a terminal, which is raw while ringvm has it and as before when
# it ends; stdin is what is typed there.
run_in_pty() {
	cat >in-pty.sh <<-END
		stty -g >before
		"$RINGVM" run -k "$GUESTS/$kernel/vmlinuz" -i "$GUESTS/$kernel/initrd" -p "console=ttyS0 $2"
		echo "status \$?"
		stty -g >after
	END
	timeout -s KILL 900 script -qfc "sh in-pty.sh" "$1.out" >/dev/null
}

(wait_for 600 said pty "send 6 bytes" && sleep 1 && printf 'hallo\n'; sleep 5) |
	run_in_pty pty "loglevel=4 rig=input bytes=6"
says pty "input $(printf 'hallo\n' | sum)" "serial: a line through a pty"
grep -q "^status 0" pty.out
ok $? "pty: exit status 0"
cmp -s before after
ok $? "pty: the terminal is as it was before"

# As soon as the kernel speaks: the guest need not come further.
(wait_for 600 grep -q "Linux version" escape.out && printf '\001x'; sleep 5) |
	run_in_pty escape "loglevel=7 rig=input bytes=6"
lacks escape "input .*" "pty: Ctrl-A x ends the guest"
cmp -s before after
ok $? "pty: the terminal is as it was before Ctrl-A x"
done_testing
