/* SPDX-License-Identifier: MIT */
#ifndef CAPSA_GUEST_ERRNO_NAME_H
#define CAPSA_GUEST_ERRNO_NAME_H

/* "ENOENT"; what has no name here is "EIO". Numbers mean something else on
 * other systems, where the host may be. */
const char *errno_name(int error);

#endif
