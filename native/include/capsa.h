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
 *    Probes and services have numbers, too.
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
#define CAPSA_ABI_VERSION 5u

/* Machines one library instance holds at a time, running or not released. */
#define CAPSA_MACHINES_MAX 4096u
/* vCPUs of one machine. */
#define CAPSA_CPUS_MAX 64u
/* Disks, and shared folders, of one machine. */
#define CAPSA_DISKS_MAX  8u
#define CAPSA_SHARES_MAX 8u
/* Disks, shares, balloon, network and vsock device of one machine together. */
#define CAPSA_DEVICES_MAX 14u
/* Bytes of a vsock socket's path: sun_path has to hold "_<port>" too. */
#define CAPSA_VSOCK_PATH_MAX 96u
/* Forwarded ports of one machine, and servers it may ask for names. */
#define CAPSA_FORWARDS_MAX    64u
#define CAPSA_DNS_SERVERS_MAX 8u
/* Networks one library instance holds at a time, and machines on one. */
#define CAPSA_NETWORKS_MAX      64u
#define CAPSA_NETWORK_PORTS_MAX 250u
/* Rules of one network policy. */
#define CAPSA_RULES_MAX 1024u
/* Bytes of a domain's name as people write it (RFC 1035, 2.3.4). */
#define CAPSA_DOMAIN_MAX 253u
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
	X(SHARE_FOLDER, 19, "a shared folder could not be opened")             \
	X(NETWORK_MISSING, 20,                                                 \
	  "the library for user-mode networks is not there")                   \
	X(PORT, 21, "a port of the host could not be listened on")             \
	X(TAP, 22, "a TAP device could not be used")                           \
	X(ADDRESS, 23, "an address on a network is not free")

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

enum capsa_address_family {
	CAPSA_ADDRESS_IPV4 = 4,
	CAPSA_ADDRESS_IPV6 = 6,
};

/* In network order; of IPv4 in the first four bytes, the others are 0. */
struct capsa_address {
	uint32_t family; /* enum capsa_address_family; 0: none */
	uint8_t bytes[16];
};

enum capsa_protocol {
	CAPSA_PROTOCOL_TCP = 1,
	CAPSA_PROTOCOL_UDP = 2,
	CAPSA_PROTOCOL_ICMP = 3, /* echo, of ICMPv6 too */
};

enum capsa_action {
	CAPSA_ACTION_ALLOW = 1,
	CAPSA_ACTION_DENY = 2,
	CAPSA_ACTION_LOG = 3, /* of a rule: note it and go on */
};

/* A rule of a network policy; all its conditions have to hold. */
struct capsa_rule {
	uint32_t size;       /* sizeof(struct capsa_rule) */
	uint32_t action;     /* enum capsa_action */
	uint32_t protocol;   /* enum capsa_protocol; 0: any */
	uint16_t port_first; /* of the other side; both 0: any */
	uint16_t port_last;
	struct capsa_address address; /* family 0: any */
	uint32_t prefix; /* leading bits of the address that count */
	/* "example.org", or "*.example.org": all below it; absent: any. */
	struct capsa_slice domain;
};

enum capsa_policy_flags {
	CAPSA_POLICY_OPEN = 1,    /* closed ranges are like any other */
	CAPSA_POLICY_RECHECK = 2, /* connections are judged again, too */
};

/*
 * What a machine may reach. The struct is the head of one buffer of total
 * bytes, like struct capsa_machine_config.
 */
struct capsa_policy {
	uint32_t size;            /* sizeof(struct capsa_policy) */
	uint32_t total;           /* bytes in the buffer */
	uint32_t flags;           /* enum capsa_policy_flags */
	uint32_t default_action;  /* ALLOW or DENY, where no rule decides */
	struct capsa_slice rules; /* array of struct capsa_rule, in order */
};

/* A port of the host that leads to one of the guest. */
struct capsa_forward {
	uint32_t size;      /* sizeof(struct capsa_forward) */
	uint32_t protocol;  /* CAPSA_PROTOCOL_TCP or UDP */
	uint16_t host_port; /* neither is 0 */
	uint16_t guest_port;
	/* The host's that listens; "0.0.0.0" and "::" are all of them. */
	struct capsa_slice address;
};

/* What carries a machine's frames. */
enum capsa_network_mode {
	CAPSA_NETWORK_USER = 1, /* address translation, of the machine's own */
	CAPSA_NETWORK_TAP = 2,  /* a TAP device of the host */
	CAPSA_NETWORK_SHARED = 3, /* a network of capsa_network_open() */
};

/*
 * A machine's network device. With USER the guest is 10.0.2.15, the host's
 * network is behind 10.0.2.2, which answers for its DNS at 10.0.2.3; with
 * IPv6 it takes an address in fd00::/64.
 */
struct capsa_nic {
	uint32_t size;    /* sizeof(struct capsa_nic) */
	uint32_t mode;    /* enum capsa_network_mode */
	uint8_t mac[8];   /* the first six: a unicast address */
	uint32_t network; /* SHARED: its number */
	/* SHARED: the machine's IPv4 address; absent: any that is free */
	struct capsa_slice address;
	struct capsa_slice device;   /* TAP: its name */
	struct capsa_slice forwards; /* USER: array of struct capsa_forward */
	/*
	 * USER: IPv4 addresses and domains that the guest is told, with a
	 * space between two. Without servers it is told of the host's.
	 */
	struct capsa_slice dns_servers;
	struct capsa_slice dns_search;
	/*
	 * USER: the buffer of a struct capsa_policy; absent: everything but
	 * closed ranges.
	 */
	struct capsa_slice policy;
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
	struct capsa_slice nics;    /* array of struct capsa_nic, one at most */
	uint32_t flags;             /* enum capsa_machine_flags */
	uint32_t reserved;          /* 0 */
	/*
	 * Path of the Unix socket behind the guest's virtio-vsock device, at
	 * most CAPSA_VSOCK_PATH_MAX bytes; absent: no device. The library
	 * makes it before the first instruction and removes it when the
	 * machine has ended. Who connects to it and writes "CONNECT <port>\n"
	 * is connected to that port of the guest after the answer
	 * "OK <port>\n". A guest that connects to port P of the host reaches
	 * who listens at "<path>_<P>".
	 */
	struct capsa_slice vsock;
};

enum capsa_network_flags {
	/* The machines reach what the host does, by address translation. */
	CAPSA_NETWORK_UPLINK = 1,
};

/*
 * A network of machines of this instance: a switch, a DHCP server, and with
 * UPLINK a way out.
 */
struct capsa_network_config {
	uint32_t size;  /* sizeof(struct capsa_network_config) */
	uint32_t flags; /* enum capsa_network_flags */
	/*
	 * "10.0.3.0/24": IPv4, with 16 to 28 leading bits; NUL-terminated. Its
	 * first address is the gateway's, its second the DNS server's.
	 */
	char subnet[24];
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
	CAPSA_STAGE_STARTED = 3, /* the first vCPU enters the guest, or a
				  * service answers */
};

enum capsa_exit {
	CAPSA_EXIT_POWER_OFF = 1,    /* or all peers of a service hung up */
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
	uint64_t vsock_connections; /* now, those being made included */
	uint64_t vsock_sent;        /* bytes to the guest */
	uint64_t vsock_received;    /* bytes of the guest */
	/* Of a service's network device; 0: none, or the guest's own affair */
	uint64_t network_mtu;
};

/* A connection, or what goes to and fro for an echo. */
struct capsa_flow {
	uint32_t size;     /* sizeof(struct capsa_flow) */
	uint32_t protocol; /* enum capsa_protocol */
	struct capsa_address guest;
	struct capsa_address remote; /* family 0: not known */
	uint16_t guest_port;         /* ICMP: identifier */
	uint16_t remote_port;        /* ICMP: 0 */
};

/* What a decision rests on. */
enum capsa_reason {
	CAPSA_REASON_RULE = 1,    /* the rule named beside it */
	CAPSA_REASON_DEFAULT = 2, /* no rule matched */
	CAPSA_REASON_CLOSED = 3,  /* a closed range that no rule opens */
	CAPSA_REASON_SERVICE = 4, /* DHCP, which always passes */
	/* The rule denies one name of the address and others are allowed. */
	CAPSA_REASON_AMBIGUOUS = 5,
	/* A rule for a domain allows it; QUIC does not show its server. */
	CAPSA_REASON_QUIC = 6,
	CAPSA_REASON_NAME = 7, /* a query for a name that no rule allows */
	/* A rule denies a name; a query over TCP does not show its name. */
	CAPSA_REASON_DNS_TCP = 8,
	CAPSA_REASON_SERVER_NAME = 9,     /* TLS asks for a denied name */
	CAPSA_REASON_NO_SERVER_NAME = 10, /* there is none in clear */
	CAPSA_REASON_NO_CONNECTION = 11,  /* it belongs to no connection */
	CAPSA_REASON_FULL = 12,           /* as many connections as can be */
	CAPSA_REASON_LOG = 13,            /* a rule that only notes */
	CAPSA_REASON_ENDED = 14,          /* new rules ended the connection */
};

/* What stays closed unless a rule opens it. */
enum capsa_closed_range {
	CAPSA_CLOSED_HOST = 1,       /* the host's loopback, the NAT's net */
	CAPSA_CLOSED_LINK_LOCAL = 2, /* and metadata services of clouds */
	CAPSA_CLOSED_PRIVATE = 3,
	CAPSA_CLOSED_SHARED = 4,    /* carriers' NAT */
	CAPSA_CLOSED_MULTICAST = 5, /* and broadcast, and reserved */
};

/* When the server name of TLS must be allowed, too. */
enum capsa_server_name {
	CAPSA_SERVER_NAME_IF_SHOWN = 1, /* if TLS shows one */
	CAPSA_SERVER_NAME_IF_TLS = 2,   /* if it is TLS */
	CAPSA_SERVER_NAME_ALWAYS = 3,   /* what is not TLS is denied */
};

/* What was decided about a flow; a line of the log. */
struct capsa_decision {
	uint32_t size;        /* sizeof(struct capsa_decision) */
	uint32_t action;      /* ALLOW or DENY */
	uint32_t reason;      /* enum capsa_reason */
	int32_t rule;         /* its index, or -1 */
	uint32_t closed;      /* enum capsa_closed_range; 0: none */
	uint32_t server_name; /* enum capsa_server_name; 0: not looked at */
	uint64_t time_ms;     /* of the machine's network */
	uint32_t missed;      /* like it before, left out of the log */
	struct capsa_flow flow;
	char name[256]; /* of the other side, empty if not known */
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
 * (CAPSA_EVENT_RELEASED drained), and every network closed: otherwise nothing
 * happens and STATE is returned. Joins threads that are idle by then; the
 * pointer and the wake descriptor are invalid afterwards.
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
 * Serves devices to a machine of another monitor by vhost-user: the shares of
 * config in their order, its network device, its vsock device. Of config,
 * memory_bytes is what that machine has, and all but it and these is 0. The
 * first who connects to the Unix socket "<path>0" is served the first device,
 * "<path>1" the second, and so on. The library makes these sockets before it
 * returns and removes them when the service is released. path is
 * NUL-terminated, of CAPSA_VSOCK_PATH_MAX bytes at most. *machine is set on
 * CAPSA_STATUS_OK only.
 *
 * The other monitor shows the network device's address and MTU itself: it has
 * to be told the first of config and the second of capsa_stats().
 *
 * CAPSA_STAGE_STARTED tells that every device is there: folders are open,
 * ports are taken. CAPSA_EVENT_EXIT comes once all devices had somebody who
 * has hung up, or after capsa_kill(). It has no power button (STATE) and no
 * console, which takes no byte.
 * Status: as capsa_launch(), HOST.
 */
CAPSA_EXPORT uint32_t capsa_serve(struct capsa *capsa,
				  const struct capsa_machine_config *config,
				  const char *path, uint32_t *machine,
				  struct capsa_error *error);

/*
 * Makes a network for machines to be launched on. policy is for what leaves it
 * by UPLINK; NULL: everything but closed ranges. *network names it until
 * capsa_network_close(). What it needs of the host, it takes with its first
 * machine. Status: OK, INVALID_ARGUMENT (error.field names the field), LIMIT,
 * NO_MEMORY, HOST.
 */
CAPSA_EXPORT uint32_t capsa_network_open(
	struct capsa *capsa, const struct capsa_network_config *config,
	const struct capsa_policy *policy, uint32_t *network,
	struct capsa_error *error);

/*
 * Frees a network, after the machines on it have been released. Status: OK,
 * STALE_HANDLE, STATE (some are not).
 */
CAPSA_EXPORT uint32_t capsa_network_close(struct capsa *capsa,
					  uint32_t network);

/*
 * The policy of a machine with a network of its own, or of the network that it
 * is on, of which the first replaces the rules: those hold from the next frame
 * on. Status: OK, INVALID_ARGUMENT (error names the rule and the field),
 * STALE_HANDLE, STATE (there is no policy, or the machine was released),
 * NO_MEMORY.
 */
CAPSA_EXPORT uint32_t capsa_policy_replace(struct capsa *capsa,
					   uint32_t machine,
					   const struct capsa_policy *policy,
					   struct capsa_error *error);

/*
 * What would be decided about a new flow, and why. name is the other side's,
 * NUL-terminated; NULL: the names that its address has at present. decision has
 * its size set. Status: OK, INVALID_ARGUMENT, STALE_HANDLE, STATE.
 */
CAPSA_EXPORT uint32_t capsa_policy_explain(struct capsa *capsa,
					   uint32_t machine,
					   const struct capsa_flow *flow,
					   const char *name,
					   struct capsa_decision *decision);

/*
 * Takes up to capacity of the oldest lines of the policy's log. Status: OK,
 * INVALID_ARGUMENT, STALE_HANDLE, STATE.
 */
CAPSA_EXPORT uint32_t capsa_policy_log(struct capsa *capsa, uint32_t machine,
				       struct capsa_decision *lines,
				       uint32_t capacity, uint32_t *count);

/*
 * Presses the machine's power button. What the guest does with it is its own
 * affair. Status: OK, STALE_HANDLE, STATE (not running).
 */
CAPSA_EXPORT uint32_t capsa_power_button(struct capsa *capsa, uint32_t machine);

/*
 * Stops all vCPUs until capsa_resume(); PAUSED or RESUMED tells when done.
 *
 * A service is told before the other monitor stops its vCPUs, and before it
 * runs them again: there are no events, and meanwhile the devices keep what
 * they have, which otherwise a monitor that stops them has them reset.
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

/*
 * Counters of a machine. A guest with a balloon is asked, at most once a
 * second, what its next answer says of its memory.
 * Status: OK, STALE_HANDLE, INVALID_ARGUMENT.
 */
CAPSA_EXPORT uint32_t capsa_stats(struct capsa *capsa, uint32_t machine,
				  struct capsa_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
