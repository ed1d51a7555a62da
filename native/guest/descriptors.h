/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_DESCRIPTORS_H
#define CAPSA_GUEST_DESCRIPTORS_H

/*
 * Closes all descriptors from this one on. A child of the agent has a copy of
 * each of the agent's: as long as it holds the agent's end of a pipe, whoever
 * reads the other end sees no end of it.
 */
void descriptors_close_from(int first);

#endif
