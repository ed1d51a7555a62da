/* SPDX-License-Identifier: MIT */
#include "arch/arch.h"
#include "error.h"
#include "layout.h"

#define PROBE_TURNS 16000u

/* No device is at address 0, which is what x1 holds at first. */
static const uint32_t probe_code[] = {
	0x52800000 | PROBE_TURNS << 5, /* start: mov w0, PROBE_TURNS */
	0x71000400,                    /* turn:  subs w0, w0, 1 */
	0x54ffffe1,                    /*        b.ne turn */
	0xb900003f,                    /*        str wzr, [x1] */
	0x17fffffc,                    /*        b start */
};

enum capsa_status arch_probe_load(const struct memory *memory,
				  struct arch_entry *entry,
				  uint64_t *instructions,
				  struct capsa_error *error)
{
	*entry = (struct arch_entry) {
		.protocol = ARCH_PROTOCOL_IMAGE,
		.address = ARM64_MEMORY,
	};
	*instructions = 2ull * PROBE_TURNS;
	if (memory_write(memory, entry->address, probe_code,
			 sizeof(probe_code)) < 0)
		return error_set(error, CAPSA_STATUS_MEMORY_INVALID, 0, "probe",
				 "memory", NULL, "the code does not fit");
	return CAPSA_STATUS_OK;
}
