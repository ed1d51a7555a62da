/* SPDX-License-Identifier: MIT */
#include "errno_name.h"

#include <errno.h>

#define NAME(error)                                                            \
	case error:                                                            \
		return #error

const char *errno_name(int error)
{
	switch (error) {
		NAME(E2BIG);
		NAME(EACCES);
		NAME(EADDRINUSE);
		NAME(EAGAIN);
		NAME(EBADF);
		NAME(EBUSY);
		NAME(ECANCELED);
		NAME(ECHILD);
		NAME(ECONNREFUSED);
		NAME(ECONNRESET);
		NAME(EDQUOT);
		NAME(EEXIST);
		NAME(EFAULT);
		NAME(EFBIG);
		NAME(EHOSTUNREACH);
		NAME(EINTR);
		NAME(EINVAL);
		NAME(EISDIR);
		NAME(ELOOP);
		NAME(EMFILE);
		NAME(EMLINK);
		NAME(ENAMETOOLONG);
		NAME(ENETUNREACH);
		NAME(ENFILE);
		NAME(ENODEV);
		NAME(ENOENT);
		NAME(ENOEXEC);
		NAME(ENOMEM);
		NAME(ENOSPC);
		NAME(ENOSYS);
		NAME(ENOTBLK);
		NAME(ENOTCONN);
		NAME(ENOTDIR);
		NAME(ENOTEMPTY);
		NAME(ENOTSUP);
		NAME(ENOTTY);
		NAME(ENXIO);
		NAME(EOVERFLOW);
		NAME(EPERM);
		NAME(EPIPE);
		NAME(EPROTO);
		NAME(ERANGE);
		NAME(EROFS);
		NAME(ESPIPE);
		NAME(ESRCH);
		NAME(ESTALE);
		NAME(ETIMEDOUT);
		NAME(ETXTBSY);
		NAME(EXDEV);
	default:
		return "EIO";
	}
}
