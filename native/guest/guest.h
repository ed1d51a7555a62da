/* SPDX-License-Identifier: MIT */
/*
 * What the first process looks after beside its hosts: the shell on the
 * console, the power button, devices that come, and their network.
 */
#ifndef CAPSA_GUEST_GUEST_H
#define CAPSA_GUEST_GUEST_H

#include <stdbool.h>
#include <sys/types.h>

#include "poller.h"

struct agent;

enum { GUEST_BUTTONS_MAX = 8, GUEST_DEVICES_MAX = 16 };

struct guest_network {
	char device[32];
	pid_t keeper;
};

struct guest {
	int news;
	pid_t shell; /* 0: there is none */
	char console[64];
	int buttons[GUEST_BUTTONS_MAX];
	char button_names[GUEST_BUTTONS_MAX][16];
	unsigned int button_count;
	struct guest_network networks[GUEST_DEVICES_MAX];
	unsigned int network_count;
};

/* Finds the devices that are there, then starts the shell. */
void guest_open(struct guest *guest, struct agent *agent, int news);

void guest_watch(struct guest *guest, struct agent *agent,
		 struct poller *poller);

/* A process that was no host's has ended. */
void guest_reaped(struct guest *guest, struct agent *agent, pid_t pid);

/* Every process but this one. */
void guest_signal_all(struct guest *guest, int number);

#endif
