# SPDX-License-Identifier: MIT
# The sandbox on the kernel of this host: what `make sandbox-check` runs, but for how the binary was built.
export top_srcdir=/tests/sandbox top_builddir=/tests/sandbox
sh /tests/sandbox/tests/sandbox_check
