/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Stands in for libFuzzer: feeds every file of the named folders to the target. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t size = 0;
	size_t n;

	if (!f)
		return -1;
	for (;;) {
		uint8_t *grown = realloc(data, size + 65536);

		if (!grown)
			break;
		data = grown;
		n = fread(data + size, 1, 65536, f);
		size += n;
		if (n < 65536)
			break;
	}
	fclose(f);
	/* An exact-size copy, so that the sanitizer sees a read past the end. */
	uint8_t *exact = malloc(size ? size : 1);

	if (exact && data) {
		memcpy(exact, data, size);
		LLVMFuzzerTestOneInput(exact, size);
	}
	free(exact);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	size_t count = 0;
	uint8_t none = 0;

	LLVMFuzzerTestOneInput(&none, 0);
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (!dir) {
			fprintf(stderr, "no corpus at %s\n", argv[i]);
			return 1;
		}
		while ((e = readdir(dir))) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			if (replay_file(path) == 0)
				count++;
		}
		closedir(dir);
	}
	printf("replayed %zu seeds\n", count);
	return count ? 0 : 1;
}
