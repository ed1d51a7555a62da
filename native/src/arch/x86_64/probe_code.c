/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "arch/arch.h"
#include "entry_state.h"
#include "error.h"
#include "layout.h"

#define PROBE_TURNS 8000u

static const uint8_t probe_code[] = {
	0xb9, 0,    0, 0, 0, /* start: mov ecx, PROBE_TURNS */
	0xff, 0xc9,          /* turn:  dec ecx */
	0x75, 0xfc,          /*        jnz turn */
	0xe6, 0x80,          /*        out 0x80, al */
	0xeb, 0xf3,          /*        jmp start */
};

enum { PROBE_TURNS_OFFSET = 1 };

enum capsa_status arch_probe_load(const struct memory *memory,
				  struct arch_entry *entry,
				  uint64_t *instructions,
				  struct capsa_error *error)
{
	const uint32_t turns = PROBE_TURNS;
	uint8_t code[sizeof(probe_code)];

	memcpy(code, probe_code, sizeof(code));
	memcpy(code + PROBE_TURNS_OFFSET, &turns, sizeof(turns));
	*entry = (struct arch_entry) {
		.protocol = ARCH_PROTOCOL_LINUX64,
		.address = X86_KERNEL_ADDRESS,
	};
	*instructions = 2ull * PROBE_TURNS;
	if (memory_write(memory, entry->address, code, sizeof(code)) < 0 ||
	    entry_state_write(memory, entry->protocol) < 0)
		return error_set(error, CAPSA_STATUS_MEMORY_INVALID, 0, "probe",
				 "memory", NULL, "the code does not fit");
	return CAPSA_STATUS_OK;
}
