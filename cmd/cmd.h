/* SPDX-License-Identifier: MIT */
/*
 * The commands. argv[0] is the command's name; the return value is the exit
 * status of the process. First thread of the process.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

int cmd_run(int argc, char **argv);
int cmd_stop(int argc, char **argv);
int cmd_list(int argc, char **argv);

#endif
