// SPDX-License-Identifier: MIT
/*
 * Holds what is on a disk after a crash to what guest/tests/diskwriter.c was told before it.
 *
 *	crashcheck killed IMAGE SECTORS FLUSHED
 *		after the end of ringvm alone: every write that had ended is there, and those below
 *		FLUSHED, which is the last that the guest reported.
 *	crashcheck cut LOG SECTORS flushed|ended
 *		after a cut of the host's power at any moment of faultfs's LOG. What had ended when a
 *		sync began that has ended is on the disk; of each later write any sector or none. So each
 *		sector may have one of several contents, and every one of them has to do: all the disks
 *		that can be left are looked at without making one.
 *
 * What the guest had been told by a moment is in the records that it had begun to write by then.
 * Prints one line of what was looked at; exit status 1 and a line each for violations, 2 for no
 * evidence at all.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/hostfaults/diskrecord.h"

#define SECTORS_MAX  4096
#define VERSIONS_MAX 64	 /* of a sector, not synced */
#define SYNCS_MAX    64	 /* in flight */
#define REPORTS_MAX  10
#define TORN	     UINT64_MAX

/* A write of a sector: what it would leave there. Sequence 0: never written. */
struct version {
	uint64_t sequence, id;
	bool ended;
	uint64_t ended_at; /* entry of the log */
};

struct sector {
	uint64_t stable; /* sequence on the disk for sure, unless a later one is */
	struct version versions[VERSIONS_MAX];
	unsigned count;
};

static uint32_t sector_count;
static unsigned violations;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

static void violation(const char *what, uint32_t sector, uint64_t is, uint64_t needed, uint64_t at)
{
	if (violations++ < REPORTS_MAX)
		printf("sector %u: %s: write %llu, needs %llu or later (at %llu)\n", sector, what,
		       (unsigned long long)is, (unsigned long long)needed, (unsigned long long)at);
}

/* What a sector holds: a sequence number, 0 if all is zero, TORN if it is no one write's. */
static uint64_t parse(const void *data, uint32_t sector, struct diskrecord *record)
{
	static const struct diskrecord zero;
	const struct diskrecord *copies = data;

	*record = copies[0];
	for (unsigned i = 1; i < DISKRECORD_COPIES; i++)
		if (memcmp(&copies[i], record, sizeof(*record)))
			return TORN;
	if (!memcmp(record, &zero, sizeof(zero)))
		return 0;
	if (record->check != diskrecord_check(record) || record->sector != sector ||
	    diskrecord_sector(record->sequence, sector_count) != sector)
		return TORN;
	return record->sequence;
}

/* The last write below `below` that went to each sector; 0 for none. */
static void find_needed(uint64_t *needed, uint64_t below)
{
	uint64_t first = below > sector_count ? below - sector_count : 1;

	memset(needed, 0, sector_count * sizeof(*needed));
	for (uint64_t sequence = first; sequence < below; sequence++)
		needed[diskrecord_sector(sequence, sector_count)] = sequence;
}

/* ---- After a kill ---- */

/* The ring of a killed process lets go of its files a little later, and of their locks then. */
static int open_let_go(const char *path)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fcntl(fd, F_OFD_SETLKW, &lock))
		die(path);
	return fd;
}

static int check_killed(const char *path, uint64_t flushed)
{
	static char data[SECTORS_MAX * DISKRECORD_SECTOR] __attribute__((aligned(8)));
	static uint64_t found[SECTORS_MAX], needed[SECTORS_MAX];
	ssize_t bytes = (ssize_t)sector_count * DISKRECORD_SECTOR;
	uint64_t below = flushed, last = 0;
	int fd = open_let_go(path);

	if (pread(fd, data, (size_t)bytes, 0) != bytes)
		die(path);
	for (uint32_t i = 0; i < sector_count; i++) {
		struct diskrecord record;

		found[i] = parse(data + i * DISKRECORD_SECTOR, i, &record);
		if (found[i] == TORN || !found[i])
			continue;
		below = record.ended > below ? record.ended : below;
		last = found[i] > last ? found[i] : last;
	}
	find_needed(needed, below);
	for (uint32_t i = 0; i < sector_count; i++)
		if (found[i] == TORN)
			violation("torn", i, 0, needed[i], below);
		else if (found[i] < needed[i])
			violation("lost", i, found[i], needed[i], below);
	printf("writes %llu ended %llu flushed %llu violations %u\n", (unsigned long long)last,
	       (unsigned long long)(below ? below - 1 : 0),
	       (unsigned long long)(flushed ? flushed - 1 : 0), violations);
	return violations ? 1 : last ? 0 : 2;
}

/* ---- After a power cut ---- */

static struct sector sectors[SECTORS_MAX];
static struct {
	uint64_t id, begun_at;
} syncs[SYNCS_MAX];

static void write_begin(const struct disklog_entry *entry, const char *data, bool by_end,
			uint64_t *told)
{
	for (uint32_t i = 0; i < entry->bytes / DISKRECORD_SECTOR; i++) {
		uint32_t index = (uint32_t)(entry->offset / DISKRECORD_SECTOR) + i;
		struct sector *sector = &sectors[index];
		struct diskrecord record;
		uint64_t sequence;

		if (index >= sector_count || sector->count == VERSIONS_MAX) {
			fprintf(stderr, "crashcheck: sector %u: out of bounds\n", index);
			exit(3);
		}
		sequence = parse(data + i * DISKRECORD_SECTOR, index, &record);
		if (sequence == TORN)
			violation("torn as it was written", index, 0, 0, *told);
		else if (*told < (by_end ? record.ended : record.flushed))
			*told = by_end ? record.ended : record.flushed;
		sector->versions[sector->count++] = (struct version){ sequence, entry->id, false, 0 };
	}
}

static void write_end(const struct disklog_entry *entry, uint64_t at)
{
	for (uint32_t i = 0; i < sector_count; i++)
		for (unsigned j = 0; j < sectors[i].count; j++)
			if (sectors[i].versions[j].id == entry->id) {
				sectors[i].versions[j].ended = true;
				sectors[i].versions[j].ended_at = at;
			}
}

static void sync_begin(const struct disklog_entry *entry, uint64_t at)
{
	for (unsigned i = 0; i < SYNCS_MAX; i++) {
		if (syncs[i].id)
			continue;
		syncs[i].id = entry->id;
		syncs[i].begun_at = at;
		return;
	}
	fprintf(stderr, "crashcheck: too many syncs\n");
	exit(3);
}

static uint64_t sync_take(uint64_t id)
{
	for (unsigned i = 0; i < SYNCS_MAX; i++)
		if (syncs[i].id == id) {
			syncs[i].id = 0;
			return syncs[i].begun_at;
		}
	fprintf(stderr, "crashcheck: a sync ends that did not begin\n");
	exit(3);
}

/*
 * What had ended before `begun_at`, or is of the write `id`, can't be undone any more, nor can
 * what it overwrote come back.
 */
static void make_stable(uint64_t begun_at, uint64_t id)
{
	for (uint32_t i = 0; i < sector_count; i++) {
		struct sector *sector = &sectors[i];
		unsigned kept = 0;

		for (unsigned j = 0; j < sector->count; j++) {
			const struct version *version = &sector->versions[j];

			if (version->id != id && (!version->ended || version->ended_at >= begun_at))
				continue;
			sector->stable = version->sequence;
			kept = j + 1;
		}
		memmove(sector->versions, sector->versions + kept,
			(sector->count - kept) * sizeof(*sector->versions));
		sector->count -= kept;
	}
}

/* The oldest content that a sector may have is the one to fear. */
static void check_all(uint64_t told, uint64_t at)
{
	static uint64_t needed[SECTORS_MAX];

	find_needed(needed, told);
	for (uint32_t i = 0; i < sector_count; i++) {
		uint64_t worst = sectors[i].stable;

		for (unsigned j = 0; j < sectors[i].count; j++)
			if (sectors[i].versions[j].sequence < worst)
				worst = sectors[i].versions[j].sequence;
		if (worst < needed[i])
			violation("lost by a power cut", i, worst, needed[i], at);
	}
}

static int check_cut(const char *path, bool by_end)
{
	static char data[SECTORS_MAX * DISKRECORD_SECTOR] __attribute__((aligned(8)));
	uint64_t at = 0, told = 0, writes = 0, syncs_ended = 0;
	struct disklog_entry entry;
	FILE *log = fopen(path, "r");

	if (!log)
		die(path);
	while (fread(&entry, sizeof(entry), 1, log) == 1) {
		at++;
		switch (entry.type) {
		case DISKLOG_WRITE_BEGIN:
			if (entry.bytes > sizeof(data) || fread(data, 1, entry.bytes, log) != entry.bytes)
				goto end; /* the log's end was cut as well */
			write_begin(&entry, data, by_end, &told);
			writes++;
			break;
		case DISKLOG_WRITE_END:
			write_end(&entry, at);
			break;
		case DISKLOG_WRITE_STABLE:
			make_stable(0, entry.id);
			break;
		case DISKLOG_SYNC_BEGIN:
			sync_begin(&entry, at);
			break;
		case DISKLOG_SYNC_END:
			make_stable(sync_take(entry.id), 0);
			syncs_ended++;
			break;
		}
		check_all(told, at);
	}
end:
	printf("cuts %llu writes %llu syncs %llu told %llu violations %u\n", (unsigned long long)at,
	       (unsigned long long)writes, (unsigned long long)syncs_ended,
	       (unsigned long long)(told ? told - 1 : 0), violations);
	return violations ? 1 : told > 1 ? 0 : 2;
}

int main(int argc, char **argv)
{
	sector_count = argc > 3 ? (uint32_t)atoi(argv[3]) : 0;
	if (argc != 5 || !sector_count || sector_count > SECTORS_MAX) {
		fprintf(stderr, "usage: crashcheck killed IMAGE SECTORS FLUSHED\n"
				"       crashcheck cut LOG SECTORS flushed|ended\n");
		return 3;
	}
	if (!strcmp(argv[1], "killed"))
		return check_killed(argv[2], strtoull(argv[4], NULL, 10));
	return check_cut(argv[2], !strcmp(argv[4], "ended"));
}
