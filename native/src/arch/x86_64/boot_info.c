/* SPDX-License-Identifier: MIT */
#include "boot_info.h"

#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#include "layout.h"
#include "memory_map.h"

enum {
	BOOT_INFO_LOADER = 0xff, /* a loader without a number of its own */
	BOOT_INFO_SEED = 32,
};

/* xen/include/public/arch-x86/hvm/start_info.h, version 1 */
#define PVH_MAGIC 0x336ec578u

struct pvh_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags;
	uint32_t module_count;
	uint64_t modules;
	uint64_t cmdline;
	uint64_t rsdp;
	uint64_t memory_map;
	uint32_t memory_map_count;
	uint32_t reserved;
};

struct pvh_module {
	uint64_t address;
	uint64_t size;
	uint64_t cmdline;
	uint64_t reserved;
};

struct pvh_memory {
	uint64_t address;
	uint64_t size;
	uint32_t type;
	uint32_t reserved;
};

struct pvh_page {
	struct pvh_start_info info;
	struct pvh_module initrd;
	struct pvh_memory map[MEMORY_MAP_MAX];
};

_Static_assert(sizeof(struct pvh_start_info) == 56, "as Xen defines it");
_Static_assert(sizeof(struct pvh_page) <= X86_BOOT_PARAMS - X86_START_INFO,
	       "the page is shared with nothing");

/*
 * Gives the guest's random number generator a start, so that it need not wait
 * for events. Kernels older than 6.0 skip it. Returns its address; 0: none.
 */
static uint64_t boot_info_write_seed(const struct memory *memory)
{
	struct {
		uint64_t next; /* struct setup_data, of a fixed length */
		uint32_t type;
		uint32_t length;
		uint8_t seed[BOOT_INFO_SEED];
	} data = { .type = SETUP_RNG_SEED, .length = BOOT_INFO_SEED };

	if (getrandom(data.seed, sizeof(data.seed), GRND_NONBLOCK) !=
	    sizeof(data.seed))
		return 0;
	if (memory_write(memory, X86_SETUP_DATA, &data, sizeof(data)) < 0)
		return 0;
	return X86_SETUP_DATA;
}

static void boot_info_fill_e820(struct boot_params *params,
				const struct memory_map *map)
{
	for (uint32_t i = 0; i < map->count; i++)
		params->e820_table[i] = (struct boot_e820_entry) {
			.addr = map->entries[i].address,
			.size = map->entries[i].size,
			.type = map->entries[i].type,
		};
	params->e820_entries = (uint8_t)map->count;
}

static int boot_info_write_linux(const struct memory *memory,
				 const struct kernel_image *image,
				 const struct boot_info *info)
{
	struct memory_map map = memory_map_make(memory);
	struct boot_params *params = memory_at(memory, X86_BOOT_PARAMS,
					       sizeof(*params));

	if (!params)
		return -EFAULT;
	params->hdr = image->header;
	params->hdr.type_of_loader = BOOT_INFO_LOADER;
	params->hdr.cmd_line_ptr = X86_CMDLINE_ADDRESS;
	params->hdr.ramdisk_image = (uint32_t)info->initrd;
	params->hdr.ramdisk_size = (uint32_t)info->initrd_size;
	params->hdr.setup_data = boot_info_write_seed(memory);
	params->acpi_rsdp_addr = info->rsdp;
	boot_info_fill_e820(params, &map);
	return 0;
}

static int boot_info_write_pvh(const struct memory *memory,
			       const struct boot_info *info)
{
	struct memory_map map = memory_map_make(memory);
	struct pvh_page *page = memory_at(memory, X86_START_INFO,
					  sizeof(*page));

	if (!page)
		return -EFAULT;
	page->info = (struct pvh_start_info) {
		.magic = PVH_MAGIC,
		.version = 1,
		.cmdline = X86_CMDLINE_ADDRESS,
		.rsdp = info->rsdp,
		.memory_map = X86_START_INFO + offsetof(struct pvh_page, map),
		.memory_map_count = map.count,
	};
	if (info->initrd_size > 0) {
		page->info.module_count = 1;
		page->info.modules = X86_START_INFO +
				     offsetof(struct pvh_page, initrd);
		page->initrd = (struct pvh_module) {
			.address = info->initrd,
			.size = info->initrd_size,
		};
	}
	for (uint32_t i = 0; i < map.count; i++)
		page->map[i] = (struct pvh_memory) {
			.address = map.entries[i].address,
			.size = map.entries[i].size,
			.type = map.entries[i].type,
		};
	return 0;
}

int boot_info_write(const struct memory *memory,
		    const struct kernel_image *image,
		    const struct boot_info *info, uint64_t *address)
{
	if (image->protocol == ARCH_PROTOCOL_PVH) {
		*address = X86_START_INFO;
		return boot_info_write_pvh(memory, info);
	}
	*address = X86_BOOT_PARAMS;
	return boot_info_write_linux(memory, image, info);
}
