/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Multiboot 1 information and multiboot 2 tags to struct boot_info (specifications 0.6.96 and 2.0). Loaders and
 * firmware are not trusted to be right: every read is bounded, entries overlap, wrap around and contradict each other;
 * what is said to be anything but free RAM once is not RAM.
 *
 * The command line: multiboot 1 wants the image's name first, and QEMU (-kernel) and iPXE do so (iPXE a whole URL);
 * GRUB 2 leaves it out. The rule: unless the loader's name begins with "GRUB ", the first word is dropped when it has
 * a '/' before any '=', or no '=' at all; Socle's own options all have one.
 */
#include "hv/boot/multiboot.h"

#include "hv/abi/hv_abi.h"
#include "hv/boot/ranges.h"
#include "hv/boot/start.h"
#include "hv/lib/string.h"

enum limits {
	STRING_MAX = 2048,  /* of one string in the loader's memory */
	MMAP_MAX = 1 << 18, /* bytes of memory map that are looked at */
	MB2_INFO_MAX = 1 << 22,
};

#define HPA_LIMIT (1ull << 52) /* APM2 5.3: no CPU has more */
#define VGA_START 0xa0000ull
#define BDA_EBDA_SEGMENT 0x40eull /* BIOS data area: segment of the extended one */
#define EBDA_LOWEST 0x80000ull

enum mb1_flags {
	MB1_MEMORY = 1 << 0,
	MB1_CMDLINE = 1 << 2,
	MB1_MODULES = 1 << 3,
	MB1_MMAP = 1 << 6,
	MB1_LOADER_NAME = 1 << 9,
};

struct mb1_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	uint32_t mmap_length, mmap_addr, drives_length, drives_addr, config_table, loader_name;
};
_Static_assert(offsetof(struct mb1_info, mmap_length) == 44 && sizeof(struct mb1_info) == 68,
	       "multiboot 1, 3.3");

struct mb1_module {
	uint32_t start, end, string, reserved;
};

struct mmap_entry { /* after the size field in multiboot 1; as it is in multiboot 2 */
	uint64_t base, length;
	uint32_t type;
} PACKED;
_Static_assert(sizeof(struct mmap_entry) == 20, "multiboot 1, 3.3");

enum { MMAP_AVAILABLE = 1 };

enum mb2_tag_type {
	MB2_END = 0,
	MB2_CMDLINE = 1,
	MB2_LOADER_NAME = 2,
	MB2_MODULE = 3,
	MB2_MEMORY = 4,
	MB2_MMAP = 6,
	MB2_EFI32 = 11,
	MB2_EFI64 = 12,
	MB2_RSDP_OLD = 14,
	MB2_RSDP_NEW = 15,
	MB2_EFI_MMAP = 17,
};

struct mb2_tag {
	uint32_t type, size;
};

enum { RSDP_OLD_SIZE = 20, RSDP_NEW_SIZE = 36 };

/* ---- strings ---- */

/* At most STRING_MAX - 1 bytes up to a NUL; to[] always ends with one. Unreachable bytes end it. */
static size_t read_string(const struct boot_phys *phys, hpa_t from, char to[STRING_MAX])
{
	size_t n = 0;

	while (n < STRING_MAX - 1) {
		const char *c = phys->at(phys->ctx, from + n, 1);

		if (c == NULL || *c == '\0')
			break;
		to[n++] = *c;
	}
	to[n] = '\0';
	return n;
}

static bool is_file_name(const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '/')
			return true;
		if (word[i] == '=')
			return false;
	}
	return true;
}

static void set_cmdline(struct boot_info *out, const char *text, bool names_first)
{
	const char *end;

	while (*text == ' ')
		text++;
	end = strchr_const(text, ' ');
	if (end == NULL)
		end = text + strlen(text);
	if (names_first && is_file_name(text, (size_t)(end - text)))
		text = end;
	while (*text == ' ')
		text++;
	str_copy(out->cmdline, text, sizeof(out->cmdline));
}

static bool names_first(const char *loader)
{
	return strncmp(loader, "GRUB ", 5) != 0;
}

static void add_module(struct boot_info *out, uint32_t start, uint32_t end, const char *string)
{
	size_t len = strlen(string), room = sizeof(out->modules[0].string) - 1;

	if (out->n_modules == BOOT_MODULES_MAX || start >= end) {
		out->modules_dropped++;
		return;
	}
	out->modules[out->n_modules].start = start;
	out->modules[out->n_modules].end = end;
	str_copy(out->modules[out->n_modules].string, len > room ? string + len - room : string,
		 room + 1);
	out->n_modules++;
}

/* ---- memory ---- */

/* One memory map entry in one of two passes: first what is RAM, then what is not. */
static void take_entry(struct boot_info *out, const struct mmap_entry *e, bool available)
{
	uint64_t end;

	if ((e->type == MMAP_AVAILABLE) != available)
		return;
	if (ADD_OVERFLOW(e->base, e->length, &end) || end > HPA_LIMIT)
		end = HPA_LIMIT;
	if (available)
		ranges_add(out->ram, &out->n_ram, e->base, end);
	else
		ranges_remove(out->ram, &out->n_ram, e->base, end);
}

static void take_mb1_mmap(struct boot_info *out, const uint8_t *map, uint32_t length,
			  bool available)
{
	uint32_t at = 0;

	while (length - at >= 4 + sizeof(struct mmap_entry)) {
		struct mmap_entry e;
		uint32_t size;

		memcpy(&size, map + at, sizeof(size));
		memcpy(&e, map + at + 4, sizeof(e));
		if (size < sizeof(e) || size > length - at - 4)
			return;
		take_entry(out, &e, available);
		at += 4 + size;
	}
}

static void take_mb2_mmap(struct boot_info *out, const uint8_t *tag, uint32_t size, bool available)
{
	const uint32_t header = 16;
	uint32_t entry_size, at = header;

	if (size < header)
		return;
	memcpy(&entry_size, tag + 8, sizeof(entry_size));
	if (entry_size < sizeof(struct mmap_entry))
		return;
	while (size - at >= entry_size && at < MMAP_MAX) {
		struct mmap_entry e;

		memcpy(&e, tag + at, sizeof(e));
		take_entry(out, &e, available);
		at += entry_size;
	}
}

/* No memory map: KiB below 1 MiB and above. */
static void take_basic_memory(struct boot_info *out, uint32_t lower_kib, uint32_t upper_kib)
{
	ranges_add(out->ram, &out->n_ram, 0, (uint64_t)MIN(lower_kib, 640u) << 10);
	ranges_add(out->ram, &out->n_ram, BOOT_LOW_END, BOOT_LOW_END + ((uint64_t)upper_kib << 10));
}

/* Page 0 (interrupt vectors, BIOS data), the extended BIOS data area, and 640 KiB to 1 MiB are not ours. */
static void finish_ram(struct boot_info *out, const struct boot_phys *phys)
{
	const uint8_t *p = phys->at(phys->ctx, BDA_EBDA_SEGMENT, 2);
	hpa_t ebda = p == NULL ? 0 : (hpa_t)(p[0] | p[1] << 8) << 4;
	hpa_t low_end = ebda >= EBDA_LOWEST && ebda < VGA_START ? ebda : VGA_START;

	ranges_remove(out->ram, &out->n_ram, 0, PAGE_SIZE);
	ranges_remove(out->ram, &out->n_ram, low_end, BOOT_LOW_END);
	ranges_align(out->ram, &out->n_ram);
}

/* ---- multiboot 1 ---- */

static void take_mb1_memory(const struct mb1_info *mb, const struct boot_phys *phys,
			    struct boot_info *out)
{
	uint32_t length = MIN(mb->mmap_length, (uint32_t)MMAP_MAX);
	const uint8_t *map = NULL;

	if ((mb->flags & MB1_MMAP) != 0)
		map = phys->at(phys->ctx, mb->mmap_addr, length);
	if (map != NULL) {
		take_mb1_mmap(out, map, length, true);
		take_mb1_mmap(out, map, length, false);
	} else if ((mb->flags & MB1_MEMORY) != 0) {
		take_basic_memory(out, mb->mem_lower, mb->mem_upper);
	}
}

static void take_mb1_modules(const struct mb1_info *mb, const struct boot_phys *phys,
			     struct boot_info *out, char *text)
{
	uint32_t count = MIN(mb->mods_count, (uint32_t)BOOT_MODULES_MAX);
	const uint8_t *list; /* struct mb1_module, at any alignment */

	if ((mb->flags & MB1_MODULES) == 0)
		return;
	out->modules_dropped = mb->mods_count - count;
	list = phys->at(phys->ctx, mb->mods_addr, count * sizeof(struct mb1_module));
	if (list == NULL) {
		out->modules_dropped += count;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct mb1_module m;

		memcpy(&m, list + i * sizeof(m), sizeof(m));
		(void)read_string(phys, m.string, text);
		add_module(out, m.start, m.end, m.string == 0 ? "" : text);
	}
}

static int parse_mb1(hpa_t info, const struct boot_phys *phys, struct boot_info *out, char *text)
{
	const void *p = phys->at(phys->ctx, info, sizeof(struct mb1_info));
	struct mb1_info mb;
	bool first = true;

	if (p == NULL)
		return -HVE_INVAL;
	memcpy(&mb, p, sizeof(mb));
	if ((mb.flags & MB1_LOADER_NAME) != 0) {
		(void)read_string(phys, mb.loader_name, text);
		first = names_first(text);
	}
	if ((mb.flags & MB1_CMDLINE) != 0) {
		(void)read_string(phys, mb.cmdline, text);
		set_cmdline(out, text, first);
	}
	take_mb1_modules(&mb, phys, out, text);
	take_mb1_memory(&mb, phys, out);
	return 0;
}

/* ---- multiboot 2 ---- */

struct mb2_iter {
	const uint8_t *info;
	uint32_t at, total;
};

/* The next well-formed tag: NULL at the end. */
static const uint8_t *mb2_next(struct mb2_iter *it, struct mb2_tag *tag)
{
	const uint8_t *p = it->info + it->at;

	if (it->total - it->at < sizeof(*tag))
		return NULL;
	memcpy(tag, p, sizeof(*tag));
	if (tag->type == MB2_END || tag->size < sizeof(*tag) || tag->size > it->total - it->at)
		return NULL;
	it->at = MIN(it->at + ALIGN_UP(tag->size, 8u), it->total);
	return p;
}

static void mb2_rewind(struct mb2_iter *it)
{
	it->at = 8;
}

/* The string that ends the tag, from offset `from`. */
static const char *tag_string(const uint8_t *tag, uint32_t size, uint32_t from,
			      char text[STRING_MAX])
{
	size_t n = size > from ? strnlen((const char *)tag + from, size - from) : 0;

	n = MIN(n, (size_t)STRING_MAX - 1);
	memcpy(text, tag + MIN(from, size), n);
	text[n] = '\0';
	return text;
}

static void take_rsdp(struct boot_info *out, const uint8_t *tag, uint32_t size, unsigned rsdp_size)
{
	if (size < sizeof(struct mb2_tag) + rsdp_size || out->rsdp_len > rsdp_size)
		return;
	memcpy(out->rsdp_copy, tag + sizeof(struct mb2_tag), rsdp_size);
	out->rsdp_len = rsdp_size;
}

static void take_mb2_module(struct boot_info *out, const uint8_t *tag, uint32_t size, char *text)
{
	uint32_t range[2];

	if (size < sizeof(struct mb2_tag) + sizeof(range)) {
		out->modules_dropped++;
		return;
	}
	memcpy(range, tag + sizeof(struct mb2_tag), sizeof(range));
	add_module(out, range[0], range[1], tag_string(tag, size, 16, text));
}

static void take_mb2_tag(struct boot_info *out, const struct mb2_tag *t, const uint8_t *tag,
			 bool first, char *text)
{
	switch (t->type) {
	case MB2_CMDLINE:
		set_cmdline(out, tag_string(tag, t->size, sizeof(*t), text), first);
		break;
	case MB2_MODULE:
		take_mb2_module(out, tag, t->size, text);
		break;
	case MB2_MMAP:
		take_mb2_mmap(out, tag, t->size, true);
		break;
	case MB2_RSDP_OLD:
		take_rsdp(out, tag, t->size, RSDP_OLD_SIZE);
		break;
	case MB2_RSDP_NEW:
		take_rsdp(out, tag, t->size, RSDP_NEW_SIZE);
		break;
	case MB2_EFI32:
	case MB2_EFI64:
	case MB2_EFI_MMAP:
		out->efi = true;
		break;
	default:
		break;
	}
}

/* What needs the other tags first: what is not RAM, or, without a map, the two numbers. */
static void take_mb2_rest(struct boot_info *out, const struct mb2_tag *t, const uint8_t *tag,
			  bool had_map)
{
	uint32_t kib[2];

	if (t->type == MB2_MMAP)
		take_mb2_mmap(out, tag, t->size, false);
	if (t->type != MB2_MEMORY || had_map || t->size < sizeof(*t) + sizeof(kib))
		return;
	memcpy(kib, tag + sizeof(*t), sizeof(kib));
	take_basic_memory(out, kib[0], kib[1]);
}

static int parse_mb2(hpa_t info, const struct boot_phys *phys, struct boot_info *out, char *text)
{
	const void *p = phys->at(phys->ctx, info, sizeof(uint32_t));
	struct mb2_iter it = {.at = 8};
	struct mb2_tag t;
	const uint8_t *tag;
	bool first = true, had_map = false;

	if (p == NULL)
		return -HVE_INVAL;
	memcpy(&it.total, p, sizeof(it.total));
	if (it.total < 8 || it.total > MB2_INFO_MAX)
		return -HVE_INVAL;
	it.info = phys->at(phys->ctx, info, it.total);
	if (it.info == NULL)
		return -HVE_INVAL;
	while ((tag = mb2_next(&it, &t)) != NULL) {
		if (t.type == MB2_LOADER_NAME)
			first = names_first(tag_string(tag, t.size, sizeof(t), text));
		had_map |= t.type == MB2_MMAP;
	}
	for (mb2_rewind(&it); (tag = mb2_next(&it, &t)) != NULL;)
		take_mb2_tag(out, &t, tag, first, text);
	for (mb2_rewind(&it); (tag = mb2_next(&it, &t)) != NULL;)
		take_mb2_rest(out, &t, tag, had_map);
	out->multiboot2 = true;
	return 0;
}

int multiboot_parse(uint32_t magic, hpa_t info, const struct boot_phys *phys, struct boot_info *out)
{
	static char text[STRING_MAX];
	int err = -HVE_INVAL;

	memset(out, 0, sizeof(*out));
	if (magic == MB1_MAGIC)
		err = parse_mb1(info, phys, out, text);
	else if (magic == MB2_MAGIC)
		err = parse_mb2(info, phys, out, text);
	if (err == 0)
		finish_ram(out, phys);
	return err;
}
