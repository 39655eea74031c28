# SPDX-License-Identifier: MIT
# Does not listen to the power button.
say "deaf"
sleep 600
