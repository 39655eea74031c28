# SPDX-License-Identifier: MIT
# Reads $bytes bytes from the console as they are and says their checksum.
stty raw -echo </dev/console
say "send ${bytes:?} bytes"
sum=$(head -c "$bytes" </dev/console | md5sum | cut -d ' ' -f 1)
stty sane </dev/console
say "input $sum"
