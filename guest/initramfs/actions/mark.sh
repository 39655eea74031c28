#!/bin/busybox sh
# SPDX-License-Identifier: MIT
# shellcheck shell=dash
#
# For the bench of stock guests, as rdinit=/actions/mark.sh: the first process says that the kernel
# has come up, before anything is mounted, and goes on as /init.
echo "# result boot requests 1 ns 1"
exec /init
