// SPDX-License-Identifier: MIT
/*
 * Stands in for libFuzzer where the compiler has none: plays the files that it
 * is given, or the target's corpus, each once. A file that fails ends it.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_BYTES_MAX (1 << 20)

static int play_file(const char *path)
{
	uint8_t *data = malloc(INPUT_BYTES_MAX), *copy;
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file || !data) {
		perror(path);
		exit(1);
	}
	size = fread(data, 1, INPUT_BYTES_MAX, file);
	fclose(file);
	/* Of the right size, for the sanitizer to see what is read beyond. */
	copy = malloc(size ? size : 1);
	if (!copy)
		abort();
	memcpy(copy, data, size);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	free(data);
	return 1;
}

static int play_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char file[PATH_MAX + NAME_MAX + 2];
	int played = 0;

	if (!directory) {
		perror(path);
		exit(1);
	}
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		played += play_file(file);
	}
	closedir(directory);
	return played;
}

/* tests/fuzz/fuzz_NAME has its corpus in tests/fuzz/corpus/NAME. */
static int play_corpus(const char *program)
{
	const char *top = getenv("top_srcdir"), *name = strrchr(program, '_');
	char path[PATH_MAX];

	if (!name) {
		fprintf(stderr, "%s: give files to play\n", program);
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top ? top : ".", name + 1);
	return play_directory(path);
}

int main(int argc, char **argv)
{
	int played = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		played += play_file(argv[i]);
	if (argc == 1)
		played = play_corpus(argv[0]);
	printf("%d inputs played\n", played);
	return played ? 0 : 1;
}
