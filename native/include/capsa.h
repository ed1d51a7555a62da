/* SPDX-License-Identifier: MIT */
/*
 * capsa.h: the whole C ABI of capsa's virtual machine monitor.
 *
 * Rules of the boundary
 *  - No call blocks: creating, loading, starting and releasing a machine run
 *    on the library's own threads, and their completion is an event.
 *  - Native threads never call back. One descriptor (capsa_wake_fd) becomes
 *    readable when some machine has something to say; capsa_drain() takes it.
 *  - Nothing of the caller is kept: every buffer is read or written before
 *    the call returns.
 *  - Machines are named by numbers, never by pointers. A number that is not,
 *    or no longer, a machine's is answered with CAPSA_STATUS_STALE_HANDLE.
 *  - The library never ends the process, installs no signal handler, prints
 *    nothing and keeps no state outside a struct capsa.
 *
 * Threads: every function may be called from any thread, but one struct capsa
 * must not be closed while another call on it is running.
 */
#ifndef CAPSA_H
#define CAPSA_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define CAPSA_EXPORT __attribute__((visibility("default")))
#else
#define CAPSA_EXPORT
#endif

/* Raised by every change of a struct, a value or a function below. */
#define CAPSA_ABI_VERSION 4u

/* Machines one library instance holds at a time, running or not released. */
#define CAPSA_MACHINES_MAX 4096u
/* vCPUs of one machine. */
#define CAPSA_CPUS_MAX 64u
/* Disks, and shared folders, of one machine. */
#define CAPSA_DISKS_MAX  8u
#define CAPSA_SHARES_MAX 8u
/* Disks, shares and balloon of one machine together. */
#define CAPSA_DEVICES_MAX 14u
/* Events handed out by one capsa_drain() call. */
#define CAPSA_DRAIN_EVENTS_MAX 4u

/*
 * How a call, or a machine, can fail. The value is stable; the name in
 * lower case is what the TypeScript side calls it.
 */
#define CAPSA_STATUS_MAP(X)                                                    \
	X(OK, 0, "done")                                                       \
	X(INVALID_ARGUMENT, 1, "an argument is outside its range")             \
	X(STALE_HANDLE, 2, "no machine has this number any more")              \
	X(STATE, 3, "not possible in the machine's present state")             \
	X(LIMIT, 4, "a limit of the library is reached")                       \
	X(NO_MEMORY, 5, "the host gave no memory")                             \
	X(DEVICE_MISSING, 6, "the hypervisor device does not exist")           \
	X(DEVICE_DENIED, 7, "no permission for the hypervisor device")         \
	X(DEVICE_UNUSABLE, 8, "the hypervisor lacks what is needed")           \
	X(EMULATED, 9, "the hypervisor interprets guest kernel code")          \
	X(KERNEL_FILE, 10, "the kernel file could not be read")                \
	X(KERNEL_INVALID, 11, "the kernel file is not a bootable kernel")      \
	X(INITRD_FILE, 12, "the initrd file could not be read")                \
	X(INITRD_INVALID, 13, "the initrd does not fit")                       \
	X(CMDLINE_INVALID, 14, "the kernel command line does not fit")         \
	X(MEMORY_INVALID, 15, "the machine's memory size is not usable")       \
	X(HOST, 16, "a system call failed")                                    \
	X(GUEST_FAULT, 17, "the hypervisor could not go on with the guest")    \
	X(DISK_FILE, 18, "a disk's image could not be opened")                 \
	X(SHARE_FOLDER, 19, "a shared folder could not be opened")

enum capsa_status {
#define CAPSA_STATUS_VALUE(name, value, text) CAPSA_STATUS_##name = value,
	CAPSA_STATUS_MAP(CAPSA_STATUS_VALUE)
#undef CAPSA_STATUS_VALUE
};

/*
 * What went wrong, in fields. Texts are NUL-terminated UTF-8, empty where
 * they do not apply, cut where they do not fit.
 */
struct capsa_error {
	uint32_t size;        /* sizeof(struct capsa_error) */
	uint32_t status;      /* enum capsa_status */
	int32_t system_errno; /* errno of the host, 0 if none */
	uint32_t reserved;
	char operation[48]; /* "open", "KVM_CREATE_VM" */
	char subject[256];  /* the path, device or argument at fault */
	char field[64];     /* the field of it: "setup_header.version" */
	char message[128];  /* one sentence */
};

/* A range of bytes in the buffer that holds the struct, from its start. */
struct capsa_slice {
	uint32_t offset;
	uint32_t length; /* 0: absent */
};

/* How the guest learns of its devices and processors. */
enum capsa_discovery {
	CAPSA_DISCOVERY_FIRMWARE = 1, /* ACPI tables or device tree */
	CAPSA_DISCOVERY_CMDLINE = 2,  /* x86: virtio_mmio.device=, MP table */
};

/* The device that host input goes to. Output of both is one stream. */
enum capsa_console {
	CAPSA_CONSOLE_SERIAL = 1, /* 16550 UART: ttyS0 */
	CAPSA_CONSOLE_VIRTIO = 2, /* virtio-console port 0: hvc0 */
};

enum capsa_disk_flags {
	CAPSA_DISK_READ_ONLY = 1,    /* the image is opened for reading only */
	CAPSA_DISK_BLOCK_DEVICE = 2, /* path is a block device, not a file */
};

/* A disk: a raw image, which virtio-blk shows to the guest. */
struct capsa_disk {
	uint32_t size;  /* sizeof(struct capsa_disk) */
	uint32_t flags; /* enum capsa_disk_flags */
	struct capsa_slice path;
	struct capsa_slice serial; /* at most 20 bytes, may be absent */
	/*
	 * A folder of the host for what the guest writes, in a file without
	 * a name that goes with the machine; the image stays as it is. Absent:
	 * writes go to the image.
	 */
	struct capsa_slice overlay;
};

enum capsa_share_flags {
	CAPSA_SHARE_READ_ONLY = 1, /* every change is refused */
	CAPSA_SHARE_OWNER = 2,     /* all files seem to belong to owner */
};

/* How long the guest may trust what it knows of a share. */
enum capsa_share_cache {
	CAPSA_SHARE_CACHE_NONE = 1,   /* it asks every time */
	CAPSA_SHARE_CACHE_AUTO = 2,   /* a second; files anew at each open */
	CAPSA_SHARE_CACHE_ALWAYS = 3, /* nobody else changes the folder */
};

/* A folder of the host, which virtio-fs shows to the guest. */
struct capsa_share {
	uint32_t size;  /* sizeof(struct capsa_share) */
	uint32_t flags; /* enum capsa_share_flags */
	uint32_t cache; /* enum capsa_share_cache */
	uint32_t owner; /* the user and group of all files, with SHARE_OWNER */
	struct capsa_slice path;
	struct capsa_slice tag; /* 1 to 36 bytes */
};

enum capsa_machine_flags {
	CAPSA_MACHINE_BALLOON = 1, /* the guest gives unused memory back */
};

/*
 * A machine to start. The struct is the head of one buffer of total bytes;
 * slices point into the bytes behind it. Texts need no terminating NUL and
 * must not contain one.
 */
struct capsa_machine_config {
	uint32_t size;          /* sizeof(struct capsa_machine_config) */
	uint32_t total;         /* bytes in the buffer, this struct included */
	uint64_t memory_bytes;  /* a multiple of 1 MiB */
	uint32_t cpus;          /* 1 to CAPSA_CPUS_MAX */
	uint32_t discovery;     /* enum capsa_discovery */
	uint32_t console;       /* enum capsa_console */
	uint32_t console_bytes; /* output kept for the host: 4 KiB to 16 MiB */
	struct capsa_slice kernel;  /* path: bzImage, vmlinux; arm64: Image */
	struct capsa_slice initrd;  /* path, may be absent */
	struct capsa_slice cmdline; /* kernel command line, may be absent */
	struct capsa_slice disks;   /* array of struct capsa_disk */
	struct capsa_slice shares;  /* array of struct capsa_share */
	uint32_t flags;             /* enum capsa_machine_flags */
	uint32_t reserved;          /* 0 */
};

enum capsa_event_kind {
	CAPSA_EVENT_STAGE = 1,  /* code: enum capsa_stage */
	CAPSA_EVENT_PAUSED = 2, /* no vCPU runs any more */
	CAPSA_EVENT_RESUMED = 3,
	CAPSA_EVENT_WRITABLE = 4, /* console input has room again */
	CAPSA_EVENT_EXIT = 5,     /* code: enum capsa_exit; once a machine */
	CAPSA_EVENT_PROBED = 6,   /* code: enum capsa_verdict; error filled */
	CAPSA_EVENT_RELEASED = 7, /* the last event: the number is free */
};

enum capsa_stage {
	CAPSA_STAGE_CREATED = 1, /* virtual machine, memory and vCPUs exist */
	CAPSA_STAGE_LOADED = 2,  /* kernel, initrd and tables are in memory */
	CAPSA_STAGE_STARTED = 3, /* the first vCPU enters the guest */
};

enum capsa_exit {
	CAPSA_EXIT_POWER_OFF = 1,
	CAPSA_EXIT_RESET = 2,        /* asked for through ACPI, i8042 or PSCI */
	CAPSA_EXIT_TRIPLE_FAULT = 3, /* also how some kernels reboot */
	CAPSA_EXIT_PANIC = 4,        /* told by the pvpanic device */
	CAPSA_EXIT_KILLED = 5,       /* capsa_kill() or capsa_release() */
	CAPSA_EXIT_FAILED = 6,       /* error says why; it may never have run */
};

enum capsa_verdict {
	CAPSA_VERDICT_HARDWARE = 1,
	CAPSA_VERDICT_EMULATED = 2, /* guest kernel code is interpreted */
	CAPSA_VERDICT_UNUSABLE = 3, /* error says why */
};

struct capsa_event {
	uint32_t size; /* sizeof(struct capsa_event) */
	uint32_t kind; /* enum capsa_event_kind */
	uint32_t code; /* by kind */
	uint32_t gic;  /* PROBED on arm64: version of a guest's GIC, else 0 */
	uint64_t time_ns; /* since capsa_launch() or capsa_probe() */
	uint64_t value;   /* PROBED: picoseconds a guest kernel instruction */
	struct capsa_error error;
};

/* What one capsa_drain() call took. */
struct capsa_drained {
	uint32_t size;          /* sizeof(struct capsa_drained) */
	uint32_t machine;       /* whose; 0: nobody had anything */
	uint32_t event_count;   /* filled entries of events */
	uint32_t console_bytes; /* bytes put into the caller's buffer */
	uint64_t console_lost;  /* bytes of output overwritten before them */
	struct capsa_event events[CAPSA_DRAIN_EVENTS_MAX];
};

struct capsa_stats {
	uint32_t size; /* sizeof(struct capsa_stats) */
	uint32_t cpus;
	uint64_t exits;          /* returns of KVM_RUN, all vCPUs */
	uint64_t memory_bytes;   /* given to the guest */
	uint64_t resident_bytes; /* of those, backed by the host now */
	uint64_t console_output; /* bytes the guest wrote */
	uint64_t console_input;  /* bytes the guest took */
	uint64_t console_lost;   /* output nobody took in time */
	uint64_t disk_read;      /* bytes, all disks */
	uint64_t disk_written;   /* bytes, all disks */
	uint64_t share_requests; /* served, all shares */
	/* Of a machine with CAPSA_MACHINE_BALLOON, in bytes */
	uint64_t balloon_held;     /* taken out of the guest's hands */
	uint64_t balloon_reported; /* unused memory given back, in total */
	uint64_t guest_total;      /* as the guest counts; 0: not told yet */
	uint64_t guest_free;
	uint64_t guest_available;
};

struct capsa; /* an instance of the library */

/* The CAPSA_ABI_VERSION the library was built with. Never fails. */
CAPSA_EXPORT uint32_t capsa_abi_version(void);

/*
 * Describes the structs above as the library sees them, so that a caller can
 * compare its own picture: lines of "struct.field offset size\n" and
 * "struct size\n". Writes up to capacity bytes, without a terminating NUL, and
 * returns how many the whole text has.
 */
CAPSA_EXPORT uint32_t capsa_layout(char *text, uint32_t capacity);

/*
 * Reads the counter of this processor that software takes for its clock (the
 * time-stamp counter on x86_64, the virtual counter on arm64) together with
 * the time in nanoseconds (CLOCK_MONOTONIC_RAW). Two readings tell how fast it
 * counts, which an emulator that shows it to its guest does not say. Never
 * blocks. Status: OK, INVALID_ARGUMENT.
 */
CAPSA_EXPORT uint32_t capsa_read_ticks(uint64_t *ticks, uint64_t *time_ns);

/*
 * Opens an instance: its threads, its wake descriptor, room for machines.
 * Touches no hypervisor. *out is set on CAPSA_STATUS_OK only and owned by the
 * caller until capsa_close().
 * Status: OK, NO_MEMORY, HOST (error filled, may be NULL).
 */
CAPSA_EXPORT uint32_t capsa_open(struct capsa **out, struct capsa_error *error);

/*
 * Closes an instance. Every machine must have been released before
 * (CAPSA_EVENT_RELEASED drained): otherwise nothing happens and STATE is
 * returned. Joins threads that are idle by then; the pointer and the wake
 * descriptor are invalid afterwards.
 */
CAPSA_EXPORT uint32_t capsa_close(struct capsa *capsa);

/*
 * The descriptor that is readable while machines have events or output to
 * drain. It is an eventfd on Linux, a pipe elsewhere: what is read from it
 * carries no meaning. Owned by the library; read it, do not close it.
 */
CAPSA_EXPORT int32_t capsa_wake_fd(const struct capsa *capsa);

/*
 * Starts a probe: creates a small virtual machine, runs guest kernel code in
 * it for some milliseconds and tells hardware virtualisation from emulation.
 * *machine names it; the answer is CAPSA_EVENT_PROBED, after which it must be
 * released like any machine.
 * Status: OK, LIMIT, NO_MEMORY.
 */
CAPSA_EXPORT uint32_t capsa_probe(struct capsa *capsa, uint32_t *machine,
				  struct capsa_error *error);

/*
 * Creates, loads and starts a machine. Returns as soon as the description is
 * copied and checked for form; the stages and the end arrive as events. What
 * fails later (files, host, guest) is CAPSA_EVENT_EXIT with
 * CAPSA_EXIT_FAILED. *machine is set on CAPSA_STATUS_OK only.
 * Status: OK, INVALID_ARGUMENT (error.field names the field), LIMIT,
 * NO_MEMORY.
 */
CAPSA_EXPORT uint32_t capsa_launch(struct capsa *capsa,
				   const struct capsa_machine_config *config,
				   uint32_t *machine,
				   struct capsa_error *error);

/*
 * Presses the machine's power button. What the guest does with it is its own
 * affair. Status: OK, STALE_HANDLE, STATE (not running).
 */
CAPSA_EXPORT uint32_t capsa_power_button(struct capsa *capsa, uint32_t machine);

/*
 * Stops all vCPUs until capsa_resume(); PAUSED or RESUMED tells when done.
 * Status: OK, STALE_HANDLE, STATE.
 */
CAPSA_EXPORT uint32_t capsa_pause(struct capsa *capsa, uint32_t machine);
CAPSA_EXPORT uint32_t capsa_resume(struct capsa *capsa, uint32_t machine);

/*
 * Ends the machine whatever it is doing; CAPSA_EVENT_EXIT follows unless it
 * has come already. Status: OK (also when it has ended), STALE_HANDLE.
 */
CAPSA_EXPORT uint32_t capsa_kill(struct capsa *capsa, uint32_t machine);

/*
 * Gives the machine up: kills it if needed and frees all that it holds, on
 * the library's threads. CAPSA_EVENT_RELEASED is its last word, after the exit
 * and all output. Status: OK (also when asked before), STALE_HANDLE.
 */
CAPSA_EXPORT uint32_t capsa_release(struct capsa *capsa, uint32_t machine);

/*
 * Takes what one machine has: up to CAPSA_DRAIN_EVENTS_MAX events and up to
 * capacity bytes of console output. Machines take turns, so calling it until
 * drained.machine is 0 serves all of them fairly. Never blocks.
 * Status: OK, INVALID_ARGUMENT.
 */
CAPSA_EXPORT uint32_t capsa_drain(struct capsa *capsa,
				  struct capsa_drained *drained,
				  uint8_t *output, uint32_t capacity);

/*
 * Offers input to the machine's console. *accepted bytes were copied, less
 * than length when its buffer is full: then CAPSA_EVENT_WRITABLE tells when
 * to offer the rest. Status: OK, STALE_HANDLE, STATE (not running).
 */
CAPSA_EXPORT uint32_t capsa_console_write(struct capsa *capsa, uint32_t machine,
					  const uint8_t *input, uint32_t length,
					  uint32_t *accepted);

/* Counters of a machine. Status: OK, STALE_HANDLE, INVALID_ARGUMENT. */
CAPSA_EXPORT uint32_t capsa_stats(struct capsa *capsa, uint32_t machine,
				  struct capsa_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
