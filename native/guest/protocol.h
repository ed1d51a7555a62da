/* SPDX-License-Identifier: MIT */
/* What docs/AGENT-PROTOCOL.md promises, as numbers. */
#ifndef CAPSA_GUEST_PROTOCOL_H
#define CAPSA_GUEST_PROTOCOL_H

#define AGENT_VERSION   "0.1.0"
#define AGENT_PORT      52
#define AGENT_PORT_NAME "capsa.agent"

enum {
	PROTOCOL_LOWEST = 1,
	PROTOCOL_HIGHEST = 1,

	FRAME_BYTES_MAX = 64 * 1024,
	/* With its head it fits in what a virtio port takes at once. */
	DATA_BYTES_MAX = 32 * 1024 - 64,
	/* What a host may send to a process that does not read. */
	INPUT_WINDOW = 128 * 1024,
	/* What a host may ask for; it says how much when it greets. */
	OUTPUT_WINDOW_MAX = 4 * 1024 * 1024,

	CALLS_MAX = 256,
	CONNECTIONS_MAX = 8,
	/* The answer to a call, or why it failed. */
	REPORT_BYTES_MAX = 8 * 1024,
	GREETING_SECONDS = 10,
};

enum frame_kind {
	FRAME_HELLO,
	FRAME_PING,
	FRAME_PONG,
	FRAME_OPEN,
	FRAME_DATA,
	FRAME_END,
	FRAME_CREDIT,
	FRAME_DROP,
	FRAME_SIGNAL,
	FRAME_RESIZE,
	FRAME_CANCEL,
	FRAME_STARTED,
	FRAME_EXIT,
	FRAME_RESULT,
	FRAME_FAILED,
	FRAME_FAULT,
};

enum channel {
	CHANNEL_INPUT,
	CHANNEL_OUTPUT,
	CHANNEL_ERROR,
};

/* Whom a signal is for. */
enum signal_scope {
	SIGNAL_PROCESS,
	SIGNAL_GROUP,
	SIGNAL_TREE,
};

#endif
